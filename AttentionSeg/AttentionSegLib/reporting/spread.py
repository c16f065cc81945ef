"""Coordinates of strip plots: the points and quartile boxes of the numbers of many cases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ..models import Label

# Width of a drawing and the ends of its axis, in pixels; names are left of the axis, numbers of cases right of it.
WIDTH, LEFT, RIGHT = 920, 250, 850
# Distance in pixels of the smallest and largest number from the ends of an axis that is made for them.
INSET = 6
# Points cycle through these fractions of the height, so that equal numbers do not hide each other.
DOWN = (0.5, 0.3, 0.7, 0.4, 0.6, 0.2, 0.8)
# With more cases, only those outside the 1st to 99th percentile are drawn as points.
MOST_POINTS = 500


@dataclass(frozen=True)
class Point:
    """A case: its position in the row (pixels across, fraction of the height), its name and its number as text."""

    x: float
    down: float
    case: str
    value: str


@dataclass(frozen=True)
class Spread:
    """One row of a strip plot.

    Attributes:
        label: of the numbers.
        count: number of cases with a number.
        points: the cases to show.
        quartiles: smallest number, first quartile, median, third quartile, largest; empty without a case.
        box: positions of the three quartiles, in pixels across.
    """

    label: Label
    count: int
    points: tuple[Point, ...] = ()
    quartiles: tuple[float, ...] = ()
    box: tuple[float, ...] = ()


def spread(label: Label, numbers: Mapping[str, float], show: str, ends: tuple[float, float] | None = None) -> Spread:
    """Compute the strip plot of a label.

    Args:
        label: of the numbers.
        numbers: by case, all finite; may be empty.
        show: format of a number, `{:.2f} mm`.
        ends: of the axis; when left out, the axis reaches from a little below the smallest to a little above the largest number.
    """
    if not numbers:
        return Spread(label, 0)
    values = np.array(list(numbers.values()))
    quartiles = tuple(np.percentile(values, (0, 25, 50, 75, 100)).tolist())
    inset = INSET if ends is None else 0
    ends = ends or (quartiles[0], quartiles[-1])
    shown = list(numbers.items())
    if len(shown) > MOST_POINTS:
        low, high = np.percentile(values, (1, 99))
        shown = [(case, value) for case, value in shown if not low <= value <= high]
    points = (Point(across(value, ends, inset), DOWN[n % len(DOWN)], case, show.format(value)) for n, (case, value) in enumerate(shown))
    return Spread(label, len(numbers), tuple(points), quartiles, tuple(across(value, ends, inset) for value in quartiles[1:4]))


def across(value: float, ends: tuple[float, float], inset: float = 0) -> float:
    """The position of a number on an axis, in pixels."""
    low, high = ends
    share = (value - low) / (high - low) if high > low else 0.5
    return LEFT + inset + share * (RIGHT - LEFT - 2 * inset)
