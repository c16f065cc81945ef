"""Reading one scan from disk, whatever its format."""

from __future__ import annotations

import re
from pathlib import Path

from ..errors import InputError
from ..image import Image
from .dicom_search import DicomSeries
from .names import extension
from .nifti import read_nifti

IMAGE_IO = {".nrrd": "NrrdImageIO", ".nhdr": "NrrdImageIO", ".seg.nrrd": "NrrdImageIO", ".mha": "MetaImageIO", ".mhd": "MetaImageIO"}
HEADER_BYTES = 4096
MOST_DIMENSIONS = 10


def read_image(path: Path | str | DicomSeries) -> Image:
    """Read a scan from NIfTI, NRRD, MetaImage, a folder with one DICOM series, a multi-frame DICOM file, or a series that `find_series` found.

    Returns:
        Voxels [1, I, J, K] in the axis order and the data type of the file (rescaled values become floats where the file says so), with the
        affine from IJK to RAS mm. The path is the name of the image.

    Raises:
        InputError: if the path is missing, unreadable, empty or of an unknown format; if the file is damaged or cut off; if it holds colors,
            complex numbers, several volumes or fewer than 2 voxels along an axis; if its geometry is sheared, singular or not finite; or if
            the slices of a DICOM series do not make one regular volume.
    """
    # Each reader where its files turn up: SimpleITK and pydicom take a while to import, and most runs need neither.
    if isinstance(path, DicomSeries):
        from .dicom import read_dicom_series

        return read_dicom_series(path.files, str(path))
    path = Path(path)
    _check_readable(path)
    if path.is_dir():
        from .dicom import read_dicom_folder

        return read_dicom_folder(path)
    ending = extension(path)
    if ending in (".nii", ".nii.gz"):
        return read_nifti(path)
    if ending in (".mha", ".mhd"):
        _check_meta_image(path)
    if ending in IMAGE_IO:
        from .itk import read_itk

        return read_itk(path, IMAGE_IO[ending])
    from pydicom.misc import is_dicom

    if is_dicom(path):
        from .dicom import read_dicom_file

        return read_dicom_file(path)
    msg = f"{path} is not an image of a known format; give NIfTI (.nii, .nii.gz), NRRD (.nrrd, .nhdr), MetaImage (.mha, .mhd) or DICOM."
    raise InputError(msg)


def _check_meta_image(path: Path) -> None:
    # ITK prints to the console over a header without NDims, and ends the process over one with a large one.
    with open(path, "rb") as file:
        found = re.search(rb"^\s*NDims\s*=\s*(\d{1,3})\s*$", file.read(HEADER_BYTES), re.MULTILINE)
    if found is None or not 1 <= int(found[1]) <= MOST_DIMENSIONS:
        msg = f"{path} is not a MetaImage (its header does not tell the number of dimensions); copy or export it again."
        raise InputError(msg)


def _check_readable(path: Path) -> None:
    try:
        if path.is_dir():
            next(path.iterdir(), None)
            return
        with open(path, "rb") as file:
            empty = not file.read(1)
    except FileNotFoundError as error:
        msg = f"There is no file or folder {path}; check the path."
        raise InputError(msg) from error
    except OSError as error:
        msg = f"{path} cannot be opened ({error.strerror}); check the path and the permissions."
        raise InputError(msg) from error
    if empty:
        msg = f"{path} is an empty file; copy or export it again."
        raise InputError(msg)
