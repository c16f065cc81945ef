"""The table of measures of attention maps, with their descriptions, which files, page and command line use."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MapMeasure:
    """One of MAP_MEASURES.

    Attributes:
        key: name in the files.
        title: name for display.
        digits: decimals to show.
        meaning: one sentence.
    """

    key: str
    title: str
    digits: int
    meaning: str


LOCALIZATION = (
    MapMeasure("auc", "ROC AUC", 3, "Chance that a voxel of the label has a larger value than one outside, ties counting half: 0.5 is chance level."),
    MapMeasure("share_inside", "Share of the sum inside", 3, "Sum of the map within the label over its sum in the whole scan, 0 to 1."),
    MapMeasure("pointing", "Pointing game", 3, "Share of the label among the voxels where the map is largest (Zhang et al. 2018): 1 is a hit."),
)
GATE = (
    MapMeasure(
        "dice_lost_mean",
        "Dice lost, gate at its mean",
        3,
        "Dice as it is minus Dice with the coefficients replaced by their mean in each patch.",
    ),
    MapMeasure("dice_lost_inverted", "Dice lost, gate inverted", 3, "Dice as it is minus Dice with each coefficient a replaced by 1 - a."),
)
DELETION = (
    MapMeasure(
        "probability_lost",
        "Probability lost by deletion",
        4,
        "By how much more the probability of a voxel falls if the 5 % of the positions that it attends to most are replaced by the local mean than "
        "if as many drawn at random are (after Petsiuk et al. 2018); its own neighborhood stays.",
    ),
)
MAP_MEASURES = (*LOCALIZATION, *GATE, *DELETION)
# Reference maps to compare with: the same value everywhere, and values that fall with the distance from the center of the scan.
CONSTANT, CENTER = "constant", "center"
REFERENCES = {CONSTANT: "The same everywhere", CENTER: "Nearness to the center of the scan"}
# The explanation of each label, measured on that label.
WHY = "why"
TITLES = {**REFERENCES, WHY: "Why the label is there"}
SANITY_RULE = (
    "With random weights: the same for the network before training, with new weights for each case (Adebayo et al. 2018, arXiv:1810.03292). "
    "Marked: the 95 % interval of the difference, trained minus random, does not lie above 0, so the figure may come from the architecture alone."
)
