"""A network whose attention is known, scans for it, and the patches in which they are segmented."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from AttentionSegLib.image import Image
from AttentionSegLib.inference import Predictor
from AttentionSegLib.inference.preprocessing import WorkingGrid
from AttentionSegLib.models import Model
from AttentionSegLib.networks import NetworkOutput
from AttentionSegLib.networks.position_attention import PositionFeatures
from placed_scans import CENTER
from poses import AXES, affine_around
from tiny_models import make_card
from torch import Tensor, nn


class MirrorNetwork(nn.Module):
    """Each position looks at the one opposite to it about the center of its patch; labels by intensity."""

    total_stride: tuple[int, ...]
    maps_scaled_per_volume: ClassVar = frozenset()

    def __init__(self, spatial_dims: int, stride: int = 2) -> None:
        super().__init__()
        self.total_stride = (stride,) * spatial_dims
        self.attention_strides = {"position_mirror": self.total_stride}

    def forward(self, x: Tensor, return_attention: list[str]) -> NetworkOutput:
        size = tuple(n // s for n, s in zip(x.shape[2:], self.total_stride))
        here = torch.eye(int(np.prod(size))).expand(len(x), -1, -1)
        # In reversed order every voxel stands where its mirror image stood.
        features = PositionFeatures(30 * here.flip(1), here, size)
        logits = torch.cat([x[:, :1] * 0, x[:, :1], x[:, :1] * 2], 1)
        positions = dict.fromkeys(return_attention, features)
        return NetworkOutput(logits, {name: features.received() for name in positions}, positions=positions)


def noise_image(shape: tuple[int, ...], axes: np.ndarray = AXES["RAS"], spacing: tuple[float, ...] = (1, 1, 1)) -> Image:
    voxels = np.random.default_rng(0).normal(0, 3, shape).astype(np.float32)
    return Image(voxels[None], affine_around(CENTER, shape, axes, spacing), "scan")


def mirror_predictor(slices: bool) -> Predictor:
    changes = {"slices": "axial", "patch_size": [12, 8, 1]} if slices else {"patch_size": [12, 8, 8]}
    network = {"name": "guided-attention", "arguments": {"spatial_dims": 2 if slices else 3}}
    card = make_card(network=network, spacing_mm=[1.5, 1.0, 1.2], orientation="LPS", overlap=0.5, **changes)
    return Predictor(Model(card, MirrorNetwork(2 if slices else 3).eval(), Path()), "cpu")


def starts(size: int, patch: int, stride: int) -> list[int]:
    """Where patches begin that cover half of each other, or somewhat more to begin with the stride; the last one ends with the volume."""
    step = max(stride, patch // 2 // stride * stride)
    return sorted({min(start, size - patch) for start in range(0, size - patch + step, step)})


def nearest(voxel: np.ndarray, candidates: list[tuple[int, ...]], patch: tuple[int, ...]) -> tuple[int, ...]:
    """The patch whose center is nearest, by its first voxel."""
    return min(candidates, key=lambda first: np.linalg.norm(voxel - first - (np.array(patch) - 1) / 2))


def voxels_in(low: tuple[int, ...], high: tuple[int, ...], count: int) -> np.ndarray:
    """Places within voxels from `low` to before `high`, each axis on its own at an end, too, where all patches are equally far away."""
    generator = np.random.default_rng(1)
    places = generator.uniform(np.array(low) - 0.45, np.array(high) - 0.55, (count, 3))
    for place, axis in zip(places, generator.integers(0, 3, count // 2)):
        place[axis] = high[axis] - 0.55
    return places


def to_ras(grid: WorkingGrid, voxel: np.ndarray) -> np.ndarray:
    return grid.affine[:3, :3] @ voxel + grid.affine[:3, 3]
