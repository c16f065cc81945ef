"""The pictures of maps: of a typical case, with the map where it is and the outlines of the reference."""

from __future__ import annotations

import io

import numpy as np
import pytest
from AttentionSegLib.evaluation.map_measures import MAP_MEASURES, REFERENCES
from AttentionSegLib.evaluation.map_pictures import PIXELS, draw_maps, typical_case
from AttentionSegLib.evaluation.map_scores import MapScores
from AttentionSegLib.image import Image
from AttentionSegLib.inference import Prediction
from matplotlib.image import imread
from poses import AXES, affine_around
from tiny_models import make_card

SHAPE = (20, 20, 20)
LARGEST_BYTES = 300_000


def scores(auc: list[list[float]]) -> MapScores:
    """Scores of two labels with these areas under the curve by case and map."""
    names = ("gate_2", "why")[: len(auc[0])]
    values = np.full((2, len(auc), 2, len(names) + len(REFERENCES), len(MAP_MEASURES)), np.nan)
    values[0, :, :, : len(names), 0] = np.array(auc)[:, None]
    return MapScores(("Hippocampus anterior", "Hippocampus posterior"), tuple(f"case {n}" for n in range(len(auc))), (*names, *REFERENCES), values)


@pytest.mark.parametrize(
    ("auc", "typical"),
    [
        ([[0.9], [0.5], [0.7]], 2),
        ([[0.9, 0.5], [0.7, 0.9], [0.8, 0.6], [0.85, 0.65], [0.1, 0.65]], 3),
        ([[np.nan], [0.5], [0.6], [0.7]], 2),
        ([[np.nan]], 0),
    ],
)
def test_the_typical_case_is_nearest_to_the_medians(auc, typical):
    assert typical_case(scores(auc)) == typical


def test_a_map_is_bright_where_it_is_large_and_an_explanation_has_the_outline_of_its_label():
    affine = affine_around((0, 0, 0), SHAPE, AXES["LPS"], (1, 1, 1))
    reference, bright = np.zeros((1, *SHAPE), np.float32), np.zeros((1, *SHAPE), np.float32)
    # In LPS the first index grows to the patient's left, which is the right of the picture.
    reference[:, 4:8, 6:14, 6:14], reference[:, 12:16, 6:14, 6:14] = 1, 2
    bright[:, 12:16, 6:14, 6:14] = 1
    black, labels, heat = (Image(voxels, affine) for voxels in (np.zeros_like(bright), reference, bright))
    maps = {"gate_2": heat, "why Hippocampus posterior": heat}
    prediction = Prediction(Image(reference.astype(np.uint8), affine), black, maps, None, make_card(), "cpu")
    drawn = draw_maps(scores([[0.9, 0.8]]), 0, black, prediction, labels)
    assert [(picture.title, picture.auc) for picture in drawn.pictures] == [
        ("Scan", None),
        ("Attention gate, level 2", 0.9),
        ("Why Hippocampus posterior", 0.8),
    ]
    assert all(len(picture.png) < LARGEST_BYTES for picture in drawn.pictures)
    scan, gate, why = (imread(io.BytesIO(picture.png))[:PIXELS, :PIXELS, :3] for picture in drawn.pictures)
    row, (left, right) = PIXELS // 2 + 20, (round(column * PIXELS / 20) for column in (6, 14))
    assert scan[row, left].max() == scan[row, right].max() == gate[row, left].max() == 0
    assert gate[row, right].max() > 0.5
    outlined = [slice(row - 5, row + 5), slice(0, round(9 * PIXELS / 20))]
    assert [(picture[tuple(outlined)].min(-1) > 0.3).any() for picture in (scan, gate, why)] == [True, True, False]
