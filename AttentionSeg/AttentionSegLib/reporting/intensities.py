"""Display windows: the values shown as black and white in scans, and as the first and last color in maps."""

from __future__ import annotations

import numpy as np

from ..map_kinds import TIMES_AVERAGE, map_kind

CT_WINDOW = (-160.0, 240.0)
SHOWN_PERCENTILES = (0.5, 99.5)
# Position attention has single voxels at hundreds of times the average: the colors end at this percentile. The lower limit keeps a nearly uniform
# map in one color.
SINKS_FROM_PERCENTILE = 98
LEAST_TIMES_AVERAGE = 4.0


def gray_ends(values: np.ndarray, modality: str) -> tuple[float, float]:
    """The intensities for black and white: the soft-tissue window for CT in HU, else the range without outliers."""
    if modality == "CT":
        return CT_WINDOW
    low, high = _robust_ends(values)
    # Room above the top, so that white matter or fat, if it fills the picture, keeps its contrast.
    return low, high + 0.1 * (high - low)


def heat_ends(values: np.ndarray) -> tuple[float, float]:
    """The values for the first and last heat color: from 0, or from higher if a map is high everywhere.

    A map that varies by less than a fifth of its top stays near one color, so that noise does not look like attention.
    """
    low, high = _robust_ends(values)
    if low < 0:
        return low, high
    return (0.0, high) if low < high / 2 else (min(low, 0.8 * high), high)


def map_top(values: np.ndarray, name: str) -> float:
    """The value of a map that gets the last color, if 0 gets the first.

    1 for maps of 0..1; for others their 99.5th percentile; for position attention (in times the average) the 98th percentile, and at least 4.

    Args:
        values: of the whole map.
        name: id of the map, see `map_kind`.
    """
    if map_kind(name).unit == TIMES_AVERAGE:
        return max(LEAST_TIMES_AVERAGE, float(np.percentile(values, SINKS_FROM_PERCENTILE)))
    return max(1.0, float(np.percentile(values, SHOWN_PERCENTILES[1]))) if values.max() > 1 else 1.0


def scaled(values: np.ndarray, ends: tuple[float, float]) -> np.ndarray:
    """Values scaled to 0..1 between the ends; NaN stays."""
    return np.clip((values - ends[0]) / (ends[1] - ends[0]), 0, 1)


def _robust_ends(values: np.ndarray) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return 0.0, 1.0
    low, high = (float(end) for end in np.percentile(finite, SHOWN_PERCENTILES))
    return (low, high) if high > low else (low, low + 1.0)
