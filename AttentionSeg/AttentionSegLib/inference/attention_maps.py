"""Attention maps of a network as images with an affine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ..image import Image
from ..region import Region
from .parts import affine_from, bounds, held
from .preprocessing import WorkingGrid
from .resampling import sample, voxel_map


def attention_image(values: Tensor, stride: tuple[int, ...], grid: WorkingGrid, name: str) -> Image:
    """A map with its affine: voxel i covers voxels i*s to i*s + s - 1 of the working grid. Padding is cut off.

    Args:
        values: [1, I/s, J/s, K/s] over the whole working grid.
        stride: working voxels per voxel of the map, along each axis.
        grid: the working grid.
    """
    first = [low // s for (low, _), s in zip(grid.field, stride)]
    last = [-(-high // s) for (_, high), s in zip(grid.field, stride)]
    affine = grid.affine @ np.diag([*stride, 1.0])
    affine[:3, 3] = grid.affine[:3, :3] @ (np.multiply(first, stride) + (np.array(stride) - 1) / 2) + grid.affine[:3, 3]
    part = values[(slice(None), *(slice(a, b) for a, b in zip(first, last)))]
    return Image(np.ascontiguousarray(part.numpy(), dtype=np.float32), affine, name)


def shares_of_largest(parts: Sequence[Image]) -> list[Image]:
    """The parts of a non-negative map, divided by the largest value in all of them, 0..1."""
    largest = max(part.voxels.max() for part in parts)
    return [replace(part, voxels=part.voxels / largest) for part in parts] if largest > 0 else list(parts)


def on_grid_of(attention: Image, image: Image, region: Region | None) -> Image:
    """An attention map interpolated at the voxels of the input; 0 outside the region."""
    values = np.zeros((1, *image.shape), np.float32)
    first, last = bounds(image, region)
    part = values[(slice(None), *(slice(a, b) for a, b in zip(first, last)))]
    part[:] = sample(torch.from_numpy(attention.voxels), voxel_map(affine_from(image.affine, first), attention.affine), last - first).numpy()
    if region is not None:
        part[:, ~held(image.affine, first, last, region)] = 0
    return Image(values, image.affine, attention.name)
