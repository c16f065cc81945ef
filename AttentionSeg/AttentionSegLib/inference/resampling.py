"""Linear interpolation between two voxel grids, exact where the grids coincide.

A voxel map is the 4x4 matrix from voxel indices of the output grid to voxel indices of the input grid.
Where each output axis runs along one input axis, interpolation is three passes of weighted sums, which is much faster than the general case.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

# Voxels by which a grid may deviate over its whole length and still count as aligned, and an index from an integer as exact.
ALIGNED = 1e-3
EXACT = 1e-4
POINTS_PER_SLAB = 4_000_000


def voxel_map(output_affine: np.ndarray, input_affine: np.ndarray) -> np.ndarray:
    """The matrix from output voxels to input voxels of two grids given by their affines to RAS."""
    return np.linalg.solve(np.asarray(input_affine, dtype=np.float64), np.asarray(output_affine, dtype=np.float64))


def sample(volume: Tensor, matrix: np.ndarray, shape: Sequence[int]) -> Tensor:
    """Interpolate a volume at the voxels of another grid; outside the volume, its border is repeated.

    Args:
        volume: [C, I, J, K] of floating point.
        matrix: voxel map, output to input.
        shape: I, J, K of the output.

    Returns:
        [C, *shape], same type and device.
    """
    order = _axis_order(matrix, shape)
    if order is None:
        return _sample_general(volume, matrix, shape)
    return _sample_aligned(volume, matrix, shape, order)


def inside(matrix: np.ndarray, input_shape: Sequence[int], shape: Sequence[int]) -> np.ndarray:
    """Which voxels of the output grid have their center within the input grid (its outer voxel edges included). bool [*shape]"""
    result = np.ones(tuple(shape), dtype=bool)
    index = np.ogrid[tuple(slice(0, n) for n in shape)]
    for row, size in zip(matrix[:3], input_shape):
        coordinate = row[0] * index[0] + row[1] * index[1] + row[2] * index[2] + row[3]
        result &= (coordinate >= -0.5 - ALIGNED) & (coordinate <= size - 0.5 + ALIGNED)
    return result


def _axis_order(matrix: np.ndarray, shape: Sequence[int]) -> list[int] | None:
    """The input axis that each output axis runs along; None when the grids are oblique to each other."""
    order = [int(np.argmax(np.abs(matrix[:3, axis]))) for axis in range(3)]
    if sorted(order) != [0, 1, 2]:
        return None
    off_axis = np.abs(matrix[:3, :3])
    off_axis[order, range(3)] = 0
    return order if (off_axis * np.asarray(shape)).max() < ALIGNED else None


def _sample_aligned(volume: Tensor, matrix: np.ndarray, shape: Sequence[int], order: list[int]) -> Tensor:
    volume = volume.permute(0, *(axis + 1 for axis in order))
    shrinking_first = sorted(range(3), key=lambda axis: shape[axis] / volume.shape[axis + 1])
    for axis in shrinking_first:
        scale, offset = matrix[order[axis], axis], matrix[order[axis], 3]
        position = np.clip(scale * np.arange(shape[axis]) + offset, 0, volume.shape[axis + 1] - 1)
        volume = _interpolate_axis(volume, axis + 1, position)
    return volume


def _interpolate_axis(volume: Tensor, dim: int, position: np.ndarray) -> Tensor:
    nearest = np.rint(position)
    if np.abs(position - nearest).max() < EXACT:
        return volume.index_select(dim, torch.as_tensor(nearest, dtype=torch.long, device=volume.device))
    low = np.floor(position)
    weight = torch.as_tensor(position - low, dtype=volume.dtype, device=volume.device)
    low = torch.as_tensor(low, dtype=torch.long, device=volume.device)
    high = (low + 1).clamp_max(volume.shape[dim] - 1)
    broadcast = [1] * volume.ndim
    broadcast[dim] = -1
    return torch.lerp(volume.index_select(dim, low), volume.index_select(dim, high), weight.view(broadcast))


def _sample_general(volume: Tensor, matrix: np.ndarray, shape: Sequence[int]) -> Tensor:
    # grid_sample expects x, y, z = the last axis first, scaled to -1..1 between the centers of the outer voxels.
    size = np.maximum(np.array(volume.shape[1:]) - 1, 1)
    scaled = (matrix[:3] * 2 / size[:, None])[::-1]
    scaled[:, 3] -= 1
    device, dtype = volume.device, volume.dtype
    columns = torch.as_tensor(scaled.copy(), dtype=torch.float64)
    j, k = (columns[:, axis, None] * torch.arange(shape[axis]) for axis in (1, 2))
    plane = (j[:, :, None] + k[:, None, :] + columns[:, 3, None, None]).permute(1, 2, 0)
    rows = max(1, POINTS_PER_SLAB // (shape[1] * shape[2]))
    slabs = []
    for start in range(0, shape[0], rows):
        i = torch.arange(start, min(start + rows, shape[0]))
        grid = (plane[None] + (i[:, None] * columns[:, 0])[:, None, None, :]).to(device, dtype)
        slabs.append(F.grid_sample(volume[None], grid[None], mode="bilinear", padding_mode="border", align_corners=True)[0])
    return torch.cat(slabs, 1)
