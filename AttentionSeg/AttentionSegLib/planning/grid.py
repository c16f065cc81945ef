"""Planning of the grid: field of view, spacing, patch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil, prod

import numpy as np

from ..datasets.case_statistics import CaseStatistics
from ..datasets.cases import named
from ..datasets.survey import Survey
from ..errors import InputError
from ..inference.checks import larger_than_region

# Orientation of the working axes; all sizes here are in their order.
ORIENTATION = "RAS"
# Scans count as crops around a structure if no side is longer, and the labels take this fraction of it along each axis on average.
LONGEST_CROP_MM = 150.0
CROP_SHARE = 0.5
# Fraction of the bounding box of the labels that a patch should cover along each axis.
PATCH_SHARE = 0.5
# A coarser grid needs at least this many voxels in the smallest label.
FEWEST_VOXELS = 200
COARSER = 2 ** (1 / 3)
# By the least number of voxels along an axis, the number that patch sizes are multiples of, so that levels can halve them.
STEPS = ((96, 16), (24, 8), (8, 4), (0, 1))
# Largest distance of the patch of a region from the center of its scan along each axis, because users place regions by hand; and the same as a
# fraction of the scan, for thick slices.
REGION_SHIFT_MM, REGION_SHIFT_SHARE = 6.0, 0.25
# By the least chance that a random patch contains a given voxel, the fraction of patches that are taken around labels.
FOREGROUND_SHARES = ((0.5, 0.33), (0.1, 0.5), (0.0, 0.67))


def field_of_view(survey: Survey, region: bool | None, notes: list[str]) -> tuple[float, float, float] | None:
    """Size in mm of the region that the model is for; None for whole scans.

    Args:
        survey: of the cases.
        region: whether the user wants a region; None to decide by the size of the scans.
        notes: the reason is added to them.

    Raises:
        InputError: if the user wants a region and a scan is far larger than the others.
    """
    if region is False or (region is None and region_size(survey.cases) is None):
        notes.append("Field of view: whole scans" + (", as requested." if region is False else "; the scans are not crops around the labels."))
        return None
    size = median_extent(survey.cases)
    larger = cases_larger_than(survey.cases, size)
    if larger:
        msg = f"A model for regions of {in_mm(size)} cannot be trained on scans far larger than that, such as {named(larger)}; crop all cases alike."
        raise InputError(msg)
    notes.append(f"Field of view: a region of {in_mm(size)} around the structure, {'as requested' if region else 'as the scans are such crops'}.")
    return size


def region_size(cases: Sequence[CaseStatistics]) -> tuple[float, float, float] | None:
    """Size in mm (right, anterior, superior) of scans that are crops around a structure; None if they are whole scans."""
    share = np.median([np.prod(np.divide(case.labels_box_mm, case.extent_mm)) ** (1 / 3) for case in cases if case.labels_box_mm])
    size = median_extent(cases)
    return None if share < CROP_SHARE or max(size) > LONGEST_CROP_MM or cases_larger_than(cases, size) else size


def median_extent(cases: Sequence[CaseStatistics]) -> tuple[float, float, float]:
    """Size of the median scan in whole mm along right, anterior and superior."""
    return tuple(np.ceil(np.median([case.extent_mm for case in cases], axis=0) - 1e-3).tolist())


def cases_larger_than(cases: Sequence[CaseStatistics], size: Sequence[float]) -> list[str]:
    """The cases that are too large to be treated as a region of this size themselves (see `check_input`)."""
    return [case.id for case in cases if larger_than_region(case.extent_mm, size)]


def median_spacing(cases: Sequence[CaseStatistics]) -> np.ndarray:
    """Spacing in mm along right, anterior and superior; along each axis that of a case, so that the median case is not interpolated."""
    ordered = np.sort([case.spacing_mm for case in cases], axis=0)
    return np.round(ordered[(len(cases) - 1) // 2], 4)


def field_voxels(cases: Sequence[CaseStatistics], spacing: np.ndarray) -> np.ndarray:
    """Size of the median scan in working voxels."""
    return np.ceil(np.median([case.extent_mm for case in cases], axis=0) / spacing - 0.5).clip(min=1).astype(int)


def coarser_spacing(cases: Sequence[CaseStatistics], spacing: np.ndarray, patch: Sequence[int], across: int | None = None) -> np.ndarray | None:
    """The next coarser spacing, finest axes first, if a patch covers too little of the largest label and the smallest is not lost; else None.

    The spacing between slices, along the axis `across`, does not change.
    """
    boxes = [np.median([case.labels[value].box_mm for case in cases if value in case.labels], axis=0) for value in _values(cases)]
    largest = max(boxes, key=np.prod)
    changing = np.arange(3) != across
    coarser = np.where(changing, np.maximum(spacing, COARSER * spacing[changing].min()), spacing)
    smallest = min(label_volumes(cases).values())
    if (np.multiply(patch, spacing) >= PATCH_SHARE * largest)[changing].all() or smallest / coarser.prod() < FEWEST_VOXELS:
        return None
    return np.round(coarser, 3)


def label_volumes(cases: Sequence[CaseStatistics]) -> dict[int, float]:
    """Median volume of each label in mm^3, over the cases that have it."""
    return {
        value: float(np.median([case.labels[value].voxels * prod(case.spacing_mm) for case in cases if value in case.labels]))
        for value in _values(cases)
    }


def largest_patch(field: Sequence[int], spacing: Sequence[float], most_voxels: float, step: int | None) -> tuple[int, ...]:
    """The largest patch of at most `most_voxels`: the size of the scan, shortened along the longest axes in mm. In 2D or 3D.

    Args:
        field: working voxels of the scan.
        spacing: in mm.
        most_voxels: of the patch, unless the smallest patch has more.
        step: that the network requires sizes to be multiples of; None to choose it by the field.
    """
    steps = [step or next(by for least, by in STEPS if n >= least) for n in field]
    patch = [max(1, ceil(n / by - 0.5)) * by for n, by in zip(field, steps)]
    while prod(patch) > most_voxels:
        longer = [axis for axis in range(len(patch)) if patch[axis] > steps[axis]]
        if not longer:
            break
        axis = max(longer, key=lambda axis: patch[axis] * spacing[axis])
        patch[axis] -= steps[axis]
    return tuple(patch)


def region_shift(shape: Sequence[int] | np.ndarray, spacing: Sequence[float] | np.ndarray) -> np.ndarray:
    """The largest random shift of the patch of a region along each axis, in voxels, for a scan of so many voxels."""
    return np.minimum(REGION_SHIFT_MM / np.asarray(spacing), REGION_SHIFT_SHARE * np.asarray(shape)).astype(int)


def shows_region(patch: Sequence[int], shape: Sequence[int] | np.ndarray, spacing: Sequence[float] | np.ndarray) -> np.ndarray:
    """Whether patches around the center of a region show all of it along each axis, thanks to their random shift."""
    return np.asarray(shape) - np.asarray(patch) <= 2 * region_shift(shape, spacing)


def foreground_share(
    cases: Sequence[CaseStatistics], patch: Sequence[int], field: np.ndarray, spacing: np.ndarray, is_region: bool, across: int | None = None
) -> tuple[float, str]:
    """The fraction of patches around a label, higher the less of a scan (or of a slice) a patch covers, and a sentence for the notes."""
    if is_region and across is None and shows_region(patch, field, spacing).all():
        return 0.0, "Patches are taken around the center of the crops."
    seen = prod(np.minimum(1, patch / field)[np.arange(3) != across])
    labeled = np.median([sum(label.voxels for label in case.labels.values()) / prod(case.shape) for case in cases])
    share = next(share for least, share in FOREGROUND_SHARES if seen >= least)
    return share, (
        f"{100 * share:.0f} % of the patches are taken around a label, the rest anywhere: the labels take {100 * labeled:.2g} % of a scan, "
        f"and a patch shows {100 * seen:.2g} % of {'it' if across is None else 'a slice'}."
    )


def in_mm(size: Iterable[float]) -> str:
    return " x ".join(f"{s:.4g}" for s in size) + " mm"


def _values(cases: Sequence[CaseStatistics]) -> list[int]:
    return sorted({value for case in cases for value in case.labels})
