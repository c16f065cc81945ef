"""What is measured, in words."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """One of METRICS.

    Attributes:
        key: name in the files.
        title: name for people, with the unit.
        digits: decimals worth showing.
        meaning: one sentence.
    """

    key: str
    title: str
    digits: int
    meaning: str


METRICS = (
    Metric("dice", "Dice", 3, "Twice the voxels in both masks over the sum of the voxels of each, 0 to 1."),
    Metric(
        "hausdorff_95_mm",
        "Hausdorff distance, 95 % (mm)",
        2,
        "95 % of the border voxels of each mask are at most this far from the border of the other (the larger of both directions).",
    ),
    Metric(
        "mean_surface_distance_mm",
        "Mean surface distance (mm)",
        2,
        "Mean distance from the border voxels of each mask to the nearest one of the other, over both borders together.",
    ),
    Metric("surface_dice_1mm", "Surface Dice at 1 mm", 3, "Share of the border voxels of both masks that have the other border within 1 mm, 0 to 1."),
    Metric(
        "volume_error_percent",
        "Volume error (%)",
        1,
        "Volume of the prediction minus that of the reference, in percent of the reference: above 0 where the prediction is too large.",
    ),
)
MEAN = "mean"
EMPTY_RULE = (
    "A label that is empty in both reference and prediction counts as right (Dice and surface Dice 1, distances 0 mm, volume error 0 %); "
    "where only one of them is empty, Dice and surface Dice are 0, distances are undefined (NaN in metrics.csv, left out of the mean, with n saying "
    "how many cases are in it), and the volume error is -100 % for an empty prediction and undefined for an empty reference."
)
