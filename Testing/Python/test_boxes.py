"""Boxes around what is labeled, in whatever order the voxels lie in memory."""

import numpy as np
import pytest
from AttentionSegLib.boxes import bounding_box, label_boxes


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (2, 0, 1)])
def test_the_boxes_hold_each_label_and_no_more(order):
    labels = np.zeros([(7, 8, 9)[axis] for axis in order], np.uint8).transpose(np.argsort(order))
    assert labels.shape == (7, 8, 9)
    labels[2, 3:6, 4] = 2
    labels[6, 0, 8] = 5
    assert bounding_box(labels) == (slice(2, 7), slice(0, 6), slice(4, 9))
    assert label_boxes(labels) == {2: (slice(2, 3), slice(3, 6), slice(4, 5)), 5: (slice(6, 7), slice(0, 1), slice(8, 9))}


def test_nothing_has_no_box():
    assert bounding_box(np.zeros((3, 3, 3), bool)) is None
    assert label_boxes(np.zeros((3, 3, 3), np.uint8)) == {}
