"""Accuracy entries and thumbnail of a finished model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..datasets.cases import Case, read_labelled
from ..evaluation.definitions import MEAN
from ..evaluation.run import DICE
from ..evaluation.statistics import mean_of_labels
from ..inference import Predictor

if TYPE_CHECKING:
    from ..evaluation import Scores
    from ..progress import Cancel


def accuracy_entries(scores: Scores, document: dict[str, Any], command: str) -> list[dict[str, Any]]:
    """The entries `accuracy` of a card: the mean Dice of each label that occurs in a case, and of all labels."""
    data = f"{document['training_data'][0]['name']}, validation cases"
    dice = {name: by_metric["dice"] for name, by_metric in scores.summary().items()}
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
        if numbers["n"]
    ]


def draw_thumbnail(predictor: Predictor, cases: Sequence[Case], scores: Scores, cancel: Cancel | None = None) -> bytes | None:
    """A PNG of the model's segmentation of its best case, without intensities of the scan; None if it is empty."""
    from ..reporting.silhouette import draw_silhouette

    for n in np.argsort(-mean_of_labels(scores.values)[:, DICE]):
        image, reference, _ = read_labelled(cases[n])
        # Cases without labels are excluded: their correct segmentation is empty.
        if reference.voxels.any():
            prediction = predictor(image, attention=False, cancel=cancel)
            return draw_silhouette(prediction.labels, {label.value: label.color for label in prediction.card.labels})
    return None
