"""The limit on the memory of a GPU that a run takes."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from .memory_estimate import GIGABYTE

_lock = threading.Lock()
# The limits in force on each device, as shares of its memory.
_shares: defaultdict[torch.device, list[float]] = defaultdict(list)


@contextmanager
def limited_memory(device: torch.device, gigabytes: float | None) -> Iterator[None]:
    """Limit torch's memory on a CUDA device within this context; an allocation beyond it raises `torch.cuda.OutOfMemoryError`.

    The limit applies to all threads of this process and is lifted at the end; of several at a time the smallest applies. The driver's own few hundred
    MB are not counted. Other devices, and None, have no limit.
    """
    if gigabytes is None or device.type != "cuda":
        yield
        return
    share = min(1.0, gigabytes * GIGABYTE / torch.cuda.get_device_properties(device).total_memory)
    with _lock:
        _shares[device].append(share)
    try:
        _set_share(device)
        # Torch reuses cached memory without checking it against the limit.
        torch.cuda.empty_cache()
        yield
    finally:
        with _lock:
            _shares[device].remove(share)
        _set_share(device)


def _set_share(device: torch.device) -> None:
    with _lock:
        torch.cuda.set_per_process_memory_fraction(min(_shares[device], default=1.0), device)
