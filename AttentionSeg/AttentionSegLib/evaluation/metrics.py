"""Overlap, distances and volume of two masks, by MONAI."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import torch
from monai.metrics import compute_average_surface_distance, compute_dice, compute_hausdorff_distance, compute_surface_dice

from ..image import Image
from ..reporting.placement import bounding_box
from .definitions import METRICS

MARGIN = 1
# Spacings are rounded numbers in files, and a neighbor 1.0000001 mm away is meant to be within 1 mm.
TOLERANCE_MM = 1.0 + 1e-3
NAN = float("nan")


def case_metrics(prediction: Image, reference: Image, values: Sequence[int]) -> np.ndarray:
    """Compare two label maps voxel by voxel.

    Args:
        prediction, reference: label values [1, I, J, K] on the same grid; its spacing, the column lengths of the affine, is what the mm are of.
        values: the labels to compare.

    Returns:
        [labels, METRICS], NaN where undefined (see `label_metrics`).
    """
    rows = []
    for value in values:
        found = label_metrics(prediction.voxels[0] == value, reference.voxels[0] == value, reference.spacing)
        rows.append([found[metric.key] for metric in METRICS])
    return np.array(rows)


def label_metrics(prediction: np.ndarray, reference: np.ndarray, spacing: Sequence[float]) -> dict[str, float]:
    """Compare two masks, bool [I, J, K], of voxels of the given spacing in mm: a number for the key of each of METRICS.

    Both empty counts as right: Dice and surface Dice 1, distances and volume error 0. Only one empty: Dice and surface Dice 0, distances NaN, volume
    error -100 for an empty prediction and NaN for an empty reference.
    """
    box = bounding_box(prediction | reference)
    if box is None:
        return _by_key(1.0, 0.0, 0.0, 1.0, 0.0)
    box = tuple(slice(max(part.start - MARGIN, 0), part.stop + MARGIN) for part in box)
    predicted, true = (torch.from_numpy(mask[box])[None, None] for mask in (prediction, reference))
    predicted_voxels, true_voxels = int(predicted.sum()), int(true.sum())
    if not true_voxels:
        return _by_key(0.0, NAN, NAN, 0.0, NAN)
    if not predicted_voxels:
        return _by_key(0.0, NAN, NAN, 0.0, -100.0)
    surface = {"include_background": True, "spacing": [float(length) for length in spacing]}
    with warnings.catch_warnings():
        # MONAI 1.5 and 1.6 warn about an argument that they give themselves.
        warnings.filterwarnings("ignore", ".*always_return_as_numpy", FutureWarning)
        return _by_key(
            compute_dice(predicted, true, include_background=True).item(),
            compute_hausdorff_distance(predicted, true, percentile=95, **surface).item(),
            compute_average_surface_distance(predicted, true, symmetric=True, **surface).item(),
            compute_surface_dice(predicted, true, [TOLERANCE_MM], **surface).item(),
            100 * (predicted_voxels / true_voxels - 1),
        )


def _by_key(*values: float) -> dict[str, float]:
    return {metric.key: value for metric, value in zip(METRICS, values)}
