"""The carrier of volumes: where its voxels are, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from AttentionSegLib.errors import InputError
from AttentionSegLib.image import Image

OBLIQUE = np.array([[0.8, -1.2, 0.0, -10.0], [0.6, 1.6, 0.0, 20.0], [0.0, 0.0, -3.0, 5.0], [0, 0, 0, 1]])


def make_image(affine=OBLIQUE, shape=(1, 3, 4, 5)) -> Image:
    return Image(np.zeros(shape, np.int16), affine, "T1")


def changed(row: int, column: int, value: float) -> np.ndarray:
    affine = OBLIQUE.copy()
    affine[row, column] = value
    return affine


class TestGeometry:
    def test_spacing_shape_and_volume(self):
        image = make_image(shape=(2, 3, 4, 5))
        np.testing.assert_allclose(image.spacing, (1, 2, 3))
        assert (image.channels, image.shape) == (2, (3, 4, 5))
        assert image.voxel_volume == pytest.approx(6)

    def test_ras_and_back(self):
        image = make_image()
        np.testing.assert_allclose(image.to_ras([1, 2, 1]), (-11.6, 23.8, 2))
        np.testing.assert_allclose(image.to_ijk(image.to_ras([[1, 2, 3], [0, -1, 7]])), [[1, 2, 3], [0, -1, 7]], atol=1e-12)

    def test_corners_are_those_of_the_outer_voxels_edges(self):
        corners = make_image().corners()
        assert corners.shape == (8, 3)
        np.testing.assert_allclose((corners[:, 2].min(), corners[:, 2].max()), (5 - 3 * 4.5, 5 + 3 * 0.5))

    def test_the_affine_cannot_be_changed_behind_its_back(self):
        mine = OBLIQUE.copy()
        image = make_image(mine)
        mine[0, 3] = 99
        assert image.affine[0, 3] == -10
        with pytest.raises(ValueError, match="read-only"):
            image.affine[0, 3] = 99


@pytest.mark.parametrize(
    ("affine", "sentence"),
    [
        (np.eye(3), "affine of shape"),
        (changed(0, 3, np.nan), "NaN or infinite"),
        (changed(3, 0, 1), "last row"),
        (changed(2, 2, 0), "spacing of 1 x 2 x 0 mm"),
        (np.array([[1.0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]), "singular"),
        (changed(0, 1, -0.6), "is sheared"),
    ],
)
def test_an_affine_that_cannot_be_is_refused_by_name(affine, sentence):
    with pytest.raises(InputError, match=rf"^T1 .*{sentence}"):
        make_image(affine)


def test_voxels_need_a_channel_axis():
    with pytest.raises(InputError, match=r"T1 has voxels of shape \(3, 4, 5\)"):
        make_image(shape=(3, 4, 5))
