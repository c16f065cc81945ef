"""How large each structure is, where it lies and how sure the network was of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ..image import Image
    from ..inference.prediction import Prediction
    from ..models import Label


@dataclass(frozen=True)
class Measurement:
    """One label of a segmentation in numbers.

    Attributes:
        value: the label's value in the segmentation.
        name: the label's name.
        color: RGB, each 0..255.
        voxels: how many voxels have the label.
        milliliters: their volume.
        mean_uncertainty: mean uncertainty of these voxels, 0 (sure) to 1; None when there are none.
        center: their centroid in RAS mm; None when there are none.
    """

    value: int
    name: str
    color: tuple[int, int, int]
    voxels: int
    milliliters: float
    mean_uncertainty: float | None
    center: tuple[float, float, float] | None


def measure(prediction: Prediction) -> list[Measurement]:
    """Measure every label of the model's card, in the order of the card; labels that were not found have 0 voxels."""
    sums = _sums_by_value(prediction.labels.voxels[0], prediction.uncertainty.voxels[0])
    return [_measurement(label, sums.get(label.value), prediction.labels) for label in prediction.card.labels]


@dataclass(frozen=True)
class _Sums:
    voxels: int
    uncertainty: float
    indices: np.ndarray


def _sums_by_value(labels: np.ndarray, uncertainty: np.ndarray) -> dict[int, _Sums]:
    """Add up what the voxels of each value contribute; slice by slice, as a list of all labeled voxels may not fit in memory."""
    values = int(labels.max()) + 1
    voxels = np.zeros(values, np.int64)
    totals = np.zeros((4, values))
    # Slices that lie together in memory are several times as fast to go through.
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


def _measurement(label: Label, sums: _Sums | None, geometry: Image) -> Measurement:
    if sums is None:
        return Measurement(label.value, label.name, tuple(label.color), 0, 0.0, None, None)
    center = geometry.to_ras(sums.indices / sums.voxels)
    return Measurement(
        value=label.value,
        name=label.name,
        color=tuple(label.color),
        voxels=sums.voxels,
        milliliters=sums.voxels * geometry.voxel_volume / 1000,
        mean_uncertainty=float(sums.uncertainty / sums.voxels),
        center=tuple(float(coordinate) for coordinate in center),
    )
