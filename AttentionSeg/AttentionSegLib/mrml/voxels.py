"""Conversion of voxels and matrices between numpy and VTK. Slicer's arrays are [K, J, I]; ours are [I, J, K]."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import vtk
from vtk.util import numpy_support


def view_voxels(image_data: vtk.vtkImageData) -> np.ndarray:
    """The scalars of a VTK image as an array [I, J, K] that shares its memory."""
    scalars = numpy_support.vtk_to_numpy(image_data.GetPointData().GetScalars())
    return scalars.reshape(image_data.GetDimensions(), order="F")


def view_channels(image_data: vtk.vtkImageData) -> np.ndarray:
    """The same as [C, I, J, K], for scalars of C components."""
    scalars = numpy_support.vtk_to_numpy(image_data.GetPointData().GetScalars())
    return scalars.reshape(-1, image_data.GetNumberOfScalarComponents()).T.reshape(-1, *image_data.GetDimensions(), order="F")


def fill_voxels(image_data: vtk.vtkImageData, voxels: np.ndarray, start: Sequence[int] = (0, 0, 0)) -> None:
    """Copy voxels [I, J, K] into a VTK image, the first of them at index `start`."""
    extent = [end for first, count in zip(start, voxels.shape) for end in (int(first), int(first) + count - 1)]
    image_data.SetExtent(extent)
    image_data.AllocateScalars(numpy_support.get_vtk_array_type(voxels.dtype), 1)
    view_voxels(image_data)[...] = voxels


def matrix_from_vtk(matrix: vtk.vtkMatrix4x4) -> np.ndarray:
    """A 4x4 float64 copy of a VTK matrix."""
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


def matrix_to_vtk(matrix: np.ndarray) -> vtk.vtkMatrix4x4:
    """A VTK matrix with the values of a 4x4 array."""
    result = vtk.vtkMatrix4x4()
    result.DeepCopy(np.asarray(matrix, dtype=np.float64).ravel())
    return result
