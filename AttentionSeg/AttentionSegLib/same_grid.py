"""Comparison of voxel grids: whether two images have voxels at the same positions, whatever their axis order, direction and extent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .image import Image, box_corners

# Affines in float32 headers place voxels no better than this.
EXACT_MM = 1e-3
# Distance in voxels, along each axis, up to which voxels count as being at the same position.
NEAR = 0.1


@dataclass(frozen=True, eq=False)
class Placement:
    """Position of an image's voxels on the grid of another image.

    Attributes:
        matrix: [4, 4], integers, from voxel indices of the image to those of the grid: axes permuted, reversed and shifted.
        apart_mm: largest distance between a voxel of the image and its counterpart on the grid.
        apart_voxels: the same in voxels of the grid, along the axis where it is largest.
    """

    matrix: np.ndarray
    apart_mm: float
    apart_voxels: float

    @property
    def is_exact(self) -> bool:
        return self.apart_mm <= EXACT_MM

    @property
    def is_near(self) -> bool:
        """Whether the voxels of both may be treated as the same."""
        return self.is_exact or self.apart_voxels <= NEAR

    def start(self, shape: tuple[int, int, int]) -> np.ndarray:
        """Grid index of the first voxel of an image of this shape, after its axes are brought to the order and direction of the grid."""
        backwards = self.matrix[:3, :3].sum(1) < 0
        size = np.abs(self.matrix[:3, :3]) @ shape
        return self.matrix[:3, 3] - np.where(backwards, size - 1, 0)

    def covers(self, shape: tuple[int, int, int], grid_shape: tuple[int, int, int]) -> bool:
        """Whether an image of this shape has a voxel for every voxel of the grid."""
        ends = box_corners(np.zeros(3), np.array(shape) - 1.0) @ self.matrix[:3, :3].T + self.matrix[:3, 3]
        return bool((ends.min(0) <= 0).all() and (ends.max(0) >= np.array(grid_shape) - 1).all())

    def rearrange(self, voxels: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
        """The image's voxels [C, I, J, K] on the grid of this shape, without interpolation; 0 where the image does not reach."""
        source = np.abs(self.matrix[:3, :3]).argmax(1)
        backwards = self.matrix[range(3), source] < 0
        turned = voxels.transpose(0, *(source + 1))[(slice(None), *(slice(None, None, -1 if back else 1) for back in backwards))]
        size = np.array(turned.shape[1:])
        start = self.start(voxels.shape[1:])
        if tuple(size) == tuple(shape) and not start.any():
            return turned
        result = np.zeros((len(voxels), *shape), voxels.dtype)
        first, last = np.maximum(start, 0), np.minimum(start + size, shape)
        if (first < last).all():
            inside, taken = (tuple(slice(a, b) for a, b in zip(first - offset, last - offset)) for offset in (0 * start, start))
            result[(slice(None), *inside)] = turned[(slice(None), *taken)]
        return result


def is_same_grid(image: Image, shape: tuple[int, ...], affine: np.ndarray) -> bool:
    """Whether the voxels of an image are those of the grid of a shape and an affine, in the same order."""
    placement = place_on(image, Image(np.broadcast_to(np.uint8(0), (1, *shape)), affine))
    return image.shape == tuple(shape) and placement is not None and placement.is_exact and np.array_equal(placement.matrix, np.eye(4))


def place_on(image: Image, grid: Image) -> Placement | None:
    """The placement of an image on the grid of another; None if spacing or directions differ so much that voxels cannot coincide."""
    to_grid = np.linalg.inv(grid.affine) @ image.affine
    matrix = np.rint(to_grid)
    turned = np.abs(matrix[:3, :3])
    if (turned.sum(0) != 1).any() or (turned.sum(1) != 1).any():
        return None
    # Rounded at the center of the image, because far from it a small rotation is a large shift.
    middle = (np.array(image.shape) - 1) // 2
    matrix[:3, 3] = np.rint(to_grid[:3, :3] @ middle + to_grid[:3, 3]) - matrix[:3, :3] @ middle
    corners = box_corners(np.zeros(3), np.array(image.shape) - 1.0)
    apart = image.to_ras(corners) - grid.to_ras(corners @ matrix[:3, :3].T + matrix[:3, 3])
    in_voxels = apart @ np.linalg.inv(grid.affine[:3, :3]).T
    return Placement(matrix.astype(int), float(np.linalg.norm(apart, axis=1).max()), float(np.abs(in_voxels).max()))
