"""Flags for unusual cases, by comparison with the other cases of the batch."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from ..reporting.label_statistics import size_of
from .manifest import Entry

PERCENTILES = (1, 99)
# With fewer cases, the percentiles are close to the minimum and maximum.
LEAST_COHORT = 20
# Tukey's fence, in interquartile ranges above the third quartile.
FENCE = 1.5
GONE = "the last run did not find its scan"


def case_uncertainty(entry: Entry) -> float | None:
    """Mean uncertainty of the labeled voxels, 0 (sure) to 1; None if there are none, or it is unknown."""
    found = [label for label in entry.labels if label["voxels"] and label.get("mean_uncertainty") is not None]
    if not found:
        return None
    return float(np.average([label["mean_uncertainty"] for label in found], weights=[label["voxels"] for label in found]))


def flags_of(entries: Sequence[Entry], gone: Collection[str] = ()) -> dict[str, list[str]]:
    """The flags of each finished case by its name: sentences, the most serious first.

    The scan is gone (`gone`); it differs from those that the model was trained on; a label is missing; a label has more than one component; the size
    of a label is below the 1st or above the 99th percentile of the cases that have it (if they are 20 or more); the mean uncertainty of the case is
    more than 1.5 interquartile ranges above the third quartile.
    """
    volumes: dict[str, list[float]] = {}
    for entry in entries:
        for label in entry.labels:
            if label["voxels"]:
                volumes.setdefault(label["name"], []).append(size_of(label)[0])
    usual = {name: np.percentile(found, PERCENTILES) for name, found in volumes.items() if len(found) >= LEAST_COHORT}
    fence = _fence([value for value in map(case_uncertainty, entries) if value is not None])
    return {entry.case: [*([GONE] if entry.case in gone else []), *_flags(entry, usual, fence)] for entry in entries}


def _fence(uncertainties: Sequence[float]) -> float:
    if len(uncertainties) < LEAST_COHORT:
        return np.inf
    first, third = np.percentile(uncertainties, (25, 75))
    return float(third + FENCE * (third - first))


def _flags(entry: Entry, usual: dict[str, np.ndarray], fence: float) -> list[str]:
    missing, volumes, pieces = [], [], []
    for label in entry.labels:
        name, (volume, unit) = label["name"], size_of(label)
        if not label["voxels"]:
            missing.append(f"{name} missing")
            continue
        low, high = usual.get(name, (-np.inf, np.inf))
        if not low <= volume <= high:
            volumes.append(f"{name} {volume:.4g} {unit}, outside {low:.4g} to {high:.4g} {unit} (1st to 99th percentile)")
        if label.get("components", 0) > 1:
            pieces.append(f"{name} in {label['components']} components")
    uncertainty = case_uncertainty(entry)
    high_uncertainty = [f"uncertainty {uncertainty:.3f}, above {fence:.3f}"] if uncertainty is not None and uncertainty > fence else []
    return [*entry.misfits, *missing, *high_uncertainty, *volumes, *pieces]
