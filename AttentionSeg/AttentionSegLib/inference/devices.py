"""The devices that torch can compute on."""

from __future__ import annotations

import torch

from ..errors import InputError

# Least CUDA compute capability for bfloat16.
BFLOAT16_CAPABILITY = 8
BFLOAT16_INSTRUCTIONS = ("amx_bf16", "avx512_bf16")


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


def training_type(device: torch.device) -> torch.dtype:
    """The type in which convolutions and products of a training are computed on a device, in mixed precision if it is not float32.

    With CUDA this is bfloat16, which has the range of float32, or float16 on older GPUs; on processors with instructions for it, bfloat16.
    """
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.get_device_capability(device.index)[0] >= BFLOAT16_CAPABILITY else torch.float16
    # Without these instructions torch emulates bfloat16, which takes longer than float32. Older versions do not tell.
    able = torch.cpu.get_capabilities() if device.type == "cpu" and hasattr(torch.cpu, "get_capabilities") else {}
    return torch.bfloat16 if any(able.get(name) for name in BFLOAT16_INSTRUCTIONS) else torch.float32


def ran_out(device: torch.device, gigabytes: float | None = None) -> str:
    """The beginning of a sentence about a device that ran out of memory, with its limit if it has one."""
    limit = "" if gigabytes is None or device.type != "cuda" else f" (limit {gigabytes:g} GB)"
    return f"{device} ran out of memory{limit}"
