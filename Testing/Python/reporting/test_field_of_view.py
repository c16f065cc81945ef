"""What part of the patient an overview shows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from AttentionSegLib.image import Image
from AttentionSegLib.inference import FoundRegions
from AttentionSegLib.region import Region
from AttentionSegLib.reporting import measure
from AttentionSegLib.reporting.field_of_view import MARGIN_MM, FieldOfView, field_of_view
from AttentionSegLib.reporting.placement import nearest_voxel
from predictions import AXES, SPACING, affine_around, make_prediction


def view_of(labels: np.ndarray, affine: np.ndarray) -> FieldOfView:
    prediction = make_prediction(labels, affine)
    return field_of_view(Image(labels[None], affine), prediction, measure(prediction))


class TestFieldOfView:
    def test_leaves_a_margin_around_the_segmentation(self):
        labels = np.zeros((100, 100, 100), np.uint8)
        labels[45:55, 40:50, 48:60] = 1
        view = view_of(labels, np.eye(4))
        assert view.low == pytest.approx(np.array([44.5, 39.5, 47.5]) - MARGIN_MM)
        assert view.high == pytest.approx(np.array([54.5, 49.5, 59.5]) + MARGIN_MM)

    def test_stops_at_the_edges_of_a_small_image(self):
        labels = np.zeros((20, 30, 25), np.uint8)
        labels[5:15, 10:20, 8:18] = 1
        view = view_of(labels, np.eye(4))
        assert view.low == pytest.approx([-0.5, -0.5, -0.5])
        assert view.high == pytest.approx([19.5, 29.5, 24.5])

    @pytest.mark.parametrize("axes", AXES.values(), ids=AXES)
    def test_holds_the_whole_segmentation_in_every_pose(self, axes):
        labels = np.zeros((60, 20, 40), np.uint8)
        labels[10:50, 4:16, 5:30] = 2
        affine = affine_around((5, 60, -20), labels.shape, axes, SPACING)
        view = view_of(labels, affine)
        points = Image(labels[None], affine).to_ras(np.argwhere(labels))
        assert (points > view.low).all()
        assert (points < view.high).all()

    def test_the_planes_go_through_the_segmentation_even_when_its_centroid_does_not(self):
        labels = np.zeros((60, 60, 20), np.uint8)
        labels[5:10, 5:55] = labels[50:56, 5:55] = 1
        affine = affine_around((0, 0, 0), labels.shape, AXES["oblique"], (1.0, 1.0, 2.0))
        voxel = np.round(Image(labels[None], affine).to_ijk(view_of(labels, affine).focus)).astype(int)
        assert labels[tuple(voxel)] == 1

    def test_of_two_sides_the_first_is_cut_lengthwise_and_both_are_cut_across(self):
        labels = np.zeros((80, 60, 40), np.uint8)
        labels[55:65, 20:40, 10:20] = 1
        labels[15:25, 22:42, 12:22] = 2
        regions = {"right": Region((60, 30, 15), (30, 40, 30)), "left": Region((20, 32, 17), (30, 40, 30))}
        prediction = replace(make_prediction(labels, np.eye(4)), found=FoundRegions(regions, "hand", 1.0))
        view = field_of_view(prediction.labels, prediction, measure(prediction))
        assert view.focus == pytest.approx([59.5, 30.5, 15.5])
        # The first side may be empty.
        labels[labels == 1] = 0
        prediction = replace(make_prediction(labels, np.eye(4)), found=FoundRegions(regions, "hand", 1.0))
        assert field_of_view(prediction.labels, prediction, measure(prediction)).focus == pytest.approx([19.5, 31.5, 16.5])

    def test_without_a_label_it_shows_where_the_network_looked(self):
        prediction = make_prediction(np.zeros((30, 30, 30)), np.eye(4))
        uncertainty = np.zeros((1, 30, 30, 30), np.float32)
        uncertainty[0, 4:10, 6:16, 20:28] = 0.1
        view = field_of_view(prediction.labels, replace(prediction, uncertainty=Image(uncertainty, np.eye(4))), measure(prediction))
        assert view.low == pytest.approx([3.5, 5.5, 19.5])
        assert view.focus == pytest.approx([6.5, 10.5, 23.5])

    def test_without_a_label_and_without_a_doubt_it_shows_the_image(self):
        prediction = make_prediction(np.zeros((30, 20, 10)), np.eye(4))
        certain = Image(np.zeros((1, 30, 20, 10), np.float32), np.eye(4))
        view = field_of_view(prediction.labels, replace(prediction, uncertainty=certain), measure(prediction))
        assert view.focus == pytest.approx([14.5, 9.5, 4.5])
        assert view.high == pytest.approx([29.5, 19.5, 9.5])


class TestNearestVoxel:
    def test_agrees_with_a_search_of_all_voxels(self):
        random = np.random.default_rng(3)
        spacing = np.array(SPACING)
        for density in (1e-3, 1e-2, 0.3):
            mask = random.random((40, 30, 20)) < density
            mask[0, 0, 0] = True
            point = random.random(3) * mask.shape
            every = np.linalg.norm((np.argwhere(mask) - point) * spacing, axis=1)
            found = nearest_voxel(mask, point, spacing)
            assert mask[tuple(found)]
            assert np.linalg.norm((found - point) * spacing) == pytest.approx(every.min())
