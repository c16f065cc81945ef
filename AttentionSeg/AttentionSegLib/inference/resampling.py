"""Linear interpolation between two voxel grids, exact where the grids coincide.

A voxel map is the 4x4 matrix from voxel indices of the output grid to voxel indices of the input grid.
Where each output axis runs along one input axis, blur and interpolation are three passes of weighted sums, much faster than the general case.
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
# Standard deviations to either side at which the Gaussian of a blur is cut off.
BLUR_ENDS = 3.0


def voxel_map(output_affine: np.ndarray, input_affine: np.ndarray) -> np.ndarray:
    """The matrix from output voxels to input voxels of two grids given by their affines to RAS."""
    return np.linalg.solve(np.asarray(input_affine, dtype=np.float64), np.asarray(output_affine, dtype=np.float64))


def sample(volume: Tensor, matrix: np.ndarray, shape: Sequence[int], blur: Sequence[float] = (0, 0, 0)) -> Tensor:
    """Interpolate a volume at the voxels of another grid; outside the volume, its border is repeated.

    Args:
        volume: [C, I, J, K] of floating point; on the CPU if it is blurred.
        matrix: voxel map, output to input.
        shape: I, J, K of the output.
        blur: standard deviation, in voxels along I, J and K, of the Gaussian by which the volume is blurred before.

    Returns:
        [C, *shape], same type and device.
    """
    order = _axis_order(matrix, shape)
    if order is None:
        return _sample_general(_blurred(volume, blur), matrix, shape)
    return _sample_aligned(volume, matrix, shape, order, blur)


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


def _sample_aligned(volume: Tensor, matrix: np.ndarray, shape: Sequence[int], order: list[int], blur: Sequence[float]) -> Tensor:
    volume = volume.permute(0, *(axis + 1 for axis in order))
    # What lies together in memory stays together.
    outer_first = sorted(range(3), key=lambda axis: -volume.stride(axis + 1))
    volume = volume.permute(0, *(axis + 1 for axis in outer_first))
    shrinking_first = sorted(range(3), key=lambda dim: shape[outer_first[dim]] / volume.shape[dim + 1])
    for dim in shrinking_first:
        axis = outer_first[dim]
        scale, offset = matrix[order[axis], axis], matrix[order[axis], 3]
        position = np.clip(scale * np.arange(shape[axis]) + offset, 0, volume.shape[dim + 1] - 1)
        volume = _interpolate_axis(volume, dim + 1, position, blur[order[axis]])
    return volume.permute(0, *(outer_first.index(axis) + 1 for axis in range(3)))


def _interpolate_axis(volume: Tensor, dim: int, position: np.ndarray, sigma: float) -> Tensor:
    nearest = np.rint(position)
    exact = np.abs(position - nearest).max() < EXACT
    low = nearest if exact else np.floor(position)
    weight = np.zeros(len(low)) if exact else position - low
    broadcast = [1] * volume.ndim
    broadcast[dim] = -1

    def neighbors(step: int) -> Tensor:
        places = np.clip(low.astype(np.int64) + step, 0, volume.shape[dim] - 1)
        # On the CPU NumPy takes a half to a quarter of the time.
        if volume.device.type == "cpu":
            return torch.from_numpy(np.take(volume.numpy(), places, dim))
        return volume.index_select(dim, torch.from_numpy(places).to(volume.device))

    def factors(numbers: np.ndarray) -> Tensor:
        return torch.as_tensor(numbers, dtype=volume.dtype, device=volume.device).view(broadcast)

    radius = _radius(sigma)
    if radius == 0:
        return neighbors(0) if exact else torch.lerp(neighbors(0), neighbors(1), factors(weight))
    # Blur and interpolation in one sum, for the voxels of the output alone.
    bell = np.exp(-0.5 * (np.arange(-radius - 1, radius + 2) / sigma) ** 2)
    bell[[0, -1]] = 0
    bell /= bell.sum()
    result = torch.zeros_like(neighbors(0))
    for number, step in enumerate(range(-radius, radius + 2), start=1):
        result.addcmul_(neighbors(step), factors((1 - weight) * (bell[number] if step <= radius else 0) + weight * bell[number - 1]))
    return result


def _blurred(volume: Tensor, blur: Sequence[float]) -> Tensor:
    for axis, sigma in enumerate(blur):
        if _radius(sigma):
            # Imported here because it takes a while.
            from scipy.ndimage import gaussian_filter1d

            volume = torch.from_numpy(gaussian_filter1d(volume.numpy(), sigma, axis=axis + 1, mode="nearest", truncate=BLUR_ENDS))
    return volume


def _radius(sigma: float) -> int:
    """Voxels to either side that a blur reaches, as in SciPy."""
    return int(BLUR_ENDS * sigma + 0.5)


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
