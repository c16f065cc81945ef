"""Reading of DICOM series as volumes, with the slices in the order of their positions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import SimpleITK
from pydicom.dataset import Dataset

from ..errors import InputError, memory_for
from ..image import NO_SPACING, Image, Note, check_affine
from .dicom_header import cut_off, read_frames, read_header, same_pixels, slices_of
from .dicom_pictures import is_colored, read_colors
from .dicom_search import choose_series, series_of
from .itk import array, decoding
from .regular_grid import resample_slices
from .requirements import check_size
from .slices import Slice, stack

INVERTED = "MONOCHROME1"
# By GDCM, whatever the modality.
LOW_IS_BRIGHT = Note(f"The values were inverted, as the image has low ones for bright ({INVERTED})")


def read_dicom_folder(folder: Path, regularize: bool = False) -> Image:
    """Read the one scan in a folder, [1, I, J, K] = columns, rows, slices along the slice normal, rescaled to the unit of the scan.

    A 2D image in colors gives [3, I, J, 1].

    Files that are not DICOM or have no pixels are skipped, unless they are named like the slices; so are, with a note, segmentations, doses,
    localizers and single images beside a scan. Subfolders are not searched.

    Args:
        folder: the folder of the slices.
        regularize: whether slices at irregular positions are resampled to a regular grid (see `resample_slices`).

    Raises:
        InputError: if there are no or several scans, a file is damaged, or the slices do not form a regular volume.
    """
    files = sorted(path for path in folder.iterdir() if path.is_file())
    headers = _headers(files)
    lost = cut_off([path for path in files if path not in headers], headers)
    if lost:
        msg = f"{lost[0]} is no DICOM file, though it is named like the slices of a scan beside it; copy or export it again, or remove it."
        raise InputError(msg)
    if not headers:
        msg = f"The folder {folder} holds no DICOM images (subfolders are not searched); give the folder that holds the slices, or an image file."
        raise InputError(msg)
    series = series_of(headers)
    chosen = choose_series(series, folder)
    image = _read({path: headers[path] for path in chosen.files}, str(folder), regularize)
    if len(series) == 1:
        return image
    others = ", ".join(f"{one.modality} {one.title}".strip() for one in series if one is not chosen)
    return replace(image, notes=(*image.notes, Note(f"Series {chosen.title or chosen.uid} of the folder was taken", f"passed over: {others}")))


def read_dicom_series(files: Sequence[Path], name: str, regularize: bool = False) -> Image:
    """Read the files of one series; see `read_dicom_folder`."""
    return _read(_headers(files), name, regularize)


def series_slices(files: Sequence[Path], name: str) -> list[Slice]:
    """The slices of a series along their normal, in the order of its voxels. Raises InputError, see `read_dicom_folder`."""
    return stack(_slices(_headers(files))[0], name).slices


def read_dicom_file(path: Path, regularize: bool = False) -> Image:
    """Read a file of one or several frames; see `read_dicom_folder`. Raises InputError for a file without pixels."""
    header = read_header(path)
    if header is None:
        msg = f"{path} is a DICOM file without an image; give a file or a folder with the slices of a scan."
        raise InputError(msg)
    return _read({path: header}, str(path), regularize)


def _headers(files: Iterable[Path]) -> dict[Path, Dataset]:
    """The headers of the files that are DICOM images."""
    headers = {path: read_header(path) for path in files}
    return {path: header for path, header in headers.items() if header is not None}


def _read(headers: dict[Path, Dataset], name: str, regularize: bool) -> Image:
    slices, notes = _slices(headers)
    if len(headers) > 1 and len(slices) > len(headers):
        msg = f"{name} holds {len(headers)} DICOM files of one series with several frames each; give one of the files."
        raise InputError(msg)
    found = stack(slices, name, regularize)
    ordered, affine = found.slices, found.affine
    check_size(Path(name), (*ordered[0].size, len(ordered)))
    colored = any(is_colored(header) for header in headers.values())
    voxels = read_colors(ordered[0].path) if colored else _read_voxels(ordered, name)[None]
    outside = None
    if affine is None:
        with memory_for(name):
            resampled, affine, beside = resample_slices(voxels[0], ordered)
            voxels, outside = resampled[None], beside[None] if beside.any() else None
    check_affine(affine, name)
    known = all(one.spacing_known for one in ordered)
    modality = next(iter(headers.values())).get("Modality")
    said = (str(modality),) * len(voxels) if modality else ()
    inverted = any(header.get("PhotometricInterpretation") == INVERTED for header in headers.values())
    notes = (*notes, *found.notes, *(() if known else (NO_SPACING,)), *((LOW_IS_BRIGHT,) if inverted else ()))
    return Image(voxels, affine, name, notes, known, outside, said)


def _slices(headers: dict[Path, Dataset]) -> tuple[list[Slice], tuple[Note, ...]]:
    """The slices of files without duplicates of the same pixels, and a note about the duplicates."""
    slices = [one for path, header in headers.items() for one in slices_of(header, path)]
    at: dict[tuple[float, ...], list[Slice]] = {}
    left_out = 0
    for one in slices:
        same = at.setdefault(tuple(one.position.round(3)), [])
        if any(other.path != one.path and other.is_like(one) and same_pixels(other.path, one.path) for other in same):
            left_out += 1
        else:
            same.append(one)
    notes = (Note("Duplicate slices were left out", f"{left_out} of {len(slices)} files"),) if left_out else ()
    return [one for same in at.values() for one in same], notes


def _read_voxels(ordered: list[Slice], name: str) -> np.ndarray:
    """Read the voxels [I, J, K]; each slice is rescaled by its own slope and intercept."""
    frames, order = ordered[0].path == ordered[-1].path, [one.frame for one in ordered]
    storages = {one.storage for one in ordered}
    if frames and len(storages) > 1:
        # ITK applies one slope per file.
        stored = read_frames(ordered[0].path)[..., order].astype(np.float32)
        slopes, intercepts = (np.array([one.storage[part] for one in ordered], np.float32) for part in (0, 1))
        return stored * slopes + intercepts
    reader: SimpleITK.ImageReaderBase
    if frames:
        reader = SimpleITK.ImageFileReader()
        reader.SetFileName(str(ordered[0].path))
    else:
        reader = SimpleITK.ImageSeriesReader()
        reader.SetFileNames([str(one.path) for one in ordered])
    reader.SetImageIO("GDCMImageIO")
    if len(storages) > 1 or any(number != int(number) for number in ordered[0].storage):
        # ITK would convert all slices to the data type of the first, in which the values of others can overflow.
        reader.SetOutputPixelType(SimpleITK.sitkFloat32)
    with decoding(name):
        voxels = array(reader.Execute())
    shape = (*ordered[0].size, len(ordered))
    if voxels.shape != shape:
        msg = f"{name} was decoded to {voxels.shape} voxels where its headers say {shape}; export it again."
        raise InputError(msg)
    return voxels[..., order] if frames and order != sorted(order) else voxels
