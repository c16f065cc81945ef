"""The box around a structure."""

from __future__ import annotations

import numpy as np
import pytest
from AttentionSegLib.errors import InputError
from AttentionSegLib.region import Region

QUARTER_TURN = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])


def test_parsed_numbers_are_center_and_size():
    region = Region.parse("-26, 24.5,-13,36,52,40")
    assert (region.center, region.size) == ((-26, 24.5, -13), (36, 52, 40))


@pytest.mark.parametrize("text", ["", "1,2,3", "1,2,3,4,5,six", "1,2,3,4,5,6,7"])
def test_text_that_is_not_six_numbers(text):
    with pytest.raises(InputError, match="is not six numbers"):
        Region.parse(text)


@pytest.mark.parametrize("text", ["1,2,3,4,5,0", "1,2,3,4,-5,6", "nan,2,3,4,5,6", "1,2,3,4,inf,6"])
def test_numbers_that_make_no_box(text):
    with pytest.raises(InputError, match="three coordinates and three positive sizes"):
        Region.parse(text)


def test_axes_that_are_not_perpendicular():
    with pytest.raises(InputError, match="perpendicular"):
        Region((0, 0, 0), (1, 1, 1), np.array([[1, 0.5, 0], [0, 1, 0], [0, 0, 1]]))


def test_faces_belong_to_the_box():
    region = Region((10, 0, 0), (4, 2, 2))
    assert region.contains(np.array([[12, 1, -1], [12.01, 0, 0], [8, 0, 0]])).tolist() == [True, False, True]


def test_a_turned_box_has_its_length_along_its_own_axis():
    region = Region((0, 0, 0), (20, 2, 2), QUARTER_TURN)
    assert region.contains(np.array([[0, 9, 0], [9, 0, 0]])).tolist() == [True, False]
    np.testing.assert_allclose(region.corners().max(0), (1, 10, 1))
