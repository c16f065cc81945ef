"""A scan, the labels of two structures on it, and the sentence of those that are refused."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from AttentionSegLib.errors import InputError
from AttentionSegLib.files import write_map
from AttentionSegLib.image import Image
from poses import AXES, affine_around

SHAPE, SPACING = (9, 10, 11), (1.0, 1.0, 3.0)
AFFINE = affine_around((3, -4, 5), SHAPE, AXES["LPS"], SPACING)
NAMES = {1: "Kidney, left", 2: "Kidney, right"}


def labels_of(shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    labels = np.zeros(shape, np.uint8)
    labels[2:4, 3:6, 4:8] = 1
    labels[5:7, 3:6, 4:8] = 2
    return labels


def write_scan(folder: Path, affine: np.ndarray = AFFINE) -> Path:
    write_map(Image(np.random.default_rng(0).normal(size=(1, *SHAPE)), affine), folder / "scan.nrrd")
    return folder / "scan.nrrd"


def refused(call, *args, **kwargs) -> str:
    with pytest.raises(InputError) as raised:
        call(*args, **kwargs)
    assert re.fullmatch(r"[^\n]+[;:] [^\n]+\.", str(raised.value))
    return str(raised.value)
