"""What is told of each label of a segmentation: the one table that panel, CSV, report, manifest and page of a batch follow.

To add a statistic: a line in STATISTICS, and a function where an expression does not do.
"""

from __future__ import annotations

from collections.abc import Callable
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
    """

    key: str
    title: str
    heading: str
    meaning: str
    form: str
    compute: Callable[[LabelVoxels], Number]
    of_none: Number = None
    in_panel: bool = True

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
    ),
    Statistic("voxels", "Voxels", "Voxels", "Number of voxels.", "d", lambda found: found.voxels, 0, in_panel=False),
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
