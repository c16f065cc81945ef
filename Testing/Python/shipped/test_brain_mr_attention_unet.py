"""What the shipped model of the brain promises, on heads that it has not learned from."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from AttentionSegLib.files import read_image
from AttentionSegLib.image import Image
from AttentionSegLib.inference import Predictor

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from benchmarks.head_changes import HIPPOCAMPI, NAMES, Score, renumbered, scored

MODEL = "brain-mr-attention-unet"
# Mean of all structures; the mean of ten heads is in docs/models.md.
LEAST_DICE = 0.70


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(MODEL, "cpu")


@pytest.fixture(scope="module")
def head(data_folder) -> tuple[Image, np.ndarray]:
    folder = data_folder / "brain_heads"
    if not folder.is_dir():
        pytest.skip(f"no heads at {folder}")
    image, labels = (read_image(folder / kind / "IXI013.nii.gz") for kind in ("images", "labels"))
    return image, renumbered(labels.voxels[0])


def score_of(predictor: Predictor, image: Image, reference: np.ndarray) -> Score:
    prediction = predictor(image, attention=False)
    assert [label.name for label in prediction.card.labels] == list(NAMES)
    assert prediction.unlike == ""
    return scored(prediction.labels, reference, {name: value for value, name in enumerate(NAMES, start=1)})


def as_it_is(image: Image) -> Image:
    return image


def inverted(image: Image) -> Image:
    return Image(image.voxels.max() - image.voxels, image.affine, image.name)


@pytest.mark.parametrize("change", [as_it_is, inverted])
def test_all_structures_of_a_head_in_any_contrast(predictor, head, change):
    score = score_of(predictor, change(head[0]), head[1])
    assert np.nanmean(score.dice) > LEAST_DICE
    assert score.dice[[NAMES.index(name) for name in HIPPOCAMPI]].min() > 0.68
    assert score.missing == 0
    assert max(score.away) < 5


def test_noise_is_told(predictor):
    noise = Image(np.random.default_rng(0).standard_normal((1, 64, 64, 64)).astype(np.float32), np.diag([2, 2, 2, 1.0]), "noise")
    assert "probably shows something else" in predictor(noise, attention=False).unlike
