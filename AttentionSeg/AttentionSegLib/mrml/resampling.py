"""Resampling of volumes and labelmaps on the grid of another volume, through the parent transforms of both."""

from __future__ import annotations

import numpy as np
import slicer
import vtk

from ..errors import InputError
from ..files.channels import LEAST_COVERAGE
from ..image import Image
from .transforms import transform_between
from .voxels import fill_voxels, matrix_to_vtk, view_voxels


def resample_onto(grid: Image, grid_node: slicer.vtkMRMLVolumeNode, volume_node: slicer.vtkMRMLVolumeNode) -> np.ndarray:
    """Sample a volume linearly at the voxel centers of a grid.

    Args:
        grid: image whose shape and affine the result gets.
        grid_node: volume in whose own RAS the grid is.
        volume_node: volume to sample, under any parent transform.

    Returns:
        Array [I, J, K], float64 for volumes of more than 24 bits and float32 for others; the volume's smallest value outside of it.

    Raises:
        InputError: if less than 90 % of the grid's voxels lie in the volume.
    """
    source = volume_node.GetImageData()
    ras_to_indices = vtk.vtkMatrix4x4()
    volume_node.GetRASToIJKMatrix(ras_to_indices)
    reslice = _reslice(source, grid, transform_between(grid_node, volume_node), ras_to_indices)
    reslice.SetOutputScalarType(_float_type(source))
    reslice.SetInterpolationModeToLinear()
    reslice.SetBackgroundLevel(source.GetScalarRange()[0])
    reslice.GenerateStencilOutputOn()
    reslice.Update()
    _check_coverage(reslice.GetStencilOutput(), grid, volume_node.GetName())
    return view_voxels(reslice.GetOutput())


def sample_labelmap(
    grid: Image, grid_node: slicer.vtkMRMLVolumeNode, segmentation_node: slicer.vtkMRMLTransformableNode, labelmap: slicer.vtkOrientedImageData
) -> np.ndarray:
    """The value of a segmentation's labelmap at the voxel centers of a grid, 0 outside it; [I, J, K] in its own type.

    Args:
        grid, grid_node: see `resample_onto`.
        segmentation_node: that the labelmap belongs to, under any parent transform.
        labelmap: with voxels.
    """
    # Without origin and directions: the transform works on indices.
    source = vtk.vtkImageData()
    fill_voxels(source, view_voxels(labelmap), labelmap.GetExtent()[::2])
    ras_to_indices = vtk.vtkMatrix4x4()
    labelmap.GetWorldToImageMatrix(ras_to_indices)
    reslice = _reslice(source, grid, transform_between(grid_node, segmentation_node), ras_to_indices)
    reslice.SetInterpolationModeToNearestNeighbor()
    reslice.Update()
    return view_voxels(reslice.GetOutput())


def _reslice(source: vtk.vtkImageData, grid: Image, between: vtk.vtkGeneralTransform, ras_to_indices: vtk.vtkMatrix4x4) -> vtk.vtkImageReslice:
    """A filter that samples an image at the voxels of a grid: grid indices -> its own RAS -> the source's RAS -> source indices."""
    transform = vtk.vtkGeneralTransform()
    transform.PostMultiply()
    transform.Concatenate(matrix_to_vtk(grid.affine))
    transform.Concatenate(between)
    transform.Concatenate(ras_to_indices)
    reslice = vtk.vtkImageReslice()
    reslice.SetInputData(source)
    reslice.SetResliceTransform(transform)
    reslice.SetOutputSpacing(1, 1, 1)
    reslice.SetOutputOrigin(0, 0, 0)
    reslice.SetOutputExtent([end for count in grid.shape for end in (0, count - 1)])
    return reslice


def _float_type(image_data: vtk.vtkImageData) -> int:
    exact = np.promote_types(view_voxels(image_data).dtype, np.float32)
    return vtk.VTK_DOUBLE if exact == np.float64 else vtk.VTK_FLOAT


def _check_coverage(stencil: vtk.vtkImageStencilData, grid: Image, name: str) -> None:
    mask = vtk.vtkImageStencilToImage()
    mask.SetInputData(stencil)
    mask.SetOutputScalarTypeToUnsignedChar()
    mask.Update()
    coverage = np.count_nonzero(view_voxels(mask.GetOutput())) / np.prod(grid.shape)
    if coverage < LEAST_COVERAGE:
        msg = (
            f"{name} covers only {100 * coverage:.0f} % of {grid.name}, and {100 * LEAST_COVERAGE:.0f} % are needed; "
            "choose volumes of the same body part and align them first."
        )
        raise InputError(msg)
