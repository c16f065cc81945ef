"""Random deformation of label maps, computed row by row to save memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from monai.transforms.utils import create_rotate

from ...image import Numbers
from .settings import Synthesis

FEWEST_POINTS, MOST_POINTS = 4, 16


@dataclass(frozen=True, eq=False)
class Warp:
    """Mapping from the voxels of a patch to a label map: `matrix` times the offset from the center of the patch, plus `middle`, plus shifts.

    Attributes:
        matrix: [3, 3] float32, voxels to voxels.
        middle: [3] float32, center of the patch, in voxels of the label map.
        control: [3, *points] float32, shifts in voxels of the label map at points spread over the patch, linear in between.
    """

    matrix: np.ndarray
    middle: np.ndarray
    control: np.ndarray


def draw_warp(synthesis: Synthesis, middle: Numbers, size: Sequence[int], spacing: Numbers, rng: np.random.Generator) -> Warp:
    """Draw a random affine and elastic deformation about the center of a patch.

    Args:
        synthesis: ranges.
        middle: center of the patch, in voxels of the label map.
        size: voxels of the patch.
        spacing: of the voxels of both in mm.
        rng: random numbers.
    """
    voxel = np.asarray(spacing, dtype=float)
    angles = np.radians(rng.uniform(-1, 1, 3) * synthesis.rotation_degrees)
    rotation = np.asarray(create_rotate(3, angles.tolist()))[:3, :3]
    shear = np.eye(3) + (1 - np.eye(3)) * rng.uniform(-synthesis.shear, synthesis.shear, (3, 3))
    # The map is sampled, so the scaling is inverted.
    linear = rotation @ shear @ np.diag(1 / rng.uniform(*synthesis.scaling, 3))
    shift = rng.uniform(-1, 1, 3) * synthesis.translation_mm / voxel
    extent = np.multiply(size, voxel)
    points = np.clip(np.ceil(extent / synthesis.elastic_spacing_mm) + 1, FEWEST_POINTS, MOST_POINTS).astype(int)
    control = rng.standard_normal((3, *points)) * rng.uniform(0, synthesis.elastic_mm) / voxel.reshape(3, 1, 1, 1)
    matrix = linear * voxel / voxel[:, None]
    return Warp(matrix.astype(np.float32), (np.asarray(middle) + shift).astype(np.float32), control.astype(np.float32))


def warped_rows(labels: np.ndarray, warp: Warp, size: Sequence[int]) -> Iterator[np.ndarray]:
    """The values [J, K] of a label map at the voxels of a patch, one row of its first axis after the other, from the nearest voxel.

    Args:
        labels: [I, J, K], whose outermost voxels continue beyond the map.
        warp: of the patch.
        size: voxels of the patch.
    """
    offsets = [np.arange(n, dtype=np.float32) - (n - 1) / 2 for n in size]
    flat = labels.reshape(-1)
    last = np.array(labels.shape, np.float32) - 1
    strides = np.array([labels.shape[1] * labels.shape[2], labels.shape[2], 1], np.int32)
    rest = [warp.matrix[axis, 1] * offsets[1][:, None] + warp.matrix[axis, 2] * offsets[2] + warp.middle[axis] for axis in range(3)]
    rows = smooth_rows(warp.control, size)
    for first in offsets[0]:
        shifts = next(rows)
        index = np.zeros(rest[0].shape, np.int32)
        for axis in range(3):
            place = shifts[axis]
            place += rest[axis]
            place += warp.matrix[axis, 0] * first
            np.rint(place, out=place)
            np.clip(place, 0, last[axis], out=place)
            index += place.astype(np.int32) * strides[axis]
        yield flat.take(index)


def smooth_rows(control: np.ndarray, size: Sequence[int]) -> Iterator[np.ndarray]:
    """The rows [C, J, K] along the first axis of a field that is linear between control points [C, *points] spread from corner to corner."""
    first, second, third = (spread_matrix(points, n) for points, n in zip(control.shape[1:], size))
    planes = second @ (control @ third.T)
    for weights in first:
        low = int(np.flatnonzero(weights)[0])
        row = weights[low] * planes[:, low]
        if low + 1 < len(weights) and weights[low + 1]:
            row += weights[low + 1] * planes[:, low + 1]
        yield row


def spread_matrix(points: int, size: int) -> np.ndarray:
    """[size, points] float32 weights of linear interpolation from points spread over an axis from end to end."""
    return interpolation_matrix(np.linspace(0, points - 1, size), points)


def interpolation_matrix(positions: np.ndarray, points: int) -> np.ndarray:
    """[positions, points] float32 weights of linear interpolation at positions in points, clipped to the axis."""
    positions = np.clip(positions, 0, points - 1)
    low = np.minimum(positions.astype(int), max(points - 2, 0))
    result = np.zeros((len(positions), points), np.float32)
    rows = np.arange(len(positions))
    result[rows, low] = 1 - (positions - low)
    result[rows, np.minimum(low + 1, points - 1)] += positions - low
    return result
