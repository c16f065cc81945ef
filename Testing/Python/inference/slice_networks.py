"""Networks for slices, and noise to give them."""

from __future__ import annotations

import torch
from tiny_models import guided

NETWORKS = {
    "unet": {"name": "attention-unet", "arguments": {"spatial_dims": 2, "channels": [2, 4, 4], "norm": "instance", "deep_supervision": True}},
    "guided": guided(2),
}
SLICES = 3


def across(axis: int, in_plane: tuple[int, int], count: int) -> tuple[int, ...]:
    return (*in_plane[:axis], count, *in_plane[axis:])


def noise(*shape: int) -> torch.Tensor:
    return 2 * torch.randn(shape, generator=torch.Generator().manual_seed(3))
