"""Where the slices of a DICOM series lie, and whether they stack up to a volume."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..image import LPS_TO_RAS

SAME_DIRECTION = 1e-3
SAME_SPACING_MM = 1e-4
SAME_POSITION_MM = 1e-4


@dataclass(frozen=True, eq=False)
class Slice:
    """One slice as its header describes it.

    Attributes:
        path: its file.
        frame: its place among the frames of the file.
        position: center of the first pixel, LPS mm.
        directions: [2, 3] unit directions in LPS along which the column index and the row index grow.
        spacing: distance of neighboring columns and of neighboring rows, mm.
        size: columns and rows.
        storage: rescale slope and intercept, bits allocated, bits stored, sign: what decides the data type when ITK reads it.
    """

    path: Path
    frame: int
    position: np.ndarray
    directions: np.ndarray
    spacing: np.ndarray
    size: tuple[int, int]
    storage: tuple[float, ...]


def stack(slices: list[Slice], name: str) -> tuple[list[Slice], np.ndarray]:
    """Sort slices by position and find the affine of their volume.

    Args:
        slices: the slices of one series in any order.
        name: what to call the series in messages.

    Returns:
        The slices along their normal (which points so that columns, rows and slices are right-handed), and the 4x4 matrix from column, row and
        slice index to RAS mm.

    Raises:
        InputError: if there is only one slice, if they differ in orientation, spacing or size, if several lie at one position, or if they are
            not equally spaced (to 1 % of the distance or 0.01 mm).
    """
    _check_alike(slices, name)
    normal = np.cross(*slices[0].directions)
    ordered = sorted(slices, key=lambda one: float(one.position @ normal))
    _check_distinct(ordered, normal, name)
    step = _equal_step(ordered, normal, name)
    affine = np.eye(4)
    affine[:3, :2] = (slices[0].directions * slices[0].spacing[:, None]).T
    affine[:3, 2] = step
    affine[:3, 3] = ordered[0].position
    return ordered, LPS_TO_RAS @ affine


def _check_alike(slices: list[Slice], name: str) -> None:
    if len(slices) < 2:
        msg = f"{name} holds 1 slice, fewer than the 2 that make a volume; give the folder with all slices of the series."
        raise InputError(msg)
    first = slices[0]
    for other in slices[1:]:
        different = None
        if other.size != first.size:
            different = "size"
        elif np.abs(other.directions - first.directions).max() > SAME_DIRECTION:
            different = "orientation"
        elif np.abs(other.spacing - first.spacing).max() > SAME_SPACING_MM:
            different = "pixel spacing"
        if different:
            pair = f"{_title(first)} and {_title(other)}"
            msg = f"{name} mixes slices of different {different} ({pair}); give a folder with one stack of parallel slices."
            raise InputError(msg)


def _check_distinct(ordered: list[Slice], normal: np.ndarray, name: str) -> None:
    places = np.array([one.position @ normal for one in ordered])
    same = np.flatnonzero(np.diff(places) < SAME_POSITION_MM)
    if len(same):
        pair = f"{_title(ordered[same[0]])} and {_title(ordered[same[0] + 1])}"
        msg = (
            f"{name} has several slices at the same position ({pair}, {places[same[0]]:.2f} mm along the slice normal), "
            "as scans with several phases or echoes do; give a folder with one of them."
        )
        raise InputError(msg)


def _equal_step(ordered: list[Slice], normal: np.ndarray, name: str) -> np.ndarray:
    """The vector from a slice to the next, LPS mm; InputError if it is not the same throughout."""
    positions = np.array([one.position for one in ordered])
    places = positions @ normal
    gaps = np.diff(places)
    usual = float(np.median(gaps))
    tolerance = max(0.01 * usual, min(0.01, 0.1 * usual))
    odd = np.flatnonzero(np.abs(gaps - usual) > tolerance * (1 + 1e-3))
    if len(odd):
        before, after = odd[0], odd[0] + 1
        between = f"between {_title(ordered[before])} at {places[before]:.2f} mm and {_title(ordered[after])} at {places[after]:.2f} mm"
        wrong = "slices are missing" if gaps[before] > 1.5 * usual else "slices are unequally spaced"
        msg = (
            f"{name}: {wrong} {between} along the slice normal (usual distance {usual:.3f} mm); restore them or resample the scan to equal distances."
        )
        raise InputError(msg)
    step = (positions[-1] - positions[0]) / (len(positions) - 1)
    off = np.linalg.norm(positions - positions[0] - np.arange(len(positions))[:, None] * step, axis=1)
    if off.max() > tolerance * (1 + 1e-3):
        worst = f"{_title(ordered[off.argmax()])} is {off.max():.2f} mm off"
        msg = f"{name} has slices that do not lie on a line ({worst}); resample the scan to a regular grid."
        raise InputError(msg)
    return step


def _title(one: Slice) -> str:
    return f"{one.path.name} frame {one.frame + 1}" if one.frame else one.path.name
