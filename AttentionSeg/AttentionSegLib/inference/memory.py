"""How much memory of a GPU a run may take."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import torch

GIGABYTE = 1e9

_lock = threading.Lock()
# The limits in force on each device, as shares of its memory.
_shares: defaultdict[torch.device, list[float]] = defaultdict(list)


@contextmanager
def limited_memory(device: torch.device, gigabytes: float | None) -> Iterator[None]:
    """Let torch take no more than so much memory of a CUDA device meanwhile; what would go beyond raises `torch.cuda.OutOfMemoryError`.

    The limit is on all that torch takes in this process, in other threads as well, and is lifted at the end; of several at a time the smallest holds.
    The driver's own few hundred MB come on top. On other devices, and without a number, nothing is limited.
    """
    if gigabytes is None or device.type != "cuda":
        yield
        return
    share = min(1.0, gigabytes * GIGABYTE / torch.cuda.get_device_properties(device).total_memory)
    with _lock:
        _shares[device].append(share)
    try:
        _set_share(device)
        # What torch keeps of earlier work it hands out without asking whether it is beyond the limit.
        torch.cuda.empty_cache()
        yield
    finally:
        with _lock:
            _shares[device].remove(share)
        _set_share(device)


def _set_share(device: torch.device) -> None:
    with _lock:
        torch.cuda.set_per_process_memory_fraction(min(_shares[device], default=1.0), device)


def ran_out(device: torch.device, gigabytes: float | None) -> str:
    """The beginning of a sentence about a device without memory left, with its limit if it has one."""
    limit = "" if gigabytes is None or device.type != "cuda" else f" (limit {gigabytes:g} GB)"
    return f"{device} ran out of memory{limit}"
