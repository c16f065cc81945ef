"""Measured figures as entries of a model card."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .definitions import MEAN
from .map_measures import REFERENCES
from .statistics import summarize

if TYPE_CHECKING:
    from .map_scores import MapScores
    from .statistics import Scores

# By entry of the card: measure, and whether with trained or random weights.
OF_MAP = {
    "roc_auc": ("auc", "trained"),
    "roc_auc_random": ("auc", "random"),
    "dice_lost": ("dice_lost_mean", "trained"),
    "probability_lost": ("probability_lost", "trained"),
}


def accuracy_entries(scores: Scores, data: str, command: str) -> list[dict[str, Any]]:
    """The entries `accuracy` of a card: the mean Dice of each label that occurs in a reference, and of these labels.

    Args:
        scores: of the model.
        data: name of the data, for readers of the card.
        command: that gave the scores.
    """
    there = [number for number, name in enumerate(scores.labels) if name not in scores.absent]
    summary = summarize(scores.values[:, there], [scores.labels[number] for number in there])
    dice = {name: by_metric["dice"] for name, by_metric in summary.items()}
    return [
        {
            "data": data,
            "label": "mean of the labels" if name == MEAN else name,
            "metric": "Dice",
            "value": round(numbers["mean"], 4),
            "cases": numbers["n"],
            "command": command,
        }
        for name, numbers in dice.items()
        if numbers["mean"] is not None
    ]


def map_entries(scores: MapScores, data: str, command: str) -> list[dict[str, Any]]:
    """The entries `maps` of a card: the means of the labels of each map (see `MeasuredMap`); arguments as of `accuracy_entries`."""
    entries = []
    for name, found in scores.summary()[MEAN].items():
        if name not in REFERENCES and "auc" in found:
            means = {entry: found[measure][weights]["mean"] for entry, (measure, weights) in OF_MAP.items() if weights in found.get(measure, ())}
            # Adding 0 leaves no -0.0.
            figures = {entry: round(mean, 3) + 0.0 for entry, mean in means.items()}
            entries.append({"map": name, **figures, "data": data, "cases": found["auc"]["trained"]["n"], "command": command})
    return entries
