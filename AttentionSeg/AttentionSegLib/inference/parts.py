"""Parts of an image: the voxel range of a region, the voxels inside it, and the affine of a part."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ..image import Image
from ..region import Region

# A voxel center up to this far outside a face of the box, in mm, counts as on it.
ON_THE_FACE = 1e-6
# Of a copy of the scan that is resampled at a time.
PIECE_BYTES = 128 * 1024**2


def bounds(image: Image, region: Region | None) -> tuple[np.ndarray, np.ndarray]:
    """First and one past the last voxel, along each axis, of the bounding box of a region; of the whole image when it is None."""
    shape = np.array(image.shape)
    if region is None:
        return np.zeros(3, int), shape
    corners = image.to_ijk(region.corners())
    low = np.clip(np.floor(corners.min(0)), 0, shape - 1).astype(int)
    return low, np.clip(np.ceil(corners.max(0)) + 1, low + 1, shape).astype(int)


def slabs(first: np.ndarray, last: np.ndarray, voxels: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """A part cut along its last axis, as it lies in memory, into slabs of at most `voxels` voxels, or of one slice if that has more."""
    slices = max(1, int(voxels // np.prod((last - first)[:2])))
    for start in range(first[2], last[2], slices):
        yield np.array([*first[:2], start]), np.array([*last[:2], min(start + slices, last[2])])


def beneath(matrix: np.ndarray, shape: Sequence[int], input_shape: Sequence[int], margin: float | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and one past the last voxel of an input grid, along each axis, that the voxels of another grid come from.

    Args:
        matrix: voxel map, output to input.
        shape: of the output.
        input_shape: of the input.
        margin: further voxels of the input, for all axes or each.
    """
    ends = np.array([(i, j, k) for i in (0, shape[0]) for j in (0, shape[1]) for k in (0, shape[2])])
    seen = ends @ matrix[:3, :3].T + matrix[:3, 3]
    low = np.clip(np.floor(seen.min(0) - margin), 0, np.array(input_shape) - 1).astype(int)
    return low, np.clip(np.ceil(seen.max(0) + margin) + 1, low + 1, input_shape).astype(int)


def held(affine: np.ndarray, first: np.ndarray, last: np.ndarray, region: Region) -> np.ndarray:
    """Which voxels from `first` to before `last` have their center in the region (its faces included). bool [*(last - first)]

    Args:
        affine: voxel indices to RAS mm.
        first, last: along each axis.
        region: the region.
    """
    index = np.ogrid[tuple(slice(int(a), int(b)) for a, b in zip(first, last))]
    to_box = np.asarray(region.axes, dtype=float).T @ affine[:3, :3]
    offset = np.asarray(region.axes, dtype=float).T @ (affine[:3, 3] - np.asarray(region.center, dtype=float))
    result = np.ones(np.subtract(last, first), dtype=bool)
    for row, start, size in zip(to_box, offset, region.size):
        result &= np.abs(row[0] * index[0] + row[1] * index[1] + row[2] * index[2] + start) <= size / 2 + ON_THE_FACE
    return result


def affine_from(affine: np.ndarray, first: np.ndarray) -> np.ndarray:
    """The affine of the part that begins at the voxel `first`."""
    moved = affine.copy()
    moved[:3, 3] += affine[:3, :3] @ first
    return moved
