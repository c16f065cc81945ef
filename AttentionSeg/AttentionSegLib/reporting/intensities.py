"""From values to shades: what is shown as black and as white, as clear and as the hottest color."""

from __future__ import annotations

import numpy as np

from ..map_kinds import TIMES_AVERAGE, map_kind

CT_WINDOW = (-160.0, 240.0)
SHOWN_PERCENTILES = (0.5, 99.5)
# Position attention sinks into single voxels, at hundreds of times the average: colors end where the last few percent begin, and do not close in on
# voxels that are looked at all alike.
SINKS_FROM_PERCENTILE = 98
LEAST_TIMES_AVERAGE = 4.0


def gray_ends(values: np.ndarray, modality: str) -> tuple[float, float]:
    """The intensities for black and white: soft tissue for CT in HU, else all of the values but a few outliers."""
    if modality == "CT":
        return CT_WINDOW
    low, high = _robust_ends(values)
    # Where white matter or fat fills the picture it is the top of the values; with room above it keeps its contrast.
    return low, high + 0.1 * (high - low)


def heat_ends(values: np.ndarray) -> tuple[float, float]:
    """The values that get the ends of the heat colors: from 0 on, but closer where a map is high everywhere.

    A map within a fifth of its top stays near one color, so that noise does not look like attention.
    """
    low, high = _robust_ends(values)
    if low < 0:
        return low, high
    return (0.0, high) if low < high / 2 else (min(low, 0.8 * high), high)


def map_top(values: np.ndarray, name: str) -> float:
    """The value of a map that gets the hottest color where 0 gets the coldest.

    1 for maps of 0..1; for others their 99.5th percentile; for position attention, in times the average, the 98th percentile, and at least 4.

    Args:
        values: of the whole map.
        name: which map, see `map_kind`.
    """
    if map_kind(name).unit == TIMES_AVERAGE:
        return max(LEAST_TIMES_AVERAGE, float(np.percentile(values, SINKS_FROM_PERCENTILE)))
    return max(1.0, float(np.percentile(values, SHOWN_PERCENTILES[1]))) if values.max() > 1 else 1.0


def scaled(values: np.ndarray, ends: tuple[float, float]) -> np.ndarray:
    """Values as 0..1 between the ends; NaN stays."""
    return np.clip((values - ends[0]) / (ends[1] - ends[0]), 0, 1)


def _robust_ends(values: np.ndarray) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return 0.0, 1.0
    low, high = (float(end) for end in np.percentile(finite, SHOWN_PERCENTILES))
    return (low, high) if high > low else (low, low + 1.0)
