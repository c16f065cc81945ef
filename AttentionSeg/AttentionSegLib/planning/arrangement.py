"""The arrangement of the labels in the training cases, from which results of other scans are told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from ..datasets.case_statistics import CaseStatistics
from ..inference.arrangement import LEAST_LABELS, misfit_of
from ..models.arrangement import Arrangement

# Smallest share of the cases that have to show a label completely.
LEAST_SHOWN = 0.5
ROUNDS = 3


def plan_arrangement(labels: Sequence[dict[str, Any]], cases: Sequence[CaseStatistics], is_region: bool) -> tuple[dict[str, Any], list[str]]:
    """The mean arrangement of the labels, of all cases turned and shifted onto each other.

    Labels that the edge of a scan cuts are left out, and so are labels that few cases show completely.

    Args:
        labels: entries of the card.
        cases: to train on.
        is_region: whether the model is for a region.

    Returns:
        The entry of the card and a sentence; both empty for a region, and if fewer than four labels remain.
    """
    whole = [{value: label.center_mm for value, label in case.labels.items() if not label.at_edge} for case in cases]
    used = [value for value in [entry["value"] for entry in labels] if sum(value in case for case in whole) >= LEAST_SHOWN * len(cases)]
    points = np.array([[case.get(value, (np.nan,) * 3) for value in used] for case in whole], float).reshape(len(cases), len(used), 3)
    points = points[np.isfinite(points[..., 0]).sum(1) >= LEAST_LABELS]
    if is_region or not len(points):
        return {}, []
    mean = points[np.isfinite(points[..., 0]).sum(1).argmax()]
    for _ in range(ROUNDS):
        mean = np.nanmean([_moved(case, mean) for case in points], axis=0)
    seen = np.isfinite(mean[:, 0])
    mean -= mean[seen].mean(0)
    misfits = [misfit_of(*_both(case, mean))[0] for case in points]
    known = Arrangement({value: tuple(center) for value, center, there in zip(used, mean.tolist(), seen) if there}, float(max(misfits)))
    return {"arrangement": known.document}, [
        f"Results in which {len(known.centers)} labels lie otherwise than in the training cases get a warning. In the worst of these cases they are "
        f"{known.misfit:.0%} of their extent off the mean."
    ]


def _moved(points: np.ndarray, onto: np.ndarray) -> np.ndarray:
    """Points [N, 3] turned and shifted onto others; NaN stays."""
    own, other = _both(points, onto)
    rotation, _ = Rotation.align_vectors(other - other.mean(0), own - own.mean(0))
    return (points - own.mean(0)) @ rotation.as_matrix().T + other.mean(0)


def _both(points: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Those that neither lacks."""
    there = np.isfinite(points[:, 0]) & np.isfinite(others[:, 0])
    return points[there], others[there]
