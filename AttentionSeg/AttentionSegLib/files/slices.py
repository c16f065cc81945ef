"""The positions of the slices of a DICOM series, and the volume that they form."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..image import LPS_TO_RAS, SHEAR_TOLERANCE, Note

SAME_DIRECTION = 1e-3
SAME_SPACING_MM = 1e-4
SAME_POSITION_MM = 1e-4
# Tolerances of positions: as a share of the slice distance along the normal, with a factor for rounding; as a share of a pixel within the plane.
NEAR, ROUNDED, BESIDE = 0.1, 1 + 1e-3, 0.25


@dataclass(frozen=True, eq=False)
class Slice:
    """One slice as its header describes it.

    Attributes:
        path: its file.
        frame: its index among the frames of the file.
        position: center of the first pixel, LPS mm.
        directions: [2, 3] unit directions in LPS along which the column index and the row index grow.
        spacing: distance of neighboring columns and of neighboring rows, mm.
        size: columns and rows.
        thickness: mm; used for a single slice.
        spacing_known: False if the header has no spacing, and 1 mm is assumed.
        storage: rescale slope and intercept, bits allocated, bits stored, sign, which determine the data type when ITK reads it.
    """

    path: Path
    frame: int
    position: np.ndarray
    directions: np.ndarray
    spacing: np.ndarray
    size: tuple[int, int]
    storage: tuple[float, ...]
    thickness: float = 1.0
    spacing_known: bool = True

    def is_like(self, other: Slice) -> bool:
        """Whether another slice has the same size and storage."""
        return self.size == other.size and self.storage == other.storage


@dataclass(frozen=True, eq=False)
class Stack:
    """Slices of one series, sorted along their normal, whose direction makes columns, rows and slices right-handed.

    Attributes:
        slices: in this order.
        affine: 4x4 matrix from column, row and slice index to RAS mm; None if the slices are at irregular positions.
        notes: deviations that were accepted.
    """

    slices: list[Slice]
    affine: np.ndarray | None
    notes: tuple[Note, ...] = ()


def stack(slices: list[Slice], name: str, regularize: bool = False) -> Stack:
    """Sort slices by position and find the affine of their volume.

    Args:
        slices: the slices of one series in any order.
        name: of the series, for messages.
        regularize: whether slices at irregular positions will be resampled, so that their affine is None instead of an error.

    Raises:
        InputError: if they differ in orientation, spacing or size, if several lie at one position, or, unless they will be resampled, if a slice
            deviates from equal distances by over a tenth of the slice distance along the normal or a quarter of a pixel within the plane, or the
            slices are shifted against each other as by a tilted gantry.
    """
    _check_alike(slices, name)
    normal = np.cross(*slices[0].directions)
    ordered = sorted(slices, key=lambda one: float(one.position @ normal))
    _check_distinct(ordered, normal, name)
    if len(ordered) == 1:
        return Stack(ordered, LPS_TO_RAS @ _affine(ordered[0], ordered[0].position, ordered[0].thickness * normal))
    positions = np.array([one.position for one in ordered])
    start, step = _line(positions)
    sideways = float(np.linalg.norm(slices[0].directions @ step))
    if sideways > SHEAR_TOLERANCE * np.linalg.norm(step) and _is_regular(positions, start, (step @ normal) * normal, ordered[0]):
        # Rounding of positions can look like a slight tilt.
        step, sideways = (step @ normal) * normal, 0.0
    if not _is_regular(positions, start, step, ordered[0]):
        fault = _irregular(ordered, positions, normal)
    elif sideways > SHEAR_TOLERANCE * np.linalg.norm(step):
        fault = f"has slices that are shifted against each other by a gantry tilt of {np.degrees(np.arctan2(sideways, step @ normal)):.1f} degrees"
    else:
        return Stack(ordered, LPS_TO_RAS @ _affine(ordered[0], start, step), _rounded(_off(positions, start, step), step))
    if not regularize:
        msg = f"{name} {fault}; have it resampled to a regular grid (segment and batch do so with --regularize), or give another series."
        raise InputError(msg)
    return Stack(ordered, None, (Note(f"The scan {fault}; it was resampled to a regular grid"),))


def _check_alike(slices: list[Slice], name: str) -> None:
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


def _line(positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first of equally spaced positions and their step: through both ends, or, if others deviate from that, fitted to all of them."""
    step = (positions[-1] - positions[0]) / (len(positions) - 1)
    if not _rounded(_off(positions, positions[0], step), step):
        return positions[0], step
    step, start = np.polyfit(np.arange(len(positions)), positions, 1)
    off = _off(positions, start, step)
    return start + (off.min(0) + off.max(0)) / 2, step


def _off(positions: np.ndarray, start: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Deviations of positions [slices, 3] from equal steps, mm."""
    return positions - start - np.arange(len(positions))[:, None] * step


def _is_regular(positions: np.ndarray, start: np.ndarray, step: np.ndarray, first: Slice) -> bool:
    off, normal = _off(positions, start, step), np.cross(*first.directions)
    along, beside = np.abs(off @ normal), np.abs(off @ first.directions.T) / first.spacing
    return bool(along.max() <= NEAR * abs(step @ normal) * ROUNDED and beside.max() <= BESIDE)


def _affine(first: Slice, start: np.ndarray, step: np.ndarray) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :2] = (first.directions * first.spacing[:, None]).T
    affine[:3, 2] = step
    affine[:3, 3] = start
    return affine


def _rounded(off: np.ndarray, step: np.ndarray) -> tuple[Note, ...]:
    """A note if the positions are rounded too coarsely for the distance of their slices."""
    farthest, distance = float(np.linalg.norm(off, axis=1).max()), float(np.linalg.norm(step))
    if farthest <= max(0.01 * distance, min(0.01, NEAR * distance)) * ROUNDED:
        return ()
    return (Note("The positions of the slices are rounded, and were taken as equally spaced", f"up to {farthest:.2g} mm off"),)


def _irregular(ordered: list[Slice], positions: np.ndarray, normal: np.ndarray) -> str:
    """A description of what is wrong with positions [slices, 3] that are not equally spaced on a line."""
    places = positions @ normal
    gaps = np.diff(places)
    usual = float(np.median(gaps))
    odd = np.flatnonzero(np.abs(gaps - usual) > NEAR * usual)
    if not len(odd):
        off = _off(positions, positions[0], (positions[-1] - positions[0]) / (len(positions) - 1))
        worst = int(np.linalg.norm(off, axis=1).argmax())
        return f"has slices that do not lie on a line ({_title(ordered[worst])} is {np.linalg.norm(off[worst]):.2f} mm off)"
    first = int(odd[0])
    between = f"between {_title(ordered[first])} at {places[first]:.2f} mm and {_title(ordered[first + 1])} at {places[first + 1]:.2f} mm"
    runs = np.split(gaps, np.flatnonzero(np.abs(np.diff(gaps)) > NEAR * gaps.min()) + 1)
    distances = [float(np.mean(run)) for run in runs]
    kinds = sorted({round(one / (NEAR * gaps.min())): one for one in distances}.values())
    if len(kinds) == 2 and min(map(len, runs)) > 1:
        return f"has two slice distances ({kinds[0]:.3g} mm and {kinds[1]:.3g} mm), which change {between} along the slice normal"
    wrong = "slices are missing" if gaps[first] > 1.5 * usual else "slices are unequally spaced"
    return f"is irregular: {wrong} {between} along the slice normal (usual distance {usual:.3f} mm)"


def _title(one: Slice) -> str:
    return f"{one.path.name} frame {one.frame + 1}" if one.frame else one.path.name
