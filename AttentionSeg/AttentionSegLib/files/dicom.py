"""DICOM series: which files belong together, and their voxels in the order of their positions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import SimpleITK
from pydicom.dataset import Dataset

from ..errors import InputError, memory_for
from ..image import Image, check_affine
from .dicom_header import cut_off, read_header, slices_of
from .itk import array, quiet, reason
from .requirements import check_size
from .slices import Slice, stack

LISTED = 8


def read_dicom_folder(folder: Path) -> Image:
    """Read the one series in a folder, [1, I, J, K] = columns, rows, slices along the slice normal, rescaled to the unit of the scan.

    Files that are not DICOM or hold no pixels are passed over, unless they are called as the slices are. Subfolders are not searched.

    Raises:
        InputError: if there are no or several series, a file is damaged, or the slices do not make a regular volume.
    """
    files = sorted(path for path in folder.iterdir() if path.is_file())
    headers = _headers(files)
    lost = cut_off([path for path in files if path not in headers], headers)
    if lost:
        msg = f"{lost[0]} is no DICOM file, though it is called as the slices of a scan beside it are; copy or export it again, or take it away."
        raise InputError(msg)
    if not headers:
        msg = f"The folder {folder} holds no DICOM images (subfolders are not searched); give the folder that holds the slices, or an image file."
        raise InputError(msg)
    series = defaultdict(list)
    for path, header in headers.items():
        series[str(header.get("SeriesInstanceUID"))].append(path)
    if len(series) > 1:
        listing = [_describe(headers[paths[0]], len(paths)) for paths in series.values()]
        more = f" and {len(listing) - LISTED} more" if len(listing) > LISTED else ""
        msg = f"The folder {folder} holds {len(series)} DICOM series: {', '.join(listing[:LISTED])}{more}; give a folder with one of them."
        raise InputError(msg)
    return _read(headers, str(folder))


def read_dicom_series(files: Sequence[Path], name: str) -> Image:
    """Read the files of one series, whatever else lies beside them, as read_dicom_folder does."""
    return _read(_headers(files), name)


def series_slices(files: Sequence[Path], name: str) -> list[Slice]:
    """The slices of a series along their normal, in the order of the voxels that are read from it. InputError as read_dicom_folder."""
    return stack([one for path, header in _headers(files).items() for one in slices_of(header, path)], name)[0]


def read_dicom_file(path: Path) -> Image:
    """Read a multi-frame file, as read_dicom_folder does. InputError for a file of one slice, or without pixels."""
    header = read_header(path)
    if header is None:
        msg = f"{path} is a DICOM file without an image; give a file or a folder with the slices of a scan."
        raise InputError(msg)
    return _read({path: header}, str(path))


def _headers(files: Iterable[Path]) -> dict[Path, Dataset]:
    """The headers of the files that are DICOM images."""
    headers = {path: read_header(path) for path in files}
    return {path: header for path, header in headers.items() if header is not None}


def _read(headers: dict[Path, Dataset], name: str) -> Image:
    slices = [one for path, header in headers.items() for one in slices_of(header, path)]
    if len(headers) > 1 and len(slices) > len(headers):
        msg = f"{name} holds {len(headers)} DICOM files of one series with several frames each; give one of the files."
        raise InputError(msg)
    ordered, affine = stack(slices, name)
    check_size(Path(name), (*ordered[0].size, len(ordered)))
    check_affine(affine, name)
    return Image(_read_voxels(ordered, name)[None], affine, name)


def _read_voxels(ordered: list[Slice], name: str) -> np.ndarray:
    """The voxels [I, J, K]; every slice rescaled by its own slope and intercept."""
    frames = ordered[0].path == ordered[-1].path
    reader: SimpleITK.ImageReaderBase
    if frames:
        reader = SimpleITK.ImageFileReader()
        reader.SetFileName(str(ordered[0].path))
    else:
        reader = SimpleITK.ImageSeriesReader()
        reader.SetFileNames([str(one.path) for one in ordered])
    reader.SetImageIO("GDCMImageIO")
    storages = {one.storage for one in ordered}
    if len(storages) > 1 or any(number != int(number) for number in ordered[0].storage):
        # ITK would force all slices into the data type of the first, where the values of the others can overflow.
        reader.SetOutputPixelType(SimpleITK.sitkFloat32)
    try:
        with quiet(), memory_for(name):
            voxels = array(reader.Execute())
    except RuntimeError as error:
        msg = f"The pixels of {name} cannot be decoded ({reason(error)}); export the scan again as uncompressed DICOM or as NIfTI."
        raise InputError(msg) from error
    shape = (*ordered[0].size, len(ordered))
    if voxels.shape != shape:
        msg = f"{name} was decoded to {voxels.shape} voxels where its headers say {shape}; export it again."
        raise InputError(msg)
    order = [one.frame for one in ordered]
    return voxels[..., order] if frames and order != sorted(order) else voxels


def _describe(header: Dataset, files: int) -> str:
    number, description = header.get("SeriesNumber"), header.get("SeriesDescription")
    title = " ".join(str(part) for part in (number, f"'{description}'" if description else None) if part is not None) or "without number"
    return f"{title} ({header.get('Modality') or 'unknown modality'}, {files} files)"
