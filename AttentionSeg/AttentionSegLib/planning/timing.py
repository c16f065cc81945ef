"""Timing of a training step of a network on this computer."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..errors import memory_for
from ..networks import Network
from ..networks.small_convolutions import halve_convolutions
from ..networks.supervision import added
from ..progress import Cancel, check_cancel
from .budget import NetworkSpec

# Steps that are timed, after a first one that allocates memory.
STEPS = 2
# Factor on the time of a step for making patches, logging and averaging weights.
OVERHEAD = 1.25


def measured_step(
    spec: NetworkSpec, arguments: dict[str, Any], patch: Sequence[int], batch: int, device: torch.device, cancel: Cancel | None = None
) -> float:
    """Seconds of a training step, measured on noise.

    Args:
        spec, arguments: of the network.
        patch: voxels along each axis.
        batch: patches per step.
        device: to train on.
        cancel: called before each step.

    Raises:
        OutOfMemory: if the device has too little memory.
        Cancelled: if `cancel` returned True.
    """
    with memory_for(f"a training step on {device} of the network that was planned", "close other programs that use it, and start again"):
        network = spec.build(arguments).to(device).train()
        halve_convolutions(network)
        optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)
        image = torch.randn(batch, spec.in_channels, *patch, device=device)
        check_cancel(cancel, "planning")
        _step(network, optimizer, image)
        start = time.monotonic()
        for _ in range(STEPS):
            check_cancel(cancel, "planning")
            _step(network, optimizer, image)
    return OVERHEAD * (time.monotonic() - start) / STEPS


class _AnyRegion:
    """A stand-in for a `RegionLoss` without labels: for timing, any loss value will do."""

    def cross_entropy(self, logits: Tensor) -> Tensor:
        return logits.float().square().mean()

    dice = cross_entropy


def _step(network: Network, optimizer: torch.optim.Optimizer, image: Tensor) -> None:
    optimizer.zero_grad()
    # Always "cuda", because autocast before torch 2.5 rejects "mps" even if it is disabled.
    with torch.autocast("cuda", enabled=image.device.type == "cuda"):
        loss = added(network.loss_terms(network(image, return_attention=()), _AnyRegion()).values())
    loss.backward()
    optimizer.step()
    # Reading a number waits for the device.
    loss.item()
