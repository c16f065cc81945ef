"""Reading of DICOM headers: the attributes that give the geometry and the type of pixels."""

from __future__ import annotations

import re
import struct
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.misc import is_dicom as has_preamble
from pydicom.uid import UID, ExplicitVRLittleEndian

from ..errors import InputError
from .dicom_pictures import is_colored, is_picture, picture_place, picture_spacing
from .requirements import check_scalar
from .slices import Slice

# None of them identifies the patient.
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
    "ImagerPixelSpacing",
    "NominalScannedPixelSpacing",
    "SequenceOfUltrasoundRegions",
    "SliceThickness",
    "RescaleSlope",
    "RescaleIntercept",
    "ModalityLUTSequence",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
]
# Value representations whose elements have, in explicit form, two reserved bytes and a length of four.
LONG_VR = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
# For files without preamble: the first groups, the value representations of their first elements, and in implicit form the largest length of these.
FIRST_GROUPS, FIRST_VR, LONGEST_FIRST = (2, 8), (b"UL", b"OB", b"CS", b"UI", b"DA", b"SH"), 128
NUMBER = re.compile(r"\d+")
GRAY = ("MONOCHROME1", "MONOCHROME2")
DAMAGE = (EOFError, ValueError, TypeError, KeyError, AttributeError, NotImplementedError, struct.error, BytesLengthException, InvalidDicomError)


def read_header(path: Path) -> Dataset | None:
    """The header of a DICOM image; None for a file that is not DICOM or has no pixels.

    Raises:
        InputError: if the file is DICOM but damaged, or there is no permission to read it.
    """
    with reading(path):
        if not is_dicom(path):
            return None
        with open(path, "rb") as file:
            header = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=TAGS, force=True)
            # pydicom decodes an element on first access; errors of damaged ones have to be raised here.
            list(header)
            if header.get("Rows") and header.get("Columns"):
                _check_length(header, file, path)
                return header
        kind = UID(header.file_meta.get("MediaStorageSOPClassUID") or header.get("SOPClassUID") or "").name
    if "Image Storage" in kind:
        msg = f"{path} is a {kind.replace(' Storage', '')} without Rows and Columns, so it was cut off; copy or export it again."
        raise InputError(msg)
    return None


def is_dicom(path: Path) -> bool:
    """Whether a file begins with the preamble of DICOM, or, as files without one, with an element of one of the first groups."""
    if has_preamble(path):
        return True
    with open(path, "rb") as file:
        head = file.read(8)
    if len(head) < 8 or struct.unpack("<H", head[:2])[0] not in FIRST_GROUPS:
        return False
    return head[4:6] in FIRST_VR or struct.unpack("<I", head[4:])[0] <= LONGEST_FIRST


def same_pixels(path: Path, other: Path) -> bool:
    """Whether two files have the same stored pixels, compressed or not."""
    first, second = (_with_pixels(one, ["PixelData"]) for one in (path, other))
    if first.PixelData == second.PixelData:
        return True
    syntaxes = {one.file_meta.get("TransferSyntaxUID") for one in (first, second)}
    # Imported here because SimpleITK is slow to import.
    from .itk import decoded

    return len(syntaxes) > 1 and np.array_equal(decoded(path), decoded(other))


def read_frames(path: Path) -> np.ndarray:
    """The frames of a file as they are stored, [columns, rows, frames]."""
    dataset = _with_pixels(path, None)
    try:
        return dataset.pixel_array.T
    except (RuntimeError, *DAMAGE) as error:
        msg = f"The frames of {path} cannot be decoded ({error}); convert it to a series of single slices or to NIfTI."
        raise InputError(msg) from error


def _with_pixels(path: Path, tags: list[str] | None) -> Dataset:
    with reading(path):
        return pydicom.dcmread(path, specific_tags=tags, force=True)


def cut_off(others: Iterable[Path], images: Iterable[Path]) -> list[Path]:
    """Those of `others` that are numbered like DICOM images, such as `s00.dcm` beside `s01.dcm`: DICOM files whose beginning is missing."""
    rows = {(path.parent, NUMBER.sub("#", path.name)) for path in images}
    return [path for path in others if NUMBER.search(path.name) and (path.parent, NUMBER.sub("#", path.name)) in rows]


def slices_of(header: Dataset, path: Path) -> list[Slice]:
    """The slices of one file, in the order of its frames.

    Raises:
        InputError: if the pixels of a scan are colors, or a slice of it has no position, orientation or pixel spacing in the patient.
    """
    with reading(path):
        _check_content(header, path)
        frames = header.get("PerFrameFunctionalGroupsSequence") or [Dataset()]
        shared = (header.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
        beside = [picture_place(header)] if is_picture(header) else []
        slices = [_slice(header, path, k, [*_groups(frame), *_groups(shared), header, *beside]) for k, frame in enumerate(frames)]
        count = int(header.get("NumberOfFrames") or 1)
    _check_frames(slices, count, path)
    return slices


def _check_length(header: Dataset, file: BinaryIO, path: Path) -> None:
    """Raise InputError if there are fewer bytes of uncompressed pixels than the header implies; `file` has to be at their element."""
    syntax = UID(header.file_meta.get("TransferSyntaxUID") or ExplicitVRLittleEndian)
    if syntax.is_compressed or syntax.is_deflated:
        return
    length = _element_length(file, syntax)
    samples = int(header.Rows) * int(header.Columns) * int(header.get("SamplesPerPixel") or 1) * int(header.get("NumberOfFrames") or 1)
    needed = -(-samples * int(header.get("BitsAllocated") or 8) // 8)
    rest = path.stat().st_size - file.tell()
    if min(length, rest) < needed:
        msg = f"{path} is a damaged DICOM file ({min(length, rest)} of {needed} bytes of its pixels are there); copy or export it again."
        raise InputError(msg)
    # Other bytes, read as an element, may have a length beyond the memory.
    file.seek(length, 1)
    if rest > length and _element_length(file, syntax) > path.stat().st_size - file.tell():
        msg = f"{path} is a damaged DICOM file (what follows its pixels is no DICOM element); copy or export it again."
        raise InputError(msg)


def _element_length(file: BinaryIO, syntax: UID) -> int:
    """Read the head of an element and return the length of its value in bytes; 2**32 at the end of the file."""
    head, order = file.read(8), "<" if syntax.is_little_endian else ">"
    if len(head) == 8 and (syntax.is_implicit_VR or not head[4:6].isalpha()):
        return struct.unpack(f"{order}I", head[4:8])[0]
    if len(head) == 8 and head[4:6] not in LONG_VR:
        return struct.unpack(f"{order}H", head[6:8])[0]
    length = file.read(4)
    return struct.unpack(f"{order}I", length)[0] if len(length) == 4 else 2**32


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Convert the errors of damaged DICOM files to InputError, and suppress pydicom's warnings (about numbers with too many digits)."""
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
    if is_picture(header) and is_colored(header):
        return
    check_scalar(path, int(header.get("SamplesPerPixel") or 1))
    if header.get("PhotometricInterpretation") not in GRAY:
        msg = f"{path} has pixels of the type {header.get('PhotometricInterpretation')}, not gray values; give a gray-scale scan."
        raise InputError(msg)
    if header.get("ModalityLUTSequence"):
        msg = f"{path} has a table for its gray values (Modality LUT), which is not supported; export the scan again as NIfTI."
        raise InputError(msg)


def _check_frames(slices: list[Slice], count: int, path: Path) -> None:
    if len(slices) != count:
        msg = f"{path} has {count} frames and positions for {len(slices)} of them; convert it to a series of single slices or to NIfTI."
        raise InputError(msg)


def _slice(header: Dataset, path: Path, frame: int, places: list[Dataset]) -> Slice:
    """A slice, each of whose attributes is taken from the first of several data sets that has it."""

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
        thickness=max(number("SliceThickness", 1), 0) or 1.0,
        spacing_known=not is_picture(header) or picture_spacing(header) is not None,
    )
