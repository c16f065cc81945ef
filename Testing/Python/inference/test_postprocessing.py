"""Mistaken sides, stray parts and holes of the labels that a card names, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from AttentionSegLib.inference.postprocessing import postprocess
from scipy import ndimage
from tiny_models import make_card


def cleaned(labels: np.ndarray, **rules: list[int] | bool) -> np.ndarray:
    result = labels.copy()
    postprocess(result, np.eye(4), make_card(postprocessing=rules, training={"mirror_swaps": [[1, 2]]}))
    return result


@pytest.fixture
def labels() -> np.ndarray:
    """Of each label a large and a small part."""
    labels = np.zeros((20, 18, 16), np.uint8)
    labels[2:8, 2:8, 2:8] = 1
    labels[12:14, 3:5, 3:5] = 1
    labels[2:7, 11:16, 5:10] = 2
    labels[15:18, 15:17, 13:15] = 2
    return labels


class TestLargestComponent:
    def test_of_the_named_label_alone(self, labels):
        result = cleaned(labels, largest_component=[2])
        assert not result[15:, 15:, 13:].any()
        result[15:18, 15:17, 13:15] = 2
        np.testing.assert_array_equal(result, labels)

    def test_of_every_named_label(self, labels):
        result = cleaned(labels, largest_component=[1, 2])
        for value in (1, 2):
            assert ndimage.label(result == value)[1] == 1
            assert (result == value).sum() == {1: 216, 2: 125}[value]

    def test_voxels_that_touch_at_a_corner_belong_together(self):
        labels = np.zeros((6, 6, 6), np.uint8)
        labels[0, 0, 0] = labels[1, 1, 1] = labels[2, 2, 2] = labels[5, 5, 5] = 1
        assert np.argwhere(cleaned(labels, largest_component=[1])).tolist() == [[0, 0, 0], [1, 1, 1], [2, 2, 2]]

    def test_another_label_in_between_stays(self, labels):
        labels[4:6, :, 4:6] = 2
        result = cleaned(labels, largest_component=[1])
        np.testing.assert_array_equal(result == 2, labels == 2)


class TestFillHoles:
    def test_only_what_the_named_label_encloses(self, labels):
        labels[4, 4, 4] = labels[4, 13, 7] = 0
        result = cleaned(labels, fill_holes=[1])
        assert (result[4, 4, 4], result[4, 13, 7]) == (1, 0)

    def test_other_labels_are_never_overwritten(self, labels):
        labels[4:6, 4:6, 4:6] = 2
        labels[4, 4, 4] = 0
        result = cleaned(labels, fill_holes=[1])
        assert result[4, 4, 4] == 1
        np.testing.assert_array_equal(result == 2, labels == 2)

    def test_an_open_cavity_and_one_open_at_the_edge_of_the_scan_are_no_holes(self):
        labels = np.ones((7, 7, 7), np.uint8)
        labels[3, 3, :] = 0
        labels[3, 0, 0] = 0
        np.testing.assert_array_equal(cleaned(labels, fill_holes=[1]), labels)
        labels[3, 3, [0, 6]] = 1
        assert (cleaned(labels, fill_holes=[1])[3, 3] == 1).all()

    def test_a_hole_closed_only_by_corners_is_a_hole(self):
        labels = np.zeros((5, 5, 5), np.uint8)
        for axis in range(3):
            for step in (-1, 1):
                place = [2, 2, 2]
                place[axis] += step
                labels[tuple(place)] = 1
        assert cleaned(labels, fill_holes=[1])[2, 2, 2] == 1


def test_stray_parts_go_before_holes_are_filled():
    labels = np.zeros((12, 12, 12), np.uint8)
    labels[1:10, 1:10, 1:10] = 1
    labels[3:8, 3:8, 3:8] = 0
    labels[5, 5, 5] = 1
    result = cleaned(labels, largest_component=[1], fill_holes=[1])
    assert (result[1:10, 1:10, 1:10] == 1).all()
    assert result.sum() == 729


def test_what_does_not_touch_the_largest_body_of_all_labels_goes(labels):
    labels[5:7, 8:11, 5:8] = 2
    expected = labels.copy()
    expected[12:] = 0
    np.testing.assert_array_equal(cleaned(labels, largest_foreground=True), expected)


def test_sides_are_put_right_before_stray_parts_go():
    labels = np.zeros((30, 20, 10), np.uint8)
    labels[2:12, 2:18, 2:8] = 1
    labels[18:28, 2:18, 2:8] = 2
    expected = labels.copy()
    labels[4:6, 4:8, 4:6] = 2
    np.testing.assert_array_equal(cleaned(labels, separate_sides=True, largest_component=[1, 2]), expected)
    assert (cleaned(labels, separate_sides=False, largest_component=[1, 2])[4:6, 4:8, 4:6] == 0).all()


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_labels_that_are_not_there_and_a_card_that_asks_nothing(labels, kind):
    labels = labels.astype(kind)
    np.testing.assert_array_equal(cleaned(labels), labels)
    assert not cleaned(np.zeros_like(labels), largest_component=[1, 2], fill_holes=[1, 2]).any()
    assert cleaned(labels, largest_component=[1, 2]).dtype == kind
