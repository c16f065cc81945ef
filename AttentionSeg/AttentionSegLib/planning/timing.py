"""How long a training step of a network takes here, tried out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch

from ..errors import InputError
from ..inference.progress import Cancel, check_cancel
from ..inference.sliding_window import out_of_memory
from ..networks import build_network

# Steps that are timed, after a first one that makes room.
STEPS = 2
# Over the step: making patches, logging, averaging weights.
OVERHEAD = 1.25


def measured_step(
    name: str,
    in_channels: int,
    out_channels: int,
    arguments: dict[str, Any],
    patch: Sequence[int],
    batch: int,
    device: torch.device,
    cancel: Cancel | None = None,
) -> float:
    """Seconds of a training step, from a few on noise.

    Args:
        name, in_channels, out_channels, arguments: of `build_network`.
        patch: voxels along each axis.
        batch: patches in a step.
        device: to train on.
        cancel: asked before each step.

    Raises:
        InputError: if the device has no memory for it.
        Cancelled: once `cancel` says so.
    """
    try:
        network = build_network(name, in_channels, out_channels, arguments).to(device).train()
        optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)
        image = torch.randn(batch, in_channels, *patch, device=device)
        check_cancel(cancel, "planning")
        _step(network, optimizer, image)
        start = time.monotonic()
        for _ in range(STEPS):
            check_cancel(cancel, "planning")
            _step(network, optimizer, image)
    except (RuntimeError, MemoryError) as error:
        if not (isinstance(error, MemoryError) or out_of_memory(error)):
            raise
        msg = f"{device} has no memory for a training step of the network that was planned; close other programs that use it, and start again."
        raise InputError(msg) from error
    return OVERHEAD * (time.monotonic() - start) / STEPS


def _step(network: torch.nn.Module, optimizer: torch.optim.Optimizer, image: torch.Tensor) -> None:
    """Any number is as good as the loss to walk back from, if it has what the loss compares; read, it waits for the device."""
    optimizer.zero_grad()
    # Always "cuda": until torch 2.5 autocast refuses the name "mps", switched off or not.
    with torch.autocast("cuda", enabled=image.device.type == "cuda"):
        output = network(image, return_attention=())
        reconstructions = output.guidance.reconstructions if output.guidance else ()
        loss = sum(tensor.float().square().mean() for tensor in (output.logits, *output.side_logits, *reconstructions))
    loss.backward()
    optimizer.step()
    loss.item()
