"""Metrics of pairs of label maps and of masks: overlap, distances and volume."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence

import numpy as np
import torch

from ..boxes import bounding_box
from ..image import Image, Numbers
from .definitions import METRICS, Masks

MARGIN = 1


def case_metrics(prediction: Image, reference: Image, values: Sequence[int]) -> np.ndarray:
    """Compare two label maps voxel by voxel.

    Args:
        prediction, reference: label values [1, I, J, K] on the same grid; distances in mm use its spacing, the column lengths of the affine.
        values: the labels to compare.

    Returns:
        [labels, METRICS], NaN where undefined (see `label_metrics`).
    """
    rows = []
    for value in values:
        found = label_metrics(prediction.voxels[0] == value, reference.voxels[0] == value, reference.spacing)
        rows.append([found[metric.key] for metric in METRICS])
    return np.array(rows)


def labels_in(labels: Image, values: Iterable[int]) -> set[int]:
    """Those of the values that a voxel of a label map has."""
    return {value for value in values if (labels.voxels == value).any()}


def label_metrics(prediction: np.ndarray, reference: np.ndarray, spacing: Numbers) -> dict[str, float]:
    """Compare two masks, bool [I, J, K], of voxels of the given spacing in mm: METRICS by key.

    Single slices are compared within their plane: as volumes, all of their voxels would be surface.
    Both empty counts as right: Dice and surface Dice 1, distances and volume error 0. Only one empty: Dice and surface Dice 0, distances NaN, volume
    error -100 for an empty prediction and NaN for an empty reference.
    """
    box = bounding_box(prediction | reference)
    if box is None:
        return {metric.key: metric.right for metric in METRICS}
    if not reference.any():
        return {metric.key: metric.no_reference for metric in METRICS}
    if not prediction.any():
        return {metric.key: metric.no_prediction for metric in METRICS}
    box = tuple(slice(max(part.start - MARGIN, 0), part.stop + MARGIN) for part in box)
    thin = tuple(axis for axis, size in enumerate(reference.shape) if size == 1)
    predicted, true = (torch.from_numpy(mask[box].squeeze(thin))[None, None] for mask in (prediction, reference))
    masks = Masks(predicted, true, tuple(float(length) for axis, length in enumerate(spacing) if axis not in thin))
    with warnings.catch_warnings():
        # MONAI 1.5 and 1.6 warn about an argument that they pass themselves.
        warnings.filterwarnings("ignore", ".*always_return_as_numpy", FutureWarning)
        return {metric.key: metric.compute(masks) for metric in METRICS}
