"""Reading of a scan or label map in any supported format."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import InputError
from ..image import Image, without_nan
from .dicom_search import DicomSeries
from .formats import PAIRED, described, format_of


def read_image(path: str | os.PathLike, regularize: bool = False) -> Image:
    """Read a scan from one of FORMATS, a folder with one DICOM series, a DICOM file, or a series that `find_series` found.

    Args:
        path: the file, folder or series.
        regularize: whether DICOM slices at irregular positions are resampled to a regular grid.

    Returns:
        Voxels [1, I, J, K], or [3, I, J, K] of a single slice in colors, in the axis order and the data type of the file (rescaled values become
        floats), with the affine from IJK to RAS mm, and the lowest number in place of NaN, which are `outside`. The path is the name of the image.

    Raises:
        InputError: if the path is missing, unreadable, empty or of an unknown format; if the file is damaged or cut off; if a volume has colors,
            complex numbers, several volumes or fewer than 2 voxels along two axes; if its geometry is sheared, singular or not finite; or if
            the slices of a DICOM series do not form one regular volume.
    """
    return without_nan(_read(path, regularize=regularize))


def read_label_layers(path: Path | str) -> Image:
    """Read a label map as `read_image` does, with two differences: it may be a single voxel thick, for example if it was cropped to the labels, and
    segmentations of 3D Slicer with overlapping segments, and those of DICOM, give their layers [L, I, J, K].
    """
    return _read(path, labels=True)


def _read(path: str | os.PathLike, labels: bool = False, regularize: bool = False) -> Image:
    # Imported on use: pydicom takes a while to import, and most runs do not need it.
    if isinstance(path, DicomSeries):
        from .dicom import read_dicom_series

        return read_dicom_series(path.files, str(path), regularize)
    path = Path(path)
    _check_readable(path)
    if path.is_dir():
        from .dicom import read_dicom_folder

        return read_dicom_folder(path, regularize)
    if path.suffix.lower() == PAIRED:
        from .brain_formats import partner_of

        path = partner_of(path) or path
    form = format_of(path)
    if form is not None:
        return form.read(path, labels)
    from .dicom_header import is_dicom

    if labels and is_dicom(path):
        from .dicom_labels import is_segmentation, read_dicom_layers

        if is_segmentation(path):
            return read_dicom_layers(path)
    if is_dicom(path):
        from .dicom import read_dicom_file

        return read_dicom_file(path, regularize)
    msg = f"{path} is not an image of a known format; give {described()} or DICOM."
    raise InputError(msg)


def _check_readable(path: Path) -> None:
    try:
        if not path.is_dir() and path.exists() and not path.is_file():
            msg = f"{path} is a device or a pipe and not a file; save the scan in a file and give that."
            raise InputError(msg)
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
