"""What is told of each label of a segmentation: the one table that panel, CSV, report, manifest and page of a batch follow.

To add a statistic: a line in STATISTICS, and a function where an expression does not do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Optional, Union

import numpy as np

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
        uncertainty: the sum of theirs, each from 0 (sure) to 1.
    """

    value: int
    labels: Image
    box: tuple[slice, slice, slice]
    voxels: int
    uncertainty: float

    @property
    def mask(self) -> np.ndarray:
        """Where they are in their box, bool [i, j, k]; voxels are spaced as those of `labels`."""
        return self.labels.voxels[0][self.box] == self.value


@dataclass(frozen=True)
class Statistic:
    """A number of a label.

    Attributes:
        key: name in files.
        title: in words, with the unit.
        heading: the same for a narrow column.
        meaning: one sentence.
        form: how people read the number, as in `format`.
        compute: from the voxels of a label to the number.
        of_none: the number of a label without voxels.
        in_panel: whether the table of the panel has room for it.
        applies: whether images like this one have such a number; None stands for it in others.
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
        """The number of a label of an image; `found` is None where it has no voxels."""
        if not self.applies(labels):
            return None
        return self.of_none if found is None else self.compute(found)

    def shown(self, number: Number) -> str:
        """For people; empty where there is none."""
        return "" if number is None else format(number, self.form)


def count_components(found: LabelVoxels) -> int:
    """The number of parts, where voxels that touch by a corner are of one part."""
    # Here, because it takes a while to import.
    from scipy import ndimage

    return int(ndimage.label(found.mask, np.ones((3, 3, 3), bool))[1])


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
    Statistic("components", "Components", "Parts", "Number of parts that do not touch.", "d", count_components, 0),
)
# What tells how large a label is, the first that there is, and its unit.
SIZES = (("milliliters", "mL"), ("square_millimeters", "mm²"), ("voxels", "pixels"))


def size_of(statistics: Mapping[str, Number]) -> tuple[float, str]:
    """How large a label is by its statistics: the volume, of a slice the area, or the number of pixels where no spacing is known; and the unit."""
    return next((number, unit) for key, unit in SIZES if (number := statistics.get(key)) is not None)


def shown_size(statistics: Mapping[str, Number]) -> str:
    """The same for people."""
    number, unit = size_of(statistics)
    decimals = 0 if unit == "pixels" else 1 if number >= 10 else 2 if number >= 0.1 else 4
    return f"{number:.{decimals}f} {unit}"
