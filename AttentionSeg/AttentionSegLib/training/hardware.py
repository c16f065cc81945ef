"""Hardware of a training: devices, precision, and processes that make patches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ..inference.devices import choose_device
from ..planning.timing import patch_workers

# Least CUDA compute capability for bfloat16, which has the range of float32.
BFLOAT16_CAPABILITY = 8


def chosen_devices(name: str) -> list[torch.device]:
    """The device of a name, or several for `cuda:0,1`. Raises InputError if one does not exist."""
    kind, _, indices = name.partition(":")
    return [choose_device(f"{kind}:{index}") for index in indices.split(",")] if "," in indices else [choose_device(name)]


def is_first_process() -> bool:
    """Whether this is not one of the processes that Lightning starts for further devices."""
    from lightning.fabric.utilities.rank_zero import rank_zero_only

    # An attribute of the function, which its declaration does not state.
    return getattr(rank_zero_only, "rank", 0) == 0


def lightning_arguments(devices: Sequence[torch.device]) -> dict[str, Any]:
    """Arguments of a Lightning trainer for the devices and their precision."""
    kind, indices = devices[0].type, [device.index for device in devices]
    if kind != "cuda":
        return {"accelerator": kind, "devices": 1, "precision": "32-true"}
    has_bfloat16 = all(torch.cuda.get_device_capability(index)[0] >= BFLOAT16_CAPABILITY for index in indices)
    precision = "bf16-mixed" if has_bfloat16 else "16-mixed"
    return {"accelerator": "gpu", "devices": indices, "precision": precision, "strategy": "ddp" if len(indices) > 1 else "auto", "benchmark": True}


def loader_arguments(device: torch.device) -> dict[str, Any]:
    """Arguments of a data loader for a device. Errors are those of `patch_workers`."""
    count = patch_workers()
    return {"num_workers": count, "persistent_workers": count > 0, "pin_memory": device.type == "cuda"}
