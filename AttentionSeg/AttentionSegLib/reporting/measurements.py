"""Measurements of each label: volume, centroid, uncertainty and the other statistics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from ..boxes import label_boxes
from .label_statistics import STATISTICS, LabelVoxels, Number, shown_size

if TYPE_CHECKING:
    from ..boxes import Box
    from ..image import Image
    from ..inference.prediction import Prediction
    from ..models import Label

_measured: WeakKeyDictionary[Prediction, list[Measurement]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Measurement:
    """Measurements of one label of a segmentation.

    Attributes:
        value: the label's value in the segmentation.
        name: the label's name.
        color: RGB, each 0..255.
        center: the centroid in RAS mm; None without voxels.
        voxels: their number.
        statistics: by the keys of STATISTICS.
    """

    value: int
    name: str
    color: tuple[int, int, int]
    center: tuple[float, float, float] | None
    voxels: int
    statistics: dict[str, Number]

    @property
    def milliliters(self) -> float | None:
        """Volume in mL; None in a single slice."""
        return self.statistics["milliliters"]

    @property
    def size(self) -> str:
        """The size as text, with the unit."""
        return shown_size(self.statistics)

    @property
    def mean_uncertainty(self) -> float | None:
        """Mean uncertainty of the voxels, 0 (sure) to 1; None without voxels."""
        return self.statistics["mean_uncertainty"]


def measure(prediction: Prediction) -> list[Measurement]:
    """Measure every label of the model's card, in the order of the card; labels that were not found have 0 voxels."""
    # Cached, because report, picture, table and command need the same numbers.
    if prediction not in _measured:
        labels = prediction.labels
        sums = _sums_by_value(labels.voxels[0], prediction.uncertainty.voxels[0])
        boxes = label_boxes(labels.voxels[0])
        _measured[prediction] = [_measurement(label, labels, sums.get(label.value), boxes) for label in prediction.card.labels]
    return list(_measured[prediction])


@dataclass(frozen=True)
class _Sums:
    voxels: int
    uncertainty: float
    indices: np.ndarray


def _sums_by_value(labels: np.ndarray, uncertainty: np.ndarray) -> dict[int, _Sums]:
    """Sums over the voxels of each label value; slice by slice, because a list of all labeled voxels may not fit in memory."""
    values = int(labels.max()) + 1
    voxels = np.zeros(values, np.int64)
    totals = np.zeros((4, values))
    # Slices that are contiguous in memory are several times as fast.
    across = int(np.argmax(labels.strides))
    first, second = (axis for axis in range(3) if axis != across)
    for number, (label_slice, uncertainty_slice) in enumerate(zip(np.moveaxis(labels, across, 0), np.moveaxis(uncertainty, across, 0))):
        if not label_slice.any():
            continue
        j, k = np.nonzero(label_slice)
        found = label_slice[j, k]
        counts = np.bincount(found, minlength=values)
        voxels += counts
        totals[0] += np.bincount(found, weights=uncertainty_slice[j, k], minlength=values)
        totals[1 + across] += number * counts
        totals[1 + first] += np.bincount(found, weights=j, minlength=values)
        totals[1 + second] += np.bincount(found, weights=k, minlength=values)
    return {value: _Sums(int(voxels[value]), totals[0, value], totals[1:, value]) for value in np.flatnonzero(voxels).tolist()}


def _measurement(label: Label, labels: Image, sums: _Sums | None, boxes: dict[int, Box]) -> Measurement:
    if sums is None:
        return Measurement(label.value, label.name, label.color, None, 0, {one.key: one.of(labels, None) for one in STATISTICS})
    found = LabelVoxels(label.value, labels, boxes[label.value], sums.voxels, float(sums.uncertainty))
    right, anterior, superior = labels.to_ras(sums.indices / sums.voxels).tolist()
    center = right, anterior, superior
    return Measurement(label.value, label.name, label.color, center, sums.voxels, {one.key: one.of(labels, found) for one in STATISTICS})
