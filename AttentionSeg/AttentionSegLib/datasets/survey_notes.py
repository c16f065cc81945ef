"""Warnings about anomalies in labeled scans that do not stop a training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from ..inference.fit import FEW_VALUES
from .case_statistics import CaseStatistics
from .cases import named
from .sides import left_right_pairs

SPACING_FACTOR = 1.5
# Ratio of thickness to width of voxels from which on slices are thick.
THICK_SLICES = 3.0
OBLIQUE_DEGREES = 5.0
MASKED_SHARE = 0.3
INTENSITY_FACTOR = 10.0
# Fraction of the median volume of a label below which the label may be a drawing error.
SLIP = 0.1
FEW_VOXELS = 100
CUT_SHARE = 0.2


def odd_things(cases: Sequence[CaseStatistics], names: Mapping[int, str]) -> list[str]:
    """One sentence per anomaly, in the order of geometry, intensities, labels.

    Args:
        cases: at least one.
        names: of the labels, by value.
    """
    return [*_geometry(cases), *_intensities(cases), *_same_scans(cases), *_labels(cases, names), *_sides(cases, names)]


def _geometry(cases: Sequence[CaseStatistics]) -> Iterator[str]:
    spacing = np.array([case.spacing_mm for case in cases])
    usual = np.median(spacing, axis=0)
    factor = np.exp(np.abs(np.log(spacing / usual)).max(1))
    far = {case.id: f for case, f in zip(cases, factor) if f > SPACING_FACTOR}
    if far:
        yield f"{_count(far, cases)} voxels more than {SPACING_FACTOR:g} times larger or smaller than usual ({_mm(usual)}): {named(list(far))}."
    if usual.max() / usual.min() >= THICK_SLICES:
        axis = ("sagittal", "coronal", "axial")[int(usual.argmax())]
        yield f"The {axis} slices are thick: {usual.max():g} mm, where the voxels are {usual.min():g} mm wide."
    orientations = Counter(case.orientation for case in cases)
    if len(orientations) > 1:
        kinds = ", ".join(f"{letters} {count}" for letters, count in orientations.most_common())
        yield f"The scans are stored in different orientations ({kinds}); they are reoriented."
    oblique = [case.id for case in cases if case.oblique_degrees > OBLIQUE_DEGREES]
    if oblique:
        yield f"{_count(oblique, cases)} axes over {OBLIQUE_DEGREES:g} degrees off those of the patient: {named(oblique)}; they are interpolated."


def _intensities(cases: Sequence[CaseStatistics]) -> Iterator[str]:
    for channel in range(len(cases[0].intensities)):
        of = {case.id: case.intensities[channel] for case in cases}
        where = f" of channel {channel}" if len(cases[0].intensities) > 1 else ""
        masked = [case_id for case_id, values in of.items() if values.share_at_minimum > MASKED_SHARE]
        if masked:
            lowest = Counter(of[case_id].minimum for case_id in masked).most_common(1)[0][0]
            yield (
                f"{_count(masked, cases)} one lowest intensity (mostly {lowest:g}) in more than {100 * MASKED_SHARE:.0f} % of the voxels{where}: the "
                "background was masked or cut off; scans where it was not may be segmented worse."
            )
        few = [case_id for case_id, values in of.items() if values.look == FEW_VALUES]
        if few:
            yield f"{_count(few, cases)} only a few different intensities{where}, as label maps have: {named(few)}."
        bright = np.array([values.percentile_99_5 for values in of.values()])
        if bright.min() > 0 and bright.max() / bright.min() > INTENSITY_FACTOR:
            between = f"between {bright.min():g} and {bright.max():g}"
            yield f"The bright intensities (99.5th percentile){where} lie {between}, so the scans have no common unit."


def _same_scans(cases: Sequence[CaseStatistics]) -> Iterator[str]:
    first: dict[str, CaseStatistics] = {}
    same = [(first.setdefault(case.fingerprint, case), case) for case in cases]
    twins = [f"{one.id} and {other.id}" for one, other in same if one is not other]
    if twins:
        apart = any(one.role != other.role for one, other in same)
        both = "; as some are in both training and validation, the validation will look better than the model is" if apart else ""
        yield f"Some cases have the same scan: {named(twins)}{both}."


def _labels(cases: Sequence[CaseStatistics], names: Mapping[int, str]) -> Iterator[str]:
    empty = [case.id for case in cases if not case.labels]
    if empty:
        yield f"{_count(empty, cases)} no label at all: {named(empty)}."
    for value, name in names.items():
        having = [case for case in cases if value in case.labels]
        missing = [case.id for case in cases if case.labels and value not in case.labels]
        if missing:
            yield f"'{name}' is missing in {len(missing)} of {len(cases)} cases: {named(missing)}."
        voxels = np.array([case.labels[value].voxels for case in having])
        usual = np.median(voxels)
        if usual < FEW_VOXELS:
            yield f"'{name}' is tiny: {usual:.0f} voxels in the median case; a finer scan or a region around it may be needed."
        slips = [f"{case.id} ({n})" for case, n in zip(having, voxels) if n < SLIP * usual]
        if slips:
            yield f"'{name}' has less than {100 * SLIP:.0f} % of its usual {usual:.0f} voxels in {len(slips)} case(s): {named(slips)}; look at them."
        cut = [case.id for case in having if case.labels[value].at_edge]
        if len(cut) > CUT_SHARE * len(having):
            yield f"'{name}' reaches the edge of the scan in {len(cut)} of {len(having)} cases, so it is cut off there."


def _sides(cases: Sequence[CaseStatistics], names: Mapping[int, str]) -> Iterator[str]:
    for left, right in left_right_pairs(names):
        both = [case for case in cases if left in case.labels and right in case.labels]
        wrong = [case.id for case in both if case.labels[left].center_mm[0] > case.labels[right].center_mm[0]]
        if wrong:
            yield (
                f"'{names[left]}' lies to the right of '{names[right]}' in {len(wrong)} of {len(both)} cases: {named(wrong)}; "
                "the labels may be exchanged, or the scans mirrored."
            )


def _count(some: Sequence[str] | Mapping[str, float], cases: Sequence[CaseStatistics]) -> str:
    return f"{len(some)} of {len(cases)} cases have"


def _mm(size: Sequence[float]) -> str:
    return " x ".join(f"{s:.3g}" for s in size) + " mm"
