"""Writing NRRD files: numbers with all their digits, text in UTF-8, and an error when the disk is full."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..image import LPS_TO_RAS
from .compression import write_compressed

MAGIC = b"NRRD"
LONGEST_HEADER = 2**20
MM_PER_UNIT = {"m": 1000.0, "cm": 10.0, "mm": 1.0, "um": 0.001, "\u00b5m": 0.001, "\u03bcm": 0.001}
TYPES = {"uint8": "unsigned char", "uint16": "unsigned short", "float32": "float"}


def write_nrrd(path: Path, voxels: np.ndarray, affine: np.ndarray, keys: Mapping[str, str]) -> None:
    """Write one volume, compressed by gzip.

    Args:
        path: the file.
        voxels: [I, J, K] of uint8, uint16 or float32.
        affine: IJK to RAS, mm.
        keys: what to write as key and value pairs.
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


def read_keys(path: Path | str) -> dict[str, str]:
    """The key and value pairs in the header of a NRRD file; none of a file that is no NRRD or cannot be read."""
    lines = _header_lines(path)
    pairs = (line.partition(":=") for line in lines if not line.startswith("#"))
    return {key: re.sub(r"\\(.)", lambda escaped: "\n" if escaped[1] == "n" else escaped[1], value) for key, found, value in pairs if found}


def read_mm_per_unit(path: Path) -> float:
    """Millimeters in the `space units` of a header; 1 where it names none. InputError for units that are no lengths or differ between axes."""
    said = next((line.partition(":")[2].strip() for line in _header_lines(path) if line.lower().startswith("space units:")), "")
    units = [unit.strip() for unit in re.findall(r'"([^"]*)"', said)]
    named = {unit for unit in units if unit}
    if not named:
        return 1.0
    if len(named) > 1 or (len(named) == 1 and "" in units) or not named <= MM_PER_UNIT.keys():
        msg = f"{path} has the space units {said}; give all axes the same one of mm, cm, m and um."
        raise InputError(msg)
    return MM_PER_UNIT[named.pop()]


def _header_lines(path: Path | str) -> list[str]:
    """The lines of the header of a NRRD file; none of a file that is no NRRD or cannot be read."""
    try:
        with open(path, "rb") as file:
            if file.read(4) != MAGIC:
                return []
            return re.split(rb"\r?\n\r?\n", file.read(LONGEST_HEADER), maxsplit=1)[0].decode("utf-8", "replace").splitlines()
    except OSError:
        return []


def _vector(numbers: np.ndarray) -> str:
    return "(" + ",".join(repr(float(number) + 0.0) for number in numbers) + ")"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n")
