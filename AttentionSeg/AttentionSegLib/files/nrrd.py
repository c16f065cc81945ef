"""Writing NRRD files: numbers with all their digits, text in UTF-8, and an error when the disk is full."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..image import LPS_TO_RAS
from .compression import write_compressed

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


def _vector(numbers: np.ndarray) -> str:
    return "(" + ",".join(repr(float(number) + 0.0) for number in numbers) + ")"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n")
