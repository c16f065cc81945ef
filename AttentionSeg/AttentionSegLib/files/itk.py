"""Conversion between SimpleITK's images (LPS) and `Image` (RAS), and reading of files by SimpleITK."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path

import numpy as np
import SimpleITK

from ..errors import InputError, memory_for
from ..image import LPS_TO_RAS, NO_ORIENTATION, Image, check_affine
from .meta_image import tells_directions
from .nrrd import has_directions, read_mm_per_unit, read_placement
from .requirements import check_real, check_scalar, check_size
from .stored_voxels import StoredVoxels, damaged

NRRD = "NrrdImageIO"
# Memory addresses, which are removed from messages.
ADDRESS = re.compile(r"\(0x[0-9a-fA-F]+\)")
COMPLEX = (SimpleITK.sitkComplexFloat32, SimpleITK.sitkComplexFloat64)


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress ITK's warnings: problems that matter to the user are checked and reported here."""
    shown = SimpleITK.ProcessObject.GetGlobalWarningDisplay()
    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        SimpleITK.ProcessObject.SetGlobalWarningDisplay(shown)


def read_itk(path: Path, image_io: str, stored: StoredVoxels | None, labels: bool = False) -> Image:
    """Read an NRRD or MetaImage file, [1, I, J, K], or [3, I, J, K] of a slice in colors, in the data type of the file.

    Its geometry is read by ITK, its voxels by `StoredVoxels`.

    Args:
        path: the file; for a detached header, the header.
        image_io: `NrrdImageIO` or `MetaImageIO`.
        stored: where the voxels are; None if ITK reads them too.
        labels: whether it is a label map, which may be a single voxel thick and have several layers [L, I, J, K].

    Raises:
        InputError: if the file is damaged, is not one real scalar 3D volume, or its geometry cannot be used.
    """
    if stored is not None:
        stored.check_there(path)
    reader = SimpleITK.ImageFileReader()
    reader.SetImageIO(image_io)
    reader.SetFileName(str(path))
    try:
        with quiet(), memory_for(str(path)):
            reader.ReadImageInformation()
            if not labels:
                check_scalar(path, reader.GetNumberOfComponents(), reader.GetSize())
            check_real(path, reader.GetPixelIDValue() in COMPLEX)
            shape = check_size(path, reader.GetSize(), 1 if labels else 2)
            affine = _affine(reader)
            if image_io == NRRD:
                placement = read_placement(path)
                affine = np.diag([*[read_mm_per_unit(path)] * 3, 1.0]) @ (affine if placement is None else placement)
            check_affine(affine, str(path))
            if stored is not None and stored.count != prod(reader.GetSize()) * reader.GetNumberOfComponents():
                raise damaged(path, "its header contradicts itself")
            voxels = None if stored is None else stored.read(path)
            if voxels is None or reader.GetNumberOfComponents() > 1:
                voxels = array(reader.Execute())
    except RuntimeError as error:
        msg = f"{path} cannot be read ({reason(error)}); copy or export it again."
        raise InputError(msg) from error
    oriented = has_directions(path) if image_io == NRRD else tells_directions(path)
    return Image(voxels.reshape((-1, *shape), order="F"), affine, str(path), () if oriented else (NO_ORIENTATION,))


@contextmanager
def decoding(name: str) -> Iterator[None]:
    """Turn ITK's errors about the pixels of DICOM files into InputError."""
    try:
        with quiet(), memory_for(name):
            yield
    except RuntimeError as error:
        msg = f"The pixels of {name} cannot be decoded ({reason(error)}); export the scan again as uncompressed DICOM or as NIfTI."
        raise InputError(msg) from error


def decoded(path: Path) -> np.ndarray:
    """The rescaled pixels of a DICOM file, its first axis first. Raises InputError if they cannot be decoded."""
    with decoding(str(path)):
        return array(SimpleITK.ReadImage(str(path), imageIO="GDCMImageIO"))


def array(image: SimpleITK.Image) -> np.ndarray:
    """The voxels of a scalar image with its first axis first."""
    return SimpleITK.GetArrayFromImage(image).T


def to_itk(image: Image) -> SimpleITK.Image:
    """The first channel as a SimpleITK image."""
    result = SimpleITK.GetImageFromArray(image.voxels[0].T)
    affine = LPS_TO_RAS @ image.affine
    result.SetSpacing(image.spacing.tolist())
    result.SetDirection((affine[:3, :3] / image.spacing).ravel().tolist())
    result.SetOrigin(affine[:3, 3].tolist())
    return result


def from_itk(image: SimpleITK.Image, name: str = "image") -> Image:
    """A scalar SimpleITK image as an `Image` of one channel."""
    return Image(array(image)[None], _affine(image), name)


def reason(error: RuntimeError) -> str:
    """The last line of an ITK exception, which states what is wrong."""
    last = str(error).strip().splitlines()[-1].strip().replace("ITK ERROR: ", "").rstrip(".")
    return ADDRESS.sub("", last)


def _affine(geometry: SimpleITK.ImageFileReader | SimpleITK.Image) -> np.ndarray:
    """The affine, IJK to RAS mm, of an image of 2 dimensions or more, from its first three."""
    dimension = geometry.GetDimension()
    count = min(dimension, 3)
    affine = np.eye(4)
    directions = np.reshape(geometry.GetDirection(), (dimension, dimension)) * geometry.GetSpacing()
    affine[:count, :count] = directions[:count, :count]
    affine[:count, 3] = geometry.GetOrigin()[:count]
    return LPS_TO_RAS @ affine
