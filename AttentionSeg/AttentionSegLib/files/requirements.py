"""Checks that apply to scans of all file formats."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from pathlib import Path

from ..errors import InputError

AXES = "IJK"
# The most labels that a network can be trained on: label maps have one byte per voxel, 0 is background and one value is the ignore label.
MOST_LABELS = 254
# The largest plausible length in a header, in mm: 10 km.
LARGEST = 1e7
# Red, green, blue.
COLORS = 3


def check_scalar(path: Path, components: int, size: Sequence[int] = ()) -> None:
    """Raise InputError if a voxel has more than one number, except the three colors of a single slice of this size."""
    if components > 1 and not (components == COLORS and 1 in (*size, 1, 1)[:3] and size):
        msg = f"{path} has {components} values per voxel (a color or vector image); give a scan with one value per voxel."
        raise InputError(msg)


def check_real(path: Path, is_complex: bool) -> None:
    """Raise InputError if the voxels are complex numbers."""
    if is_complex:
        msg = f"{path} has complex numbers as voxels; give the magnitude image."
        raise InputError(msg)


def check_numbers(path: Path, name: str, numbers: Sequence[str], count: int, positive: bool = False) -> None:
    """Raise InputError unless a field of the header has `count` numbers that can be lengths in mm or components of a direction."""
    try:
        values = [float(number) for number in numbers]
    except ValueError:
        values = []
    if len(values) != count or not all(abs(value) < LARGEST and (value > 0 or not positive) for value in values):
        msg = f"{path} has a damaged header (its {name} is {' '.join(numbers)[:80]}); repair the header, or export it again."
        raise InputError(msg)


def check_size(path: Path, size: Sequence[int], least: int = 2) -> tuple[int, int, int]:
    """The voxels along I, J and K of an image of any number of dimensions.

    Raises:
        InputError: if there are several volumes, or fewer than `least` voxels along more than one axis.
    """
    volumes = prod(size[3:])
    if volumes > 1:
        msg = f"{path} holds {volumes} volumes of {' x '.join(map(str, size[:3]))} voxels; save one of them as a 3D file and give that."
        raise InputError(msg)
    i, j, k = (*map(int, size[:3]), 1, 1, 1)[:3]
    shape = (i, j, k)
    thin = [axis for axis, count in zip(AXES, shape) if count < least]
    if len(thin) > least - 1 or min(shape) < 1:
        msg = f"{path} has fewer than 2 voxels along {' and '.join(thin)} ({' x '.join(map(str, shape))}); give a 3D scan, or a slice of one."
        raise InputError(msg)
    return shape
