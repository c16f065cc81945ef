"""Voxels of a segment, copied from the scene, in the space of another node, and on any grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import slicer
import vtk
from numpy.typing import ArrayLike

from ..boxes import bounding_box
from ..image import Image, box_corners
from .resampling import sample_labelmap
from .segmentations import BINARY_LABELMAP
from .transforms import linear_between, transform_between
from .voxels import fill_voxels, matrix_from_vtk, matrix_to_vtk, view_voxels

# Points per edge that carry a box through a nonlinear transform, and the fraction by which it is widened for what lies between them.
POINTS, WIDER = 9, 0.15


@dataclass(frozen=True, eq=False)
class SegmentVoxels:
    """A segment, copied from the scene; usable in any thread.

    Attributes:
        mask: bool [I, J, K], cropped to the segment; of size 0 if the segment is empty.
        affine: 4x4 matrix from its voxel indices to RAS mm of a node's own space.
    """

    mask: np.ndarray
    affine: np.ndarray

    @property
    def empty(self) -> bool:
        return self.mask.size == 0

    def corners(self) -> np.ndarray:
        """The eight outer corners in RAS mm, [8, 3]."""
        return moved(self.affine, box_corners(np.full(3, -0.5), np.array(self.mask.shape) - 0.5))

    def on_grid(self, grid: np.ndarray, shape: np.ndarray) -> np.ndarray:
        """The segment at the voxels of a grid, bool [*shape], sampled at the nearest voxel.

        Args:
            grid: 4x4 matrix from its indices to RAS mm of the segment's space.
            shape: voxels along its axes.
        """
        if self.empty:
            return np.zeros(shape, bool)
        # Imported here because scipy is slow to import, and the panel opens without it.
        from scipy.ndimage import affine_transform

        matrix = np.linalg.inv(self.affine) @ grid
        # scipy treats positions beyond the centers of the outermost voxels as outside.
        padded = np.pad(self.mask, 1).astype(np.uint8)
        return affine_transform(padded, matrix[:3, :3], matrix[:3, 3] + 1, tuple(shape), order=0, prefilter=False).astype(bool)


def segment_voxels(segment: slicer.vtkSegment) -> SegmentVoxels:
    """Copy the voxels of a segment, in the own RAS of its segmentation. Main thread only."""
    labelmap = segment.GetRepresentation(BINARY_LABELMAP)
    if labelmap is None or labelmap.GetNumberOfPoints() == 0:
        return _nothing(np.eye(4))
    start = labelmap.GetExtent()[::2]
    return _cropped(view_voxels(labelmap) == segment.GetLabelValue(), image_affine(labelmap) @ shift(start))


def in_space_of(
    part: SegmentVoxels, node: slicer.vtkMRMLSegmentationNode, space: slicer.vtkMRMLTransformableNode | None, grid: np.ndarray
) -> SegmentVoxels:
    """A segment in the own RAS of another node, through the parent transforms of both. Main thread only.

    Args:
        part: in the own RAS of its segmentation.
        node: this segmentation.
        space: the other node; None for the world.
        grid: 4x4 matrix from indices to RAS mm of that space, on which the segment is resampled if a transform in between is nonlinear.
    """
    matrix = linear_between(node, space)
    if matrix is not None or part.empty:
        return SegmentVoxels(part.mask, grid if matrix is None else matrix @ part.affine)
    raster = [np.linspace(-0.5, count - 0.5, POINTS) for count in part.mask.shape]
    points = moved(part.affine, np.stack(np.meshgrid(*raster, indexing="ij"), -1).reshape(-1, 3))
    transform = transform_between(node, space)
    indices = moved(np.linalg.inv(grid), np.array([transform.TransformPoint(*point) for point in points]))
    margin = WIDER * np.ptp(indices, axis=0) + 2
    first, last = np.floor(indices.min(0) - margin).astype(int), np.ceil(indices.max(0) + margin).astype(int)
    affine = grid @ shift(first)
    labelmap = slicer.vtkOrientedImageData()
    fill_voxels(labelmap, part.mask.astype(np.uint8))
    labelmap.SetImageToWorldMatrix(matrix_to_vtk(part.affine))
    target = Image(np.broadcast_to(np.uint8(0), (1, *(last - first + 1))), affine)
    return _cropped(sample_labelmap(target, space, node, labelmap) != 0, affine)


def image_affine(image: slicer.vtkOrientedImageData) -> np.ndarray:
    """4x4 matrix from the indices of an oriented image, as counted by its extent, to RAS mm."""
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    return matrix_from_vtk(matrix)


def moved(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points [..., 3] through a 4x4 matrix."""
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def shift(start: ArrayLike) -> np.ndarray:
    """4x4 matrix from the indices of a part that starts at `start` to those of the whole."""
    matrix = np.eye(4)
    matrix[:3, 3] = start
    return matrix


def _cropped(mask: np.ndarray, affine: np.ndarray) -> SegmentVoxels:
    box = bounding_box(mask)
    return _nothing(affine) if box is None else SegmentVoxels(mask[box].copy(), affine @ shift([part.start for part in box]))


def _nothing(affine: np.ndarray) -> SegmentVoxels:
    return SegmentVoxels(np.zeros((0, 0, 0), bool), affine)
