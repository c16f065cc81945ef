"""The devices that torch can compute on."""

from __future__ import annotations

import torch

from ..errors import InputError


def available_devices() -> list[str]:
    """Names of the available devices, fastest first: `cuda:0`, ..., `mps`, `cpu`."""
    cuda = [f"cuda:{index}" for index in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    mps = ["mps"] if torch.backends.mps.is_available() else []
    return [*cuda, *mps, "cpu"]


def choose_device(name: str = "auto") -> torch.device:
    """The device of that name.

    Args:
        name: `auto` (the first of `available_devices`), `cpu`, `cuda` (the first GPU), `cuda:1`, `mps`.

    Raises:
        InputError: if it is not available (the message lists those that are).
    """
    names = available_devices()
    wanted = {"auto": names[0], "cuda": "cuda:0"}.get(name, name)
    if wanted not in names:
        msg = f"There is no device '{name}' on this computer; choose {', '.join(['auto', *names])}."
        raise InputError(msg)
    return torch.device(wanted)


def ran_out(device: torch.device, gigabytes: float | None = None) -> str:
    """The beginning of a sentence about a device that ran out of memory, with its limit if it has one."""
    limit = "" if gigabytes is None or device.type != "cuda" else f" (limit {gigabytes:g} GB)"
    return f"{device} ran out of memory{limit}"
