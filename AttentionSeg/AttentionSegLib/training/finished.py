"""The thumbnail of a finished model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..datasets.cases import Case, read_labelled
from ..evaluation.run import DICE
from ..evaluation.statistics import mean_of_labels
from ..inference import Predictor

if TYPE_CHECKING:
    from ..evaluation import Scores
    from ..progress import Cancel


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
