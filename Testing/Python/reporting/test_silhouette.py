"""The picture of a model: what is where, what hides what, and in which color."""

from __future__ import annotations

import io

import numpy as np
import pytest
from AttentionSegLib.image import Image
from AttentionSegLib.reporting.silhouette import PIXELS, draw_silhouette
from PIL import Image as Picture
from predictions import AXES, affine_around

COLORS = {1: (220, 60, 60), 2: (60, 200, 60), 3: (60, 60, 220)}
SHAPE, CENTER = (60, 60, 60), (10.0, -20.0, 30.0)


def draw(labels: np.ndarray, axes: np.ndarray = AXES["upright"], spacing: tuple[float, ...] = (1, 1, 1), colors: dict = COLORS) -> np.ndarray:
    """RGBA 0..255 [rows, columns, 4]."""
    picture = Picture.open(io.BytesIO(draw_silhouette(Image(labels[None], affine_around(CENTER, labels.shape, axes, spacing)), colors)))
    assert (picture.format, picture.mode, picture.size) == ("PNG", "RGBA", (PIXELS, PIXELS))
    return np.asarray(picture).astype(int)


def boxes(*places: tuple[slice, slice, slice]) -> np.ndarray:
    """Label n where the n-th box is, in voxels to the right, anterior and superior."""
    labels = np.zeros(SHAPE, np.uint8)
    for value, place in enumerate(places, start=1):
        labels[place] = value
    return labels


def middle(picture: np.ndarray, value: int) -> np.ndarray:
    """Row and column of the middle of a label."""
    return np.argwhere(shown(picture, value)).mean(axis=0)


def shown(picture: np.ndarray, value: int) -> np.ndarray:
    strongest = int(np.argmax(COLORS[value]))
    return (picture[..., 3] > 200) & (picture[..., :3].argmax(axis=-1) == strongest)


# From the front, one above the other to its right.
APART = boxes((slice(35, 55), slice(20, 40), slice(5, 25)), (slice(5, 25), slice(20, 40), slice(35, 55)))


class TestPlace:
    @pytest.mark.parametrize("axes", [name for name in AXES if name != "oblique"])
    def test_right_is_left_and_superior_is_up_however_voxels_are_stored(self, axes):
        order = np.argmax(np.abs(AXES[axes]), axis=0)
        stored = APART.transpose(order)
        stored = np.flip(stored, [n for n in range(3) if AXES[axes][order[n], n] < 0])
        picture = draw(stored, AXES[axes])
        np.testing.assert_allclose(picture, draw(APART), atol=2)
        assert middle(picture, 1)[0] > PIXELS / 2 > middle(picture, 2)[0]
        assert middle(picture, 1)[1] < PIXELS / 2 < middle(picture, 2)[1]

    def test_a_turned_grid_shows_the_patient_upright(self):
        picture = draw(APART, AXES["oblique"])
        assert shown(picture, 1).any()
        assert shown(picture, 2).any()

    def test_the_labels_fill_the_picture_and_keep_their_proportions(self):
        labels = boxes((slice(10, 50), slice(26, 34), slice(20, 40)))
        rows, columns = np.nonzero(draw(labels)[..., 3] > 128)
        assert np.ptp(columns) == pytest.approx(0.93 * PIXELS, abs=4)
        assert np.ptp(columns) == pytest.approx(2 * np.ptp(rows), abs=4)
        thick = draw(labels[::4], spacing=(4, 1, 1))
        assert np.count_nonzero(np.abs(thick[..., 3] - draw(labels)[..., 3]) > 128) < 0.06 * PIXELS**2

    def test_the_corners_are_clear(self):
        picture = draw(APART)
        assert [picture[row, column, 3] for row in (0, -1) for column in (0, -1)] == [0] * 4


class TestView:
    def test_the_front_hides_what_is_behind(self):
        before, behind = (slice(25, 35), slice(40, 50), slice(25, 35)), (slice(10, 50), slice(5, 15), slice(10, 50))
        picture = draw(boxes(before, behind))
        assert shown(picture, 1)[PIXELS // 2, PIXELS // 2]
        assert not shown(picture, 2)[PIXELS // 2, PIXELS // 2]
        assert shown(picture, 2)[PIXELS // 2, 8]

    @pytest.mark.parametrize("thin", [2, 0], ids=["axial", "sagittal"])
    def test_the_view_that_shows_more_is_taken(self, thin):
        place = [slice(5, 55)] * 3
        place[thin] = slice(28, 32)
        assert (draw(boxes(tuple(place)))[..., 3] > 128).mean() > 0.8

    def test_the_view_that_shows_more_labels_goes_first(self):
        """From the front the second hides behind the first, which from the feet is the smaller one."""
        picture = draw(boxes((slice(5, 55), slice(40, 45), slice(5, 55)), (slice(25, 35), slice(10, 20), slice(25, 35))))
        assert shown(picture, 1).any()
        assert shown(picture, 2).any()

    def test_from_the_feet_the_patients_right_is_left_and_the_front_is_up(self):
        front_right, back_left = (slice(35, 55), slice(35, 55), slice(28, 32)), (slice(5, 25), slice(5, 25), slice(28, 32))
        picture = draw(boxes(front_right, back_left))
        assert (middle(picture, 1) < PIXELS / 2).all()
        assert (middle(picture, 2) > PIXELS / 2).all()


class TestColor:
    def test_each_label_has_its_color_and_is_darker_where_it_is_farther(self):
        near = draw(boxes((slice(5, 25), slice(40, 50), slice(20, 40)), (slice(35, 55), slice(5, 15), slice(20, 40))))
        far = draw(boxes((slice(5, 25), slice(5, 15), slice(20, 40)), (slice(35, 55), slice(40, 50), slice(20, 40))))
        for value, (darker, lighter) in {1: (far, near), 2: (near, far)}.items():
            bright, dark = (np.median(picture[shown(picture, value)][:, :3], axis=0) for picture in (lighter, darker))
            assert bright.sum() > 1.2 * dark.sum()
            for color in (bright, dark):
                np.testing.assert_allclose(color / color.max(), np.divide(COLORS[value], max(COLORS[value])), atol=0.05)

    def test_a_plate_one_voxel_thin_is_whole(self):
        picture = draw(boxes((slice(5, 55), slice(30, 31), slice(5, 55))))
        assert (picture[..., 3] > 128).mean() > 0.8

    def test_a_single_voxel_is_seen(self):
        assert shown(draw(boxes((slice(30, 31),) * 3)), 1).any()

    def test_labels_without_a_color_are_left_out(self):
        assert not shown(draw(APART, colors={1: COLORS[1]}), 2).any()

    def test_where_there_is_nothing_there_is_no_picture(self):
        assert draw_silhouette(Image(np.zeros((1, 5, 5, 5)), np.eye(4)), COLORS) is None
