"""The picture that a training puts into the folder of its model."""

from __future__ import annotations

import numpy as np
import pytest
from AttentionSegLib.datasets.cases import read_labelled
from AttentionSegLib.errors import Cancelled
from AttentionSegLib.evaluation.definitions import METRICS
from AttentionSegLib.evaluation.statistics import Scores
from AttentionSegLib.image import Image
from AttentionSegLib.inference import Predictor
from AttentionSegLib.training.finished import draw_thumbnail
from tiny_models import intensity_model
from tiny_training import written_case

COLORS = {1: (221, 130, 101), 2: (144, 238, 144)}


def drawn(labels: Image, colors: dict[int, tuple[int, int, int]]) -> bytes:
    """In place of a picture, what it is drawn from."""
    return labels.voxels.astype(np.uint8).tobytes() + str(colors).encode()


@pytest.fixture(autouse=True)
def _drawn_at_once(monkeypatch):
    monkeypatch.setattr("AttentionSegLib.reporting.silhouette.draw_silhouette", drawn)


@pytest.fixture
def predictor() -> Predictor:
    return Predictor(intensity_model(), "cpu")


@pytest.fixture
def cases(tmp_path) -> list:
    """A box of another size in each; what the model finds is what the label map says, and nothing in the last."""
    made = []
    for n, size in enumerate((4, 8, 10, 0)):
        labels = np.zeros((18, 17, 16), np.uint8)
        labels[3 : 3 + size, 3:7, 3:9] = 1
        made.append(written_case(tmp_path, (75.0 * labels + np.eye(18, 17)[..., None]).astype(np.float32), labels, case=f"case_{n}"))
    return made


def scores_of(predictor: Predictor, dice: list[float]) -> Scores:
    values = np.zeros((len(dice), 2, len(METRICS)))
    values[:, :, [metric.key for metric in METRICS].index("dice")] = np.array(dice)[:, None]
    return Scores(predictor.model.card, tuple(f"case_{n}" for n in range(len(dice))), values)


@pytest.mark.parametrize(("dice", "best"), [([0.5, 0.9, 0.7, 0.1], 1), ([0.9, 0.5, 0.7, 0.1], 0)])
def test_it_shows_what_was_found_in_the_best_case(predictor, cases, dice, best):
    reference = read_labelled(cases[best])[1]
    assert draw_thumbnail(predictor, cases, scores_of(predictor, dice)) == drawn(reference, COLORS)


def test_a_case_without_labels_is_passed_over_though_nothing_was_rightly_found_in_it(predictor, cases):
    reference = read_labelled(cases[2])[1]
    assert draw_thumbnail(predictor, cases, scores_of(predictor, [0.5, 0.6, 0.7, 1.0])) == drawn(reference, COLORS)


def test_without_any_label_there_is_none(predictor, cases):
    assert draw_thumbnail(predictor, cases[3:], scores_of(predictor, [1.0])) is None


def test_it_can_be_cancelled(predictor, cases):
    with pytest.raises(Cancelled):
        draw_thumbnail(predictor, cases, scores_of(predictor, [0.5, 0.9, 0.7, 0.1]), cancel=lambda: True)
