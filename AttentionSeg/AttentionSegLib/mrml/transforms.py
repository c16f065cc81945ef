"""Transforms between voxel indices, a node's own RAS, and the spaces of two nodes."""

from __future__ import annotations

import numpy as np
import slicer
import vtk

from .voxels import matrix_from_vtk


def local_affine(volume_node: slicer.vtkMRMLVolumeNode) -> np.ndarray:
    """Matrix from indices of the voxel array to the volume's own RAS in mm, parent transform not applied."""
    matrix = vtk.vtkMatrix4x4()
    volume_node.GetIJKToRASMatrix(matrix)
    affine = matrix_from_vtk(matrix)
    # In cropped or padded images the first voxel may have an index other than 0.
    affine[:3, 3] += affine[:3, :3] @ volume_node.GetImageData().GetExtent()[::2]
    return affine


def transform_between(source: slicer.vtkMRMLTransformableNode | None, target: slicer.vtkMRMLTransformableNode | None) -> vtk.vtkGeneralTransform:
    """Transform of points from the own RAS of one node to that of another, through the parent transforms of both. None stands for the world."""
    transform = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(_parent(source), _parent(target), transform)
    return transform


def linear_between(source: slicer.vtkMRMLTransformableNode | None, target: slicer.vtkMRMLTransformableNode | None) -> np.ndarray | None:
    """The 4x4 matrix of `transform_between`; None if a part of it is nonlinear."""
    transform = transform_between(source, target)
    parts = vtk.vtkCollection()
    slicer.vtkMRMLTransformNode.FlattenGeneralTransform(parts, transform)
    if not all(parts.GetItemAsObject(i).IsA("vtkLinearTransform") for i in range(parts.GetNumberOfItems())):
        return None
    # Computed from points, because Slicer's helpers multiply the parts in the wrong order in several versions.
    origin = np.array(transform.TransformPoint(0.0, 0.0, 0.0))
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack([np.array(transform.TransformPoint(*axis)) - origin for axis in np.eye(3)], axis=1)
    matrix[:3, 3] = origin
    return matrix


def _parent(node: slicer.vtkMRMLTransformableNode | None) -> slicer.vtkMRMLTransformNode | None:
    return None if node is None else node.GetParentTransformNode()
