"""Checks of MetaImage headers: ITK ends the process at some that are damaged, and silently corrects others."""

from __future__ import annotations

import re
from math import prod
from pathlib import Path

import numpy as np

from ..errors import InputError
from .requirements import check_numbers
from .stored_voxels import RAW, ZLIB, StoredVoxels, damaged

LONGEST_HEADER = 1 << 16
MOST_DIMENSIONS = 10
MOST_COMPONENTS = 64
TYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG": "i4",
    "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
# Count of numbers in a field for an image of n dimensions.
VECTORS = {
    **dict.fromkeys(("ElementSpacing", "ElementSize", "Offset", "Position", "Origin", "CenterOfRotation"), lambda n: n),
    **dict.fromkeys(("TransformMatrix", "Rotation", "Orientation"), lambda n: n * n),
}
SPACINGS = ("ElementSpacing", "ElementSize")
LINE = re.compile(rb"\s*([^\s=:][^=:\r\n]*?)[ \t]*[=:][ \t]*([^\r\n]*?)[ \t]*\r?\n")
INTEGER = re.compile(r"[+-]?\d{1,18}")
# ITK takes these for true, and anything else for false.
TRUE, FALSE = "TtYy1", "FfNn0"


def stored_in_meta_image(path: Path) -> StoredVoxels:
    """Check the header of a .mha or .mhd and return where its voxels are.

    Raises:
        InputError: if the header is damaged or contradicts itself, or the voxels are text or in several files.
    """
    fields, end = _fields(path)
    dimensions = _integer(fields, "NDims", path)
    if not 1 <= dimensions <= MOST_DIMENSIONS:
        msg = f"{path} is not a MetaImage (it has {dimensions} dimensions); copy or export it again."
        raise InputError(msg)
    size = [_number(text, "DimSize", path) for text in fields.get("DimSize", "").split()]
    components = _integer(fields, "ElementNumberOfChannels", path, 1)
    if len(size) != dimensions or min(size) < 1 or not 1 <= components <= MOST_COMPONENTS:
        raise damaged(path, f"it has {dimensions} dimensions of {fields.get('DimSize', 'no')} voxels with {components} values each")
    for name, count in VECTORS.items():
        if name in fields:
            check_numbers(path, name, fields[name].split(), count(dimensions), positive=name in SPACINGS)
    if fields.get("ElementType") not in TYPES:
        raise damaged(path, f"its voxels have the type {fields.get('ElementType', '(none)')}")
    place = fields["ElementDataFile"]
    if not place or not place.isprintable():
        raise damaged(path, "it does not state where the voxels are")
    if not _flag(fields, "BinaryData", path, True) or place.split()[0] == "LIST" or "%" in place:
        msg = f"{path} keeps its voxels as text or in several files, which is not supported; save it as one .mha or .nrrd file."
        raise InputError(msg)
    data, start = (path, end) if place.upper() == "LOCAL" else (path.parent / place, _integer(fields, "HeaderSize", path, 0))
    big = _flag(fields, "BinaryDataByteOrderMSB" if "BinaryDataByteOrderMSB" in fields else "ElementByteOrderMSB", path, False)
    kind = np.dtype(TYPES[fields["ElementType"]]).newbyteorder(">" if big else "<")
    if not _flag(fields, "CompressedData", path, False):
        return StoredVoxels(data, start, RAW, prod(size) * components, kind)
    stored = _integer(fields, "CompressedDataSize", path, 0)
    if stored < 0:
        raise damaged(path, f"it has {stored} compressed bytes")
    return StoredVoxels(data, max(start, 0), ZLIB, prod(size) * components, kind, stored or None)


def read_fields(path: Path) -> dict[str, str]:
    """The fields of a header; empty for a file that has none or cannot be read."""
    try:
        return _fields(path)[0]
    except (OSError, InputError):
        return {}


def tells_directions(path: Path) -> bool:
    """Whether a header has the directions of the axes."""
    return bool(_fields(path)[0].keys() & {"TransformMatrix", "Rotation", "Orientation"})


def _fields(path: Path) -> tuple[dict[str, str], int]:
    """The fields of the header, and the position of its end."""
    with open(path, "rb") as file:
        text = file.read(LONGEST_HEADER)
    fields: dict[str, str] = {}
    place = 0
    while "ElementDataFile" not in fields:
        found = LINE.match(text, place) or LINE.match(text + b"\n", place)
        if found is None:
            msg = f"{path} is not a MetaImage (its header does not end with the place of the voxels); copy or export it again."
            raise InputError(msg)
        name, value = (_text(part) for part in found.groups())
        fields[name], place = value, found.end()
    return fields, min(place, len(text))


def _text(written: bytes) -> str:
    try:
        return written.decode("utf-8")
    except UnicodeDecodeError:
        return written.decode("latin-1")


def _integer(fields: dict[str, str], name: str, path: Path, default: int | None = None) -> int:
    return default if name not in fields and default is not None else _number(fields.get(name, "nothing"), name, path)


def _number(text: str, name: str, path: Path) -> int:
    if not INTEGER.fullmatch(text):
        raise damaged(path, f"its {name} is '{text[:40]}'")
    return int(text)


def _flag(fields: dict[str, str], name: str, path: Path, default: bool) -> bool:
    first = fields.get(name, "T" if default else "F")[:1]
    if not first or first not in TRUE + FALSE:
        raise damaged(path, f"its {name} is '{fields[name][:40]}'")
    return first in TRUE
