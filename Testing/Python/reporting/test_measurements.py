"""Volumes, centers and certainty of labels, whatever the pose of the grid."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from AttentionSegLib.image import Image
from AttentionSegLib.reporting import measure
from predictions import AXES, SPACING, affine_around, make_prediction


def two_blocks() -> np.ndarray:
    labels = np.zeros((12, 10, 8), np.uint8)
    labels[2:6, 3:5, 1:4] = 1
    labels[8:9, 7:9, 6:7] = 2
    return labels


class TestMeasure:
    @pytest.mark.parametrize("axes", AXES.values(), ids=AXES)
    def test_volume_and_center_do_not_depend_on_the_pose(self, axes):
        affine = affine_around((20, -15, 30), (12, 10, 8), axes, SPACING)
        first, second = measure(make_prediction(two_blocks(), affine))
        assert (first.value, first.name, first.voxels) == (1, "Hippocampus anterior", 24)
        assert first.milliliters == pytest.approx(24 * 0.8 * 3.0 * 1.5 / 1000)
        assert first.center == pytest.approx(affine[:3, :3] @ [3.5, 3.5, 2.0] + affine[:3, 3])
        assert second.voxels == 2
        assert second.center == pytest.approx(affine[:3, :3] @ [8.0, 7.5, 6.0] + affine[:3, 3])

    def test_uncertainty_is_the_mean_over_the_voxels_of_the_label(self):
        labels = two_blocks()
        prediction = make_prediction(labels, np.eye(4))
        uncertainty = np.random.default_rng(1).random((1, *labels.shape), dtype=np.float32)
        first, second = measure(replace(prediction, uncertainty=Image(uncertainty, np.eye(4))))
        assert first.mean_uncertainty == pytest.approx(uncertainty[0][labels == 1].mean())
        assert second.mean_uncertainty == pytest.approx(uncertainty[0][labels == 2].mean())

    def test_a_label_without_voxels_has_no_center_and_no_uncertainty(self):
        labels = np.where(two_blocks() == 2, 2, 0)
        first, second = measure(make_prediction(labels, np.eye(4)))
        assert (first.voxels, first.milliliters, first.mean_uncertainty, first.center) == (0, 0.0, None, None)
        assert first.size == "0 mL"
        assert second.voxels == 2

    def test_components_touch_by_corners(self):
        labels = np.zeros((6, 6, 6), np.uint8)
        labels[0, 0, 0] = labels[1, 1, 1] = labels[4, 4, 4] = 2
        first, second = measure(make_prediction(labels, np.eye(4)))
        assert (first.statistics["components"], second.statistics["components"]) == (0, 2)

    def test_an_empty_segmentation_lists_every_label(self):
        measurements = measure(make_prediction(np.zeros((4, 5, 6)), np.eye(4)))
        assert [(m.value, m.voxels) for m in measurements] == [(1, 0), (2, 0)]

    def test_colors_are_those_of_the_card(self):
        prediction = make_prediction(two_blocks(), np.eye(4))
        assert [m.color for m in measure(prediction)] == [label.color for label in prediction.card.labels]
