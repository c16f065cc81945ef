"""Connected components, however many pieces a label is searched in."""

from __future__ import annotations

import numpy as np
import pytest
from AttentionSegLib import components
from AttentionSegLib.components import count_components, keep_largest
from scipy import ndimage


@pytest.mark.parametrize("piece", [50, 1000])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("share", [0.02, 0.08, 0.3])
def test_are_those_of_the_whole(monkeypatch, share, order, piece):
    monkeypatch.setattr(components, "PIECE", piece)
    monkeypatch.setattr(components, "RUNS", piece)
    labels = np.array(np.random.default_rng(3).random((23, 11, 9)) < share, np.uint8, order=order) * 7
    labels[::4, 2, 3] = 2
    # The first of equal ones in memory stays.
    ordered = labels if order == "C" else labels.T
    numbers, count = ndimage.label(ordered == 7, np.ones((3, 3, 3)))
    assert count_components(labels, 7) == count
    largest = np.bincount(numbers[numbers > 0]).argmax()
    expected = np.where((ordered == 7) & (numbers != largest), 0, ordered)
    keep_largest(labels, 7)
    labels = ordered
    np.testing.assert_array_equal(labels, expected)


def test_of_all_labels_together():
    labels = np.zeros((8, 7, 6), np.uint8)
    labels[1:3, 1:3, 1:3], labels[3:5, 3, 3], labels[7, 1:6, 5] = 1, 2, 1
    expected = labels.copy()
    expected[7] = 0
    keep_largest(labels, None)
    np.testing.assert_array_equal(labels, expected)


def test_a_label_that_is_not_there_has_none():
    labels = np.zeros((3, 4, 5), np.uint8)
    assert count_components(labels, 1) == 0
    keep_largest(labels, 1)
    assert not labels.any()
