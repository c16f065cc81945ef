"""What computes a training: its devices, their precision, and the processes that make patches."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import torch

from ..errors import InputError
from ..inference.devices import choose_device

WORKERS_VARIABLE = "ATTENTIONSEG_WORKERS"
MOST_WORKERS = 4
# From its compute capability 8 on, CUDA computes in bfloat16, which has the range of float32.
BFLOAT16_CAPABILITY = 8


def chosen_devices(name: str) -> list[torch.device]:
    """The device of that name, or the several that `cuda:0,1` names. Raises InputError where one is not there."""
    kind, _, indices = name.partition(":")
    return [choose_device(f"{kind}:{index}") for index in indices.split(",")] if "," in indices else [choose_device(name)]


def lightning_arguments(devices: Sequence[torch.device]) -> dict[str, Any]:
    """How Lightning calls the devices, and the precision that is right for them."""
    kind, indices = devices[0].type, [device.index for device in devices]
    if kind != "cuda":
        return {"accelerator": kind, "devices": 1, "precision": "32-true"}
    has_bfloat16 = all(torch.cuda.get_device_capability(index)[0] >= BFLOAT16_CAPABILITY for index in indices)
    precision = "bf16-mixed" if has_bfloat16 else "16-mixed"
    return {"accelerator": "gpu", "devices": indices, "precision": precision, "strategy": "ddp" if len(indices) > 1 else "auto", "benchmark": True}


def loader_arguments(device: torch.device) -> dict[str, Any]:
    """How a loader makes patches for a device: in processes beside the training, but for Slicer, whose window they would copy, and for few cores.

    Raises InputError if the environment variable ATTENTIONSEG_WORKERS, which sets their number, is none.
    """
    given = os.environ.get(WORKERS_VARIABLE)
    if given is not None and not given.isdecimal():
        msg = f"{WORKERS_VARIABLE} is '{given}'; set it to a whole number of processes of at least 0."
        raise InputError(msg)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    count = int(given) if given is not None else 0 if "slicer" in sys.modules else min(MOST_WORKERS, max(0, cores - 2))
    return {"num_workers": count, "persistent_workers": count > 0, "pin_memory": device.type == "cuda"}
