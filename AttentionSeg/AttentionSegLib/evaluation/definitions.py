"""The table of metrics, with their functions and descriptions, which CSV, summary, page and command line use.

To add a metric: a line in METRICS and its function.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

# Spacings in files are rounded; a neighbor 1.0000001 mm away has to count as within 1 mm.
TOLERANCE_MM = 1.0 + 1e-3
NAN = float("nan")


@dataclass(frozen=True, eq=False)
class Masks:
    """A label in prediction and reference, neither of them empty: bool [1, 1, i, j, k] in a box around both.

    For a single slice they are [1, 1, i, j]. Voxels have the given spacing in mm.
    """

    predicted: Tensor
    true: Tensor
    spacing: tuple[float, ...]


@dataclass(frozen=True)
class Metric:
    """One of METRICS.

    Attributes:
        key: name in the files.
        title: name for display, with the unit.
        digits: decimals to show.
        meaning: one sentence.
        compute: the metric of a pair of masks.
        right: value for a label that is empty in both.
        no_reference, no_prediction: value if it is empty in the reference or the prediction alone; NaN if undefined.
    """

    key: str
    title: str
    digits: int
    meaning: str
    compute: Callable[[Masks], float]
    right: float
    no_reference: float
    no_prediction: float


# MONAI is imported in each function, because that takes seconds and the table does not need it.
def _dice(masks: Masks) -> float:
    from monai.metrics import compute_dice

    return compute_dice(masks.predicted, masks.true, include_background=True).item()


def _hausdorff_95(masks: Masks) -> float:
    from monai.metrics import compute_hausdorff_distance

    return compute_hausdorff_distance(masks.predicted, masks.true, percentile=95, include_background=True, spacing=list(masks.spacing)).item()


def _mean_surface_distance(masks: Masks) -> float:
    from monai.metrics import compute_average_surface_distance

    return compute_average_surface_distance(masks.predicted, masks.true, symmetric=True, include_background=True, spacing=list(masks.spacing)).item()


def _surface_dice(masks: Masks) -> float:
    from monai.metrics import compute_surface_dice

    return compute_surface_dice(masks.predicted, masks.true, [TOLERANCE_MM], include_background=True, spacing=list(masks.spacing)).item()


def _volume_error(masks: Masks) -> float:
    return 100 * (int(masks.predicted.sum()) / int(masks.true.sum()) - 1)


METRICS = (
    Metric("dice", "Dice", 3, "Twice the voxels in both masks over the sum of the voxels of each, 0 to 1.", _dice, 1.0, 0.0, 0.0),
    Metric(
        "hausdorff_95_mm",
        "Hausdorff distance, 95 % (mm)",
        2,
        "95 % of the border voxels of each mask are at most this far from the border of the other (the larger of both directions).",
        _hausdorff_95,
        0.0,
        NAN,
        NAN,
    ),
    Metric(
        "mean_surface_distance_mm",
        "Mean surface distance (mm)",
        2,
        "Mean distance from the border voxels of each mask to the nearest one of the other, over both borders together.",
        _mean_surface_distance,
        0.0,
        NAN,
        NAN,
    ),
    Metric(
        "surface_dice_1mm",
        "Surface Dice at 1 mm",
        3,
        "Share of the border voxels of both masks that have the other border within 1 mm, 0 to 1.",
        _surface_dice,
        1.0,
        0.0,
        0.0,
    ),
    Metric(
        "volume_error_percent",
        "Volume error (%)",
        1,
        "Volume of the prediction minus that of the reference, in percent of the reference: above 0 where the prediction is too large.",
        _volume_error,
        0.0,
        NAN,
        -100.0,
    ),
)
MEAN = "mean"
EMPTY_RULE = (
    "A label that is empty in both reference and prediction counts as right (Dice and surface Dice 1, distances 0 mm, volume error 0 %); "
    "where only one of them is empty, Dice and surface Dice are 0, distances are undefined (NaN in metrics.csv, left out of the mean; n is the "
    "number of cases in it), and the volume error is -100 % for an empty prediction and undefined for an empty reference."
)
