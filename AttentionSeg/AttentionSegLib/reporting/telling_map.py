"""Choice of the attention map that is shown first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .intensities import map_top

if TYPE_CHECKING:
    from ..image import Image
    from ..inference.prediction import Prediction

# Maps whose score is within this fraction of the best count as equal.
EQUAL_WITHIN = 0.1
# Largest number of voxels of a map that are sampled.
LOOKED_AT = 200_000


def most_telling_map(prediction: Prediction) -> str | None:
    """The attention map with the highest contrast, as displayed, between the labels and their surroundings.

    Among equal maps, the one with the finest grid, then the first. Without labeled voxels, the map that varies most. None without attention maps.
    """
    scores = {name: _contrast(image, prediction.labels, name) for name, image in prediction.attention.items()}
    if not scores:
        return None
    best = max(scores.values())
    good = [name for name, score in scores.items() if score >= best - EQUAL_WITHIN * abs(best)]
    return min(good, key=lambda name: float(np.prod(prediction.attention[name].spacing)))


def _contrast(image: Image, labels: Image, name: str) -> float:
    values = image.voxels[0]
    step = max(1, int(np.ceil((values.size / LOOKED_AT) ** (1 / 3))))
    index = np.indices(tuple(-(-n // step) for n in values.shape)).reshape(3, -1).T * step
    shown = np.clip(values[tuple(index.T)] / map_top(values, name), 0, 1)
    found = _labeled(labels, image.to_ras(index))
    if found.all() or not found.any():
        return float(shown.std())
    return float(shown[found].mean() - shown[~found].mean())


def _labeled(labels: Image, places: np.ndarray) -> np.ndarray:
    """Whether positions, RAS mm [N, 3], lie in a labeled voxel."""
    voxels = np.rint(labels.to_ijk(places)).astype(int)
    inside = ((voxels >= 0) & (voxels < labels.shape)).all(1)
    found = np.zeros(len(places), dtype=bool)
    found[inside] = labels.voxels[0][tuple(voxels[inside].T)] > 0
    return found
