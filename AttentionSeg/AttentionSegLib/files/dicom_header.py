"""The headers of DICOM files, as far as they place and describe pixels."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.misc import is_dicom
from pydicom.uid import UID

from ..errors import InputError
from .requirements import check_scalar
from .slices import Slice

# No name, date or number of a patient is among them.
TAGS = [
    "SOPClassUID",
    "ImageType",
    "SeriesInstanceUID",
    "SeriesNumber",
    "SeriesDescription",
    "Modality",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "BitsAllocated",
    "BitsStored",
    "PixelRepresentation",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "RescaleSlope",
    "RescaleIntercept",
    "ModalityLUTSequence",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
]
GRAY = ("MONOCHROME1", "MONOCHROME2")
DAMAGE = (EOFError, ValueError, TypeError, KeyError, AttributeError, NotImplementedError, struct.error, BytesLengthException, InvalidDicomError)


def read_header(path: Path) -> Dataset | None:
    """The header of a DICOM image; None for a file that is not DICOM or has no pixels.

    Raises:
        InputError: if the file is DICOM but damaged, or may not be read.
    """
    with reading(path):
        if not is_dicom(path):
            return None
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=TAGS)
        # pydicom decodes an element when it is first asked for, which for damaged ones must happen here.
        list(header)
        if header.get("Rows") and header.get("Columns"):
            return header
        kind = UID(header.file_meta.get("MediaStorageSOPClassUID") or header.get("SOPClassUID") or "").name
    if "Image Storage" in kind:
        msg = f"{path} is a {kind.replace(' Storage', '')} without Rows and Columns, so it was cut off; copy or export it again."
        raise InputError(msg)
    return None


def slices_of(header: Dataset, path: Path) -> list[Slice]:
    """The slices of one file, in the order of its frames.

    Raises:
        InputError: if the pixels are colors, or a slice has no position, orientation or pixel spacing in the patient.
    """
    with reading(path):
        _check_content(header, path)
        frames = header.get("PerFrameFunctionalGroupsSequence") or [Dataset()]
        shared = (header.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
        slices = [_slice(header, path, k, [*_groups(frame), *_groups(shared), header]) for k, frame in enumerate(frames)]
        count = int(header.get("NumberOfFrames") or 1)
    _check_frames(slices, count, path)
    return slices


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn the many errors of damaged DICOM files into InputError, and keep pydicom's warnings (of numbers with too many digits) off the console."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except InputError:
            raise
        except OSError as error:
            msg = f"{path} cannot be read ({error.strerror or error}); check the permissions, or copy it again."
            raise InputError(msg) from error
        except DAMAGE as error:
            msg = f"{path} is a damaged DICOM file; copy or export it again."
            raise InputError(msg) from error


def _groups(frame: Dataset) -> Iterable[Dataset]:
    """The items of the functional groups of a frame."""
    return (element.value[0] for element in frame if element.VR == "SQ" and element.value)


def _check_content(header: Dataset, path: Path) -> None:
    check_scalar(path, int(header.get("SamplesPerPixel") or 1))
    if header.get("PhotometricInterpretation") not in GRAY:
        msg = f"{path} has pixels of the kind {header.get('PhotometricInterpretation')}, not gray values; give a gray-scale scan."
        raise InputError(msg)
    if header.get("ModalityLUTSequence"):
        msg = f"{path} has a table for its gray values (Modality LUT), which is not supported; export the scan again as NIfTI."
        raise InputError(msg)


def _check_frames(slices: list[Slice], count: int, path: Path) -> None:
    if len(slices) != count:
        msg = f"{path} has {count} frames and positions for {len(slices)} of them; convert it to a series of single slices or to NIfTI."
        raise InputError(msg)
    if len({one.storage for one in slices}) > 1:
        msg = f"{path} rescales its frames by different slopes, which is not supported; convert it to a series of single slices or to NIfTI."
        raise InputError(msg)


def _slice(header: Dataset, path: Path, frame: int, places: list[Dataset]) -> Slice:
    """A slice whose attributes stand in one of several data sets, the first that has it."""

    def numbers(keyword: str, count: int) -> np.ndarray:
        values = next((place.get(keyword) for place in places if place.get(keyword) is not None), None)
        found = np.atleast_1d(np.array(values, dtype=np.float64)) if values is not None else np.empty(0)
        if len(found) != count or not np.isfinite(found).all():
            msg = f"{path} has no usable {keyword}, so its place in the patient is unknown; give the slices of a scan."
            raise InputError(msg)
        return found

    def number(keyword: str, default: float) -> float:
        return float(next((place.get(keyword) for place in places if place.get(keyword) is not None), default))

    directions = numbers("ImageOrientationPatient", 6).reshape(2, 3)
    lengths = np.linalg.norm(directions, axis=1, keepdims=True)
    if np.abs(lengths - 1).max() > 0.01:
        msg = f"{path} has an ImageOrientationPatient that is not two unit directions; correct the header, or export the scan again."
        raise InputError(msg)
    row_spacing, column_spacing = numbers("PixelSpacing", 2)
    if min(row_spacing, column_spacing) <= 0:
        msg = f"{path} has a pixel spacing of {row_spacing:g} x {column_spacing:g} mm; correct the header, or export the scan again."
        raise InputError(msg)
    bits = [float(header.get(keyword) or 0) for keyword in ("BitsAllocated", "BitsStored", "PixelRepresentation")]
    return Slice(
        path=path,
        frame=frame,
        position=numbers("ImagePositionPatient", 3),
        directions=directions / lengths,
        spacing=np.array([column_spacing, row_spacing]),
        size=(int(header.Columns), int(header.Rows)),
        storage=(number("RescaleSlope", 1), number("RescaleIntercept", 0), *bits),
    )
