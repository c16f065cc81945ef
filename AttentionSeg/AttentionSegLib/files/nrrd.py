"""Checks of NRRD headers, and writing of NRRD files with all digits of numbers, text in UTF-8, and an error when the disk is full."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..image import LPS_TO_RAS
from .compression import write_compressed
from .requirements import check_numbers
from .stored_voxels import GZIP, RAW, StoredVoxels, damaged

MAGIC = b"NRRD"
LONGEST_HEADER = 2**20
MM_PER_UNIT = {"m": 1000.0, "cm": 10.0, "mm": 1.0, "um": 0.001, "\u00b5m": 0.001, "\u03bcm": 0.001}
HEADER_END = re.compile(rb"\r?\n\r?\n")
# The names of each voxel type in the format, and alternative names of its fields.
TYPE_NAMES = {
    "i1": ("signed char", "int8", "int8_t"),
    "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"),
    "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "i8": ("longlong", "long long", "long long int", "signed long long", "signed long long int", "int64", "int64_t"),
    "u8": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
    "f4": ("float",),
    "f8": ("double",),
}
TYPE_CODES = {name: code for code, names in TYPE_NAMES.items() for name in names}
FIELDS = {"datafile": "data file", "byteskip": "byte skip", "lineskip": "line skip"}
# Factors from each anatomical space to RAS.
SPACES = {
    **dict.fromkeys(("right-anterior-superior", "ras"), (1, 1, 1)),
    **dict.fromkeys(("left-anterior-superior", "las"), (-1, 1, 1)),
    **dict.fromkeys(("left-posterior-superior", "lps"), (-1, -1, 1)),
}
ENCODINGS = {"raw": RAW, "gzip": GZIP, "gz": GZIP}
TYPES = {"uint8": "unsigned char", "uint16": "unsigned short", "float32": "float"}


def write_nrrd(path: Path, voxels: np.ndarray, affine: np.ndarray, keys: Mapping[str, str]) -> None:
    """Write one volume, compressed by gzip.

    Args:
        path: the file.
        voxels: [I, J, K] of uint8, uint16 or float32.
        affine: IJK to RAS, mm.
        keys: key and value pairs for the header.
    """
    lps = LPS_TO_RAS @ affine
    fields = {
        "type": TYPES[voxels.dtype.name],
        "dimension": "3",
        "space": "left-posterior-superior",
        "sizes": " ".join(map(str, voxels.shape)),
        "space directions": " ".join(_vector(column) for column in lps[:3, :3].T),
        "kinds": "domain domain domain",
        "endian": "little",
        "encoding": "gzip",
        "space origin": _vector(lps[:3, 3]),
    }
    lines = ["NRRD0004", *(f"{field}: {value}" for field, value in fields.items()), *(f"{key}:={_escape(value)}" for key, value in keys.items())]
    with open(path, "wb") as file:
        file.write(("\n".join(lines) + "\n\n").encode("utf-8"))
        write_compressed(file, voxels)


def stored_in_nrrd(path: Path) -> StoredVoxels | None:
    """Check the header of a .nrrd or .nhdr and return where its voxels are.

    Returns:
        None if they are text, in several files or after lines to skip, which ITK reads.

    Raises:
        InputError: if the header is damaged or contradicts itself.
    """
    lines = _header_lines(path)
    if not lines:
        raise damaged(path, "it does not begin like a NRRD file")
    fields = _fields(lines)
    sizes = fields.get("sizes", "").split()
    dimension, kind = fields.get("dimension", ""), TYPE_CODES.get(fields.get("type", "").lower())
    if kind is None or not all(re.fullmatch(r"[1-9]\d{0,8}", number) for number in (dimension, *sizes)) or int(dimension) != len(sizes):
        raise damaged(path, f"it has {dimension[:20]} dimensions of {' '.join(sizes)[:80]} voxels of the type {fields.get('type', '')[:20]}")
    if "space origin" in fields:
        numbers = re.findall(r"[^\s(),]+", fields["space origin"])
        check_numbers(path, "space origin", numbers, len(numbers))
    for vector in re.findall(r"\(([^)]*)\)", fields.get("space directions", "")):
        numbers = vector.split(",")
        check_numbers(path, "space directions", numbers, len(numbers))
    # Axes without a direction in space have NaN or none.
    spacings = [number for number in fields.get("spacings", "").split() if number.lower() not in ("nan", "none") or len(sizes) <= 3]
    check_numbers(path, "spacings", spacings, len(spacings), positive=True)
    encoding, skip = fields.get("encoding", "").lower(), fields.get("byte skip", "0")
    place = fields.get("data file", path.name)
    split = place.split()[0] in ("LIST", "SKIPLIST") or "%" in place
    if encoding not in ENCODINGS or split or fields.get("line skip", "0") != "0":
        return None
    if not re.fullmatch(r"-1|\d{1,18}", skip):
        raise damaged(path, f"its byte skip is '{skip[:40]}'")
    start = int(skip) if "data file" in fields or skip == "-1" else int(skip) + _header_length(path)
    endian = fields.get("endian", "").lower()
    if endian not in ("little", "big") and kind[1:] != "1":
        raise damaged(path, "it does not state the byte order of its voxels")
    return StoredVoxels(
        path.parent / place, start, ENCODINGS[encoding], prod(map(int, sizes)), np.dtype(kind).newbyteorder(">" if endian == "big" else "<")
    )


def read_keys(path: str | os.PathLike) -> dict[str, str]:
    """The key and value pairs in the header of a NRRD file; empty for a file that is no NRRD or cannot be read."""
    lines = _header_lines(path)
    pairs = (line.partition(":=") for line in lines if not line.startswith("#"))
    return {key: re.sub(r"\\(.)", lambda escaped: "\n" if escaped[1] == "n" else escaped[1], value) for key, found, value in pairs if found}


def read_mm_per_unit(path: Path) -> float:
    """Millimeters per unit of the `space units` of a header; 1 if it has none. InputError for units that are no lengths or differ between axes."""
    written = next((line.partition(":")[2].strip() for line in _header_lines(path) if line.lower().startswith("space units:")), "")
    units = [unit.strip() for unit in re.findall(r'"([^"]*)"', written)]
    named = {unit for unit in units if unit}
    if not named:
        return 1.0
    if len(named) > 1 or (len(named) == 1 and "" in units) or not named <= MM_PER_UNIT.keys():
        msg = f"{path} has the space units {written}; give all axes the same one of mm, cm, m and um."
        raise InputError(msg)
    return MM_PER_UNIT[named.pop()]


def read_placement(path: Path) -> np.ndarray | None:
    """The affine from voxel indices to RAS, in units of the space; None if a header does not have three directions in RAS, LAS or LPS. The origin is
    0 if it is missing.

    Older versions of ITK, 5.4.0 for example, take LAS for RPS.
    """
    fields = _fields(_header_lines(path))
    signs = SPACES.get(fields.get("space", "").lower())
    placed = f"{fields.get('space directions', '')} {fields.get('space origin', '(0,0,0)')}"
    columns = [vector.split(",") for vector in re.findall(r"\(([^)]*)\)", placed)]
    if signs is None or [len(column) for column in columns] != [3] * 4:
        return None
    affine = np.eye(4)
    affine[:3] = np.diag(signs) @ np.array(columns, np.float64).T
    return affine


def has_directions(path: Path) -> bool:
    """Whether a header has the directions of the axes."""
    names = {line.partition(":")[0].lower() for line in _header_lines(path)}
    return "space directions" in names and bool(names & {"space", "space dimension"})


def _fields(lines: Sequence[str]) -> dict[str, str]:
    """The fields in the lines of a header, by their names in lower case."""
    pairs = (line.partition(": ") for line in lines[1:] if not line.startswith("#") and ":=" not in line)
    return {FIELDS.get(name.lower(), name.lower()): value.strip() for name, found, value in pairs if found}


def _header_lines(path: str | os.PathLike) -> list[str]:
    """The lines of the header of a NRRD file, the magic number first; empty for a file that is no NRRD or cannot be read."""
    try:
        with open(path, "rb") as file:
            begin = file.read(LONGEST_HEADER)
    except OSError:
        return []
    return HEADER_END.split(begin, maxsplit=1)[0].decode("utf-8", "replace").splitlines() if begin.startswith(MAGIC) else []


def _header_length(path: Path) -> int:
    with open(path, "rb") as file:
        begin = file.read(LONGEST_HEADER)
    found = HEADER_END.search(begin)
    return len(begin) if found is None else found.end()


def _vector(numbers: np.ndarray) -> str:
    return "(" + ",".join(repr(float(number) + 0.0) for number in numbers) + ")"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n")
