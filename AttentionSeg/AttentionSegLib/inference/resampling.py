"""Linear interpolation between two voxel grids, exact where the grids coincide.

A voxel map is the 4x4 matrix from voxel indices of the output grid to voxel indices of the input grid.
Where each output axis runs along one input axis, blur and interpolation are three passes of weighted sums, much faster than the general case.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .parts import affine_from

# Voxels by which a grid may deviate over its whole length and still count as aligned, and an index from an integer as exact.
ALIGNED = 1e-3
EXACT = 1e-4
# Voxels of a slab, unless a slice has more.
POINTS_PER_SLAB = 1 << 18
# Of a pass along the first, second and last axis in memory, for as many voxels.
PASS_COSTS = (1.0, 1.5, 4.0)
# Voxels from which a plane is added to a sum in place, without a copy of its own.
LARGE_PLANE = 1 << 13
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


def sampled_slabs(volume: Tensor, matrix: np.ndarray, shape: Sequence[int]) -> Iterator[Tensor]:
    """What `sample` makes without blur, slab after slab along K: [C, I, J, slices], each valid until the next one.

    Large slices come one by one, with I next to each other in memory; memory does not grow with their number.
    """
    order = _axis_order(matrix, shape)
    thick = max(1, POINTS_PER_SLAB // (shape[0] * shape[1]))
    if order is None or thick > 1:
        for start in range(0, shape[2], thick):
            yield sample(volume, affine_from(matrix, np.array([0, 0, start])), (*shape[:2], min(thick, shape[2] - start)))
        return
    volume = volume.permute(0, *(axis + 1 for axis in reversed(order)))
    positions = [_positions(matrix, order, axis, shape[axis]) for axis in range(3)]
    sums = _sums(positions[2], 0, volume.shape[1])
    planes: dict[int, Tensor] = {}
    result = volume.new_empty((len(volume), shape[1], shape[0]))
    for k in range(shape[2]):
        rows = [int(places[k]) for places, _ in sums]
        # Those of the slice before are used again.
        planes = {row: planes[row] if row in planes else _plane(volume[:, row], positions) for row in rows}
        # Not kept where it is a slice by itself, because the caller may overwrite it.
        slab = planes.pop(rows[0]) if len(rows) == 1 else _weighted_sum([planes[row] for row in rows], [float(one[k]) for _, one in sums], result)
        yield slab.transpose(1, 2)[..., None]


def inside(matrix: np.ndarray, input_shape: Sequence[int], shape: Sequence[int]) -> np.ndarray:
    """Which voxels of the output grid have their center within the input grid (its outer voxel edges included). bool [*shape]"""
    result = np.ones(tuple(shape), dtype=bool)
    index = np.ogrid[tuple(slice(0, n) for n in shape)]
    for row, size in zip(matrix[:3], input_shape):
        coordinate = along(row, index)
        result &= (coordinate >= -0.5 - ALIGNED) & (coordinate <= size - 0.5 + ALIGNED)
    return result


def along(row: np.ndarray, index: Sequence[np.ndarray]) -> np.ndarray:
    """An index in the input, by a row of the voxel map, at indices of the output that broadcast; of the axes alone that it depends on."""
    return sum((factor * axis for factor, axis in zip(row, index) if factor), np.full([1] * index[0].ndim, row[-1]))


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
    # Fewer voxels first, more voxels last; of two alike, most of the work is left to the axis with the larger distance in memory.
    ratios = [shape[axis] / size for axis, size in zip(outer_first, volume.shape[1:])]
    for dim in sorted(range(3), key=lambda dim: (ratios[dim] > 1, ratios[dim] * PASS_COSTS[dim] ** (-1 if ratios[dim] > 1 else 1))):
        axis = outer_first[dim]
        volume = _interpolate_axis(volume, dim + 1, _positions(matrix, order, axis, shape[axis]), blur[order[axis]])
    return volume.permute(0, *(outer_first.index(axis) + 1 for axis in range(3)))


def _plane(rows: Tensor, positions: Sequence[np.ndarray]) -> Tensor:
    """Interpolate [C, J, I] at the positions along I and J."""
    return _interpolate_axis(_interpolate_axis(rows, 2, positions[0], 0), 1, positions[1], 0)


def _positions(matrix: np.ndarray, order: Sequence[int], axis: int, count: int) -> np.ndarray:
    """The indices in the input of the voxels along an axis of the output."""
    return matrix[order[axis], axis] * np.arange(count) + matrix[order[axis], 3]


def _interpolate_axis(volume: Tensor, dim: int, position: np.ndarray, sigma: float) -> Tensor:
    sums = _sums(position, sigma, volume.shape[dim])
    if volume.device.type == "cpu" and volume.numel() >= LARGE_PLANE * volume.shape[dim] and dim < volume.ndim - 1:
        result = volume.new_empty([len(position) if axis == dim else n for axis, n in enumerate(volume.shape)])
        planes = volume.unbind(dim)
        for number, plane in enumerate(result.unbind(dim)):
            _weighted_sum([planes[places[number]] for places, _ in sums], [float(factors[number]) for _, factors in sums], plane)
        return result

    # Once for all parts: NumPy copies what is spread in memory each time.
    together = volume.contiguous()

    def taken(places: np.ndarray) -> Tensor:
        # On the CPU NumPy takes a half to a quarter of the time.
        if together.device.type == "cpu":
            return torch.from_numpy(np.take(together.numpy(), places, dim))
        return together.index_select(dim, torch.from_numpy(places).to(volume.device))

    broadcast = [-1 if axis == dim else 1 for axis in range(volume.ndim)]
    weights = [torch.as_tensor(factors, dtype=volume.dtype, device=volume.device).view(broadcast) for _, factors in sums]
    return _weighted_sum((taken(places) for places, _ in sums), weights)


def _sums(position: np.ndarray, sigma: float, size: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """The voxels along an axis of `size` voxels that blur and interpolation add up for each position, and their factors, which add up to 1."""
    position = np.clip(position, 0, size - 1)
    nearest = np.rint(position)
    exact = np.abs(position - nearest).max() < EXACT
    low = (nearest if exact else np.floor(position)).astype(np.int64)
    weight = np.zeros(len(low)) if exact else position - low
    radius = _radius(sigma)
    bell = np.exp(-0.5 * (np.arange(-radius - 1, radius + 2) / max(sigma, 1e-3)) ** 2)
    bell[[0, -1]] = 0
    bell = np.append(bell / bell.sum(), 0)
    steps = range(-radius, radius + (1 if exact else 2))
    return [(np.clip(low + step, 0, size - 1), (1 - weight) * bell[n] + weight * bell[n - 1]) for n, step in enumerate(steps, start=1)]


def _weighted_sum(parts: Iterable[Tensor], factors: Sequence[Tensor | float], out: Tensor | None = None) -> Tensor:
    """The sum, in `out`; in the first part if that is left out, because writing to new memory takes as long as adding."""
    parts = iter(parts)
    first = next(parts)
    if len(factors) == 1:
        return first if out is None else out.copy_(first)
    out = first if out is None else out
    if len(factors) == 2:
        # Exact for equal parts.
        return torch.lerp(first, next(parts), factors[1], out=out)
    torch.mul(first, factors[0], out=out)
    for part, factor in zip(parts, factors[1:]):
        if isinstance(factor, float):
            out.add_(part, alpha=factor)
        else:
            out.addcmul_(part, factor)
    return out


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
