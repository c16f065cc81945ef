"""Scans of something else are told by how the labels lie to each other."""

from __future__ import annotations

import numpy as np
import pytest
from AttentionSegLib.errors import InputError
from AttentionSegLib.image import Image
from AttentionSegLib.inference import Predictor
from AttentionSegLib.inference.arrangement import arrangement_note, label_centers, misfit_of
from AttentionSegLib.models import Card, Model
from AttentionSegLib.models.arrangement import Arrangement
from builders import make_card_document
from scipy.spatial.transform import Rotation
from tiny_models import IntensityNetwork, make_card

POINTS = np.array([[30, 0, 0], [-30, 0, 0], [0, 40, 10], [0, -40, 10], [5, 5, 50], [-20, 20, -30]], float)
KNOWN = Arrangement({value: tuple(point) for value, point in enumerate(POINTS.tolist(), start=1)}, 0.05)
TURN = Rotation.from_euler("xyz", [20, -30, 40], degrees=True).as_matrix()


def drawn(points: np.ndarray, spacing: float = 2.0, size: int = 100) -> tuple[np.ndarray, np.ndarray]:
    """A label map with a ball of 10 mm around each point, and its affine."""
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = -spacing * size / 2
    places = np.moveaxis(np.indices((size,) * 3), 0, -1) * spacing + affine[:3, 3]
    labels = np.zeros((size,) * 3, np.uint8)
    for value, point in enumerate(points, start=1):
        labels[np.linalg.norm(places - point, axis=-1) < 5] = value
    return labels, affine


def note_of(points: np.ndarray) -> str:
    return arrangement_note(*drawn(points), KNOWN, "scan.nii")


def test_centers_of_labels_in_mm_without_specks():
    labels, affine = drawn(POINTS)
    labels[0, 0, :3] = 9
    centers = label_centers(labels, affine)
    assert sorted(centers) == [1, 2, 3, 4, 5, 6]
    np.testing.assert_allclose([centers[value] for value in range(1, 7)], POINTS, atol=0.7)


def test_a_turned_shifted_and_scaled_arrangement_fits():
    misfit, scale = misfit_of(1.2 * POINTS @ TURN.T + 50, POINTS)
    assert misfit == pytest.approx(0, abs=1e-9)
    assert scale == pytest.approx(1.2)


def test_a_mirrored_arrangement_does_not_fit():
    assert misfit_of(POINTS * (-1, 1, 1), POINTS)[0] > 0.1


@pytest.mark.parametrize("points", [POINTS, 1.3 * POINTS, POINTS @ TURN.T, POINTS[:4]], ids=["as it is", "larger", "turned", "cut"])
def test_nothing_is_said_about_what_the_model_knows(points):
    assert note_of(points) == ""


@pytest.mark.parametrize(
    ("points", "phrase"),
    [
        (POINTS[[3, 5, 1, 4, 0, 2]], r"scan\.nii probably shows something else .* of their extent off"),
        (0.4 * POINTS, "0.40 times as far apart"),
        (POINTS[:1], "1 of 6 structures were found"),
    ],
    ids=["elsewhere", "too small", "too few"],
)
def test_a_scan_of_something_else_is_told(points, phrase):
    with pytest.raises(InputError, match=phrase):
        raise InputError(note_of(points))


def test_a_few_labels_fit_anything():
    assert note_of(POINTS[[3, 5, 1]]) == ""


def test_a_result_tells_it_among_the_differences_from_the_training_data(tmp_path):
    centers = {str(value): [30.0 * value, 0.0, value**2] for value in range(1, 8)}
    labels = [{**make_card_document()["labels"][0], "value": value, "name": f"Part {value}"} for value in range(1, 8)]
    card = make_card(labels=labels, arrangement={"centers_mm": centers, "misfit": 0.05})
    image = Image(np.random.default_rng(0).normal(20, 2, (1, 32, 32, 32)).astype(np.float32), np.diag([2, 2, 2, 1.0]), "scan.nii")
    image.voxels[0, 8:16, 8:16, 8:16] = 75
    prediction = Predictor(Model(card, IntensityNetwork().eval(), tmp_path), "cpu")(image)
    assert "1 of 7 structures were found" in prediction.unlike
    assert prediction.unlike in prediction.misfits
    assert prediction.unlike in prediction.notes


@pytest.mark.parametrize("changes", [{"field_of_view": {"kind": "region", "size_mm": [30, 30, 30]}}, {"labels": make_card_document()["labels"][:1]}])
def test_a_card_with_an_arrangement_that_it_cannot_have(changes):
    block = {"centers_mm": {str(value): [value, 0, 0] for value in range(1, 5)}, "misfit": 0.1}
    with pytest.raises(InputError, match="an arrangement of labels that it does not have, or for a model of regions"):
        Card.from_document(make_card_document(arrangement=block, **changes))
