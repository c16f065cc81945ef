"""Which grids are one and the same: by the places of their voxels, not by how they are stored."""

from __future__ import annotations

import numpy as np
import pytest
from AttentionSegLib.image import Image
from AttentionSegLib.same_grid import place_on
from poses import AXES, affine_around, storages

SHAPE, SPACING = (7, 5, 6), (0.7, 1.3, 2.5)
AFFINE = affine_around((12, -340, 71), SHAPE, AXES["oblique PSL"], SPACING)
GRID = Image(np.zeros((1, *SHAPE)), AFFINE)
VOXELS = np.random.default_rng(0).integers(1, 99, (1, *SHAPE))


def cropped(low: tuple[int, int, int], high: tuple[int, int, int]) -> Image:
    affine = AFFINE.copy()
    affine[:3, 3] = GRID.to_ras(np.array(low))
    return Image(VOXELS[(slice(None), *(slice(a, b) for a, b in zip(low, high)))], affine)


def turned(degrees: float) -> Image:
    """About the middle of the grid."""
    angle = np.radians(degrees)
    rotation = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    return Image(VOXELS, affine_around((12, -340, 71), SHAPE, rotation @ AXES["oblique PSL"], SPACING))


@pytest.mark.parametrize("storage", list(storages()))
def test_every_order_of_axes_is_the_same_grid(storage):
    stored = storage.store(Image(VOXELS, AFFINE))
    placement = place_on(stored, GRID)
    assert placement.is_exact
    assert placement.covers(stored.shape, SHAPE)
    np.testing.assert_array_equal(placement.rearrange(stored.voxels, SHAPE), VOXELS)


@pytest.mark.parametrize("storage", list(storages())[::7])
def test_a_crop_is_padded_in_place(storage):
    stored = storage.store(cropped((2, 0, 3), (6, 4, 5)))
    placement = place_on(stored, GRID)
    assert not placement.covers(stored.shape, SHAPE)
    expected = np.zeros_like(VOXELS)
    expected[:, 2:6, 0:4, 3:5] = VOXELS[:, 2:6, 0:4, 3:5]
    np.testing.assert_array_equal(placement.rearrange(stored.voxels, SHAPE), expected)


def test_what_reaches_beyond_the_grid_is_cut_off():
    low = cropped((2, 1, 3), (6, 4, 5))
    placement = place_on(GRID, low)
    np.testing.assert_array_equal(placement.rearrange(VOXELS, low.shape), low.voxels)


def test_a_grid_elsewhere_gets_nothing():
    affine = AFFINE.copy()
    affine[:3, 3] = GRID.to_ras(np.array([40, 0, 0]))
    assert not place_on(Image(VOXELS, affine), GRID).rearrange(VOXELS, SHAPE).any()


@pytest.mark.parametrize(("part", "is_exact", "is_near"), [(0.0005, True, True), (0.09, False, True), (0.11, False, False), (0.5, False, False)])
def test_a_shift_by_a_part_of_a_voxel(part, is_exact, is_near):
    affine = AFFINE.copy()
    affine[:3, 3] = GRID.to_ras(np.array([3 + part, 0, 0]))
    placement = place_on(Image(VOXELS, affine), GRID)
    assert (placement.is_exact, placement.is_near) == (is_exact, is_near)
    assert placement.apart_mm == pytest.approx(part * SPACING[0])
    assert placement.apart_voxels == pytest.approx(part)


def test_a_tenth_of_a_voxel_is_measured_along_each_axis():
    affine = AFFINE.copy()
    affine[:3, 3] = GRID.to_ras(np.array([0, 0, 0.09]))
    # More than a tenth of the other axes' voxels, but along none of them.
    assert place_on(Image(VOXELS, affine), GRID).is_near


def test_a_small_rotation_is_measured_where_the_image_is():
    assert place_on(turned(0.005), GRID).is_near
    assert not place_on(turned(2), GRID).is_near
    assert place_on(turned(30), GRID) is None


def test_other_voxel_sizes_are_another_grid():
    assert place_on(Image(VOXELS, affine_around((12, -340, 71), SHAPE, AXES["oblique PSL"], np.multiply(SPACING, 2))), GRID) is None
