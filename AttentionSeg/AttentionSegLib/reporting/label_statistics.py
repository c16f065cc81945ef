"""The table of statistics per label, which panel, CSV, report, and manifest and page of a batch read.

To add a statistic, add a line to STATISTICS, and a function if an expression is not enough.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Optional, Union

import numpy as np

from ..boxes import Box
from ..components import count_components
from ..image import Image

Number = Optional[Union[int, float]]


@dataclass(frozen=True, eq=False)
class LabelVoxels:
    """The voxels of a label, at least one.

    Attributes:
        value: of the label.
        labels: all labels of the segmentation, [1, I, J, K].
        box: the smallest box around the voxels.
        voxels: how many there are.
        uncertainty: sum over the voxels, each 0 (sure) to 1.
    """

    value: int
    labels: Image
    box: Box
    voxels: int
    uncertainty: float

    @property
    def part(self) -> np.ndarray:
        """All labels in the box, [i, j, k], with the spacing of `labels`."""
        return self.labels.voxels[0][self.box]


@dataclass(frozen=True)
class Statistic:
    """A number of a label.

    Attributes:
        key: name in files.
        title: with the unit.
        heading: the same for a narrow column.
        meaning: explanation in one sentence.
        form: format specification for display.
        compute: function from the voxels of a label to the number.
        of_none: the number for a label without voxels.
        in_panel: whether the panel's table shows it.
        applies: whether an image has such a number; if not, it is None.
    """

    key: str
    title: str
    heading: str
    meaning: str
    form: str
    compute: Callable[[LabelVoxels], Number]
    of_none: Number = None
    in_panel: bool = True
    applies: Callable[[Image], bool] = lambda labels: True

    def of(self, labels: Image, found: LabelVoxels | None) -> Number:
        """The number of a label of an image; `found` is None if it has no voxels."""
        if not self.applies(labels):
            return None
        return self.of_none if found is None else self.compute(found)

    def shown(self, number: Number) -> str:
        """The number as text; empty if it is None."""
        return "" if number is None else format(number, self.form)


STATISTICS = (
    Statistic(
        "milliliters",
        "Volume (mL)",
        "mL",
        "Volume in milliliters.",
        ".3f",
        lambda found: found.voxels * found.labels.voxel_volume / 1000,
        0.0,
        applies=lambda labels: not labels.is_slice,
    ),
    Statistic(
        "square_millimeters",
        "Area (mm²)",
        "mm²",
        "Area in square millimeters, in a single slice whose spacing is known.",
        ".2f",
        lambda found: found.voxels * found.labels.pixel_area,
        0.0,
        in_panel=False,
        applies=lambda labels: labels.is_slice and labels.spacing_known,
    ),
    Statistic(
        "voxels", "Voxels", "Voxels", "Number of voxels, which are pixels in a single slice.", "d", lambda found: found.voxels, 0, in_panel=False
    ),
    Statistic(
        "mean_uncertainty",
        "Mean uncertainty",
        "Unsure",
        "Mean uncertainty of the network in it, from 0 (sure) to 1.",
        ".3f",
        lambda found: found.uncertainty / found.voxels,
    ),
    Statistic(
        "components", "Components", "Parts", "Number of parts that do not touch.", "d", lambda found: count_components(found.part, found.value), 0
    ),
)
# Measures of the size of a label with their units; the first available one is used.
SIZES = (("milliliters", "mL"), ("square_millimeters", "mm²"), ("voxels", "pixels"))


def size_of(statistics: Mapping[str, Number]) -> tuple[float, str]:
    """The size of a label and its unit: the volume, for a slice the area, or the number of pixels if the spacing is unknown."""
    return next((number, unit) for key, unit in SIZES if (number := statistics.get(key)) is not None)


def shown_size(statistics: Mapping[str, Number]) -> str:
    """The size of a label as text."""
    number, unit = size_of(statistics)
    decimals = 0 if unit == "pixels" or not number else 1 if number >= 10 else 2 if number >= 0.1 else 4
    return f"{number:.{decimals}f} {unit}"
