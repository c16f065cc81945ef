"""Interpolation between grids in any pose, against SciPy and SimpleITK."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK
import torch
from AttentionSegLib.image import Image
from AttentionSegLib.inference import resampling
from AttentionSegLib.inference.resampling import inside, sample, sampled_slabs, voxel_map
from poses import AXES, affine_around, centers, storages
from scipy.ndimage import map_coordinates

SHAPE = (11, 9, 7)
CENTER = (12.0, -30.0, 55.0)
RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0])
GRIDS = {
    "up": ((21, 17, 15), (0.4, 0.7, 1.1)),
    "down": ((5, 4, 4), (2.2, 3.1, 4.0)),
    "larger than the volume": ((14, 12, 10), (1.3, 1.9, 3.1)),
}


@pytest.fixture
def volume() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(1).normal(size=(2, *SHAPE)))


def expected(volume: torch.Tensor, matrix: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    coordinates = np.moveaxis(centers(matrix, shape), -1, 0)
    return np.stack([map_coordinates(channel, coordinates, order=1, mode="nearest") for channel in volume.numpy()])


class TestSample:
    @pytest.mark.parametrize("grid", GRIDS)
    @pytest.mark.parametrize("axes", AXES)
    def test_is_linear_interpolation(self, volume, axes, grid):
        shape, spacing = GRIDS[grid]
        source = affine_around(CENTER, SHAPE, AXES["RAS"], (0.9, 1.3, 2.0))
        matrix = voxel_map(affine_around((12.3, -29.5, 54.8), shape, AXES[axes], spacing), source)
        np.testing.assert_allclose(sample(volume, matrix, shape).numpy(), expected(volume, matrix, shape), atol=1e-9)
        single = sample(volume.float(), matrix, shape)
        assert single.dtype == torch.float32
        np.testing.assert_allclose(single.numpy(), expected(volume, matrix, shape), atol=1e-4)

    @pytest.mark.parametrize("output_axes", AXES)
    @pytest.mark.parametrize("input_axes", AXES)
    def test_agrees_with_simpleitk_on_where_voxels_lie(self, volume, input_axes, output_axes):
        shape = (8, 10, 9)
        source = affine_around(CENTER, SHAPE, AXES[input_axes], (1.5, 1.2, 1.9))
        target = affine_around((11.2, -31.3, 54.1), shape, AXES[output_axes], (1.1, 0.8, 0.9))
        reference = SimpleITK.Resample(
            to_itk(volume[0].numpy(), source), to_itk(np.zeros(shape), target), SimpleITK.Transform(), SimpleITK.sitkLinear
        )
        matrix = voxel_map(target, source)
        index = centers(matrix, shape)
        between = ((index >= 0) & (index <= np.array(SHAPE) - 1)).all(-1)
        assert between.mean() > 0.5
        found = sample(volume, matrix, shape)[0].numpy()
        np.testing.assert_allclose(found[between], SimpleITK.GetArrayFromImage(reference).T[between], atol=1e-6)

    def test_every_voxel_comes_through_unchanged_where_grids_coincide(self, volume):
        affine = affine_around(CENTER, SHAPE, AXES["oblique"], (0.9, 1.3, 2.0))
        np.testing.assert_array_equal(sample(volume, voxel_map(affine, affine), SHAPE).numpy(), volume.numpy())
        part = affine.copy()
        part[:3, 3] = affine[:3] @ (2, 1, 3, 1)
        np.testing.assert_array_equal(sample(volume, voxel_map(part, affine), (5, 6, 4)).numpy(), volume[:, 2:7, 1:7, 3:7].numpy())

    def test_every_voxel_comes_through_unchanged_in_each_order_of_axes(self, volume):
        image = Image(volume.numpy(), affine_around(CENTER, SHAPE, AXES["oblique"], (0.9, 1.3, 2.0)))
        for storage in storages():
            stored = storage.store(image)
            found = sample(torch.from_numpy(stored.voxels.copy()), voxel_map(image.affine, stored.affine), SHAPE)
            np.testing.assert_array_equal(found.numpy(), image.voxels)

    def test_a_grid_turned_by_next_to_nothing_is_not_torn(self, volume):
        source = affine_around(CENTER, SHAPE, AXES["RAS"], (1, 1, 1))
        for angle in (1e-9, 1e-5, 5e-5, 2e-4, 1e-3):
            turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
            matrix = voxel_map(affine_around((12.4, -30.3, 55.2), SHAPE, turn, (1, 1, 1)), source)
            np.testing.assert_allclose(sample(volume, matrix, SHAPE).numpy(), expected(volume, matrix, SHAPE), atol=0.01)

    def test_slabs_do_not_show(self, volume, monkeypatch):
        matrix = voxel_map(affine_around(CENTER, (12, 8, 9), AXES["oblique"], (0.9, 1, 1.1)), affine_around(CENTER, SHAPE, np.eye(3), (1, 1, 1)))
        whole = sample(volume, matrix, (12, 8, 9)).numpy()
        for points in (1, 100, 12 * 8 * 9 - 1):
            monkeypatch.setattr(resampling, "POINTS_PER_SLAB", points)
            np.testing.assert_array_equal(sample(volume, matrix, (12, 8, 9)).numpy(), whole)

    @pytest.mark.parametrize("axes", ["LPS", "oblique"])
    def test_an_axis_of_one_voxel(self, volume, axes):
        flat = volume[:, :, 3:4]
        matrix = voxel_map(affine_around(CENTER, (6, 5, 4), AXES[axes], (1, 1, 1)), affine_around(CENTER, (11, 1, 7), np.eye(3), (1, 1, 1)))
        np.testing.assert_allclose(sample(flat, matrix, (6, 5, 4)).numpy(), expected(flat, matrix, (6, 5, 4)), atol=1e-9)


class TestSampledSlabs:
    @pytest.mark.parametrize("slab", [resampling.POINTS_PER_SLAB, 300, 1])
    @pytest.mark.parametrize("grid", GRIDS)
    @pytest.mark.parametrize("axes", AXES)
    def test_are_those_of_linear_interpolation(self, volume, monkeypatch, axes, grid, slab):
        monkeypatch.setattr(resampling, "POINTS_PER_SLAB", slab)
        shape, spacing = GRIDS[grid]
        matrix = voxel_map(affine_around((12.3, -29.5, 54.8), shape, AXES[axes], spacing), affine_around(CENTER, SHAPE, np.eye(3), (0.9, 1.3, 2.0)))
        found = np.concatenate([values.numpy().copy() for values in sampled_slabs(volume, matrix, shape)], -1)
        np.testing.assert_allclose(found, expected(volume, matrix, shape), atol=1e-9)

    @pytest.mark.parametrize("slab", [300, 1])
    def test_one_that_is_overwritten_does_not_change_the_next_ones(self, volume, monkeypatch, slab):
        monkeypatch.setattr(resampling, "POINTS_PER_SLAB", slab)
        matrix = np.diag([1, 1, 0.5, 1])
        found = []
        for values in sampled_slabs(volume, matrix, (*SHAPE[:2], 2 * SHAPE[2])):
            found.append(values.clone())
            values.zero_()
        np.testing.assert_allclose(torch.cat(found, -1).numpy(), expected(volume, matrix, (*SHAPE[:2], 2 * SHAPE[2])), atol=1e-9)


class TestInside:
    @pytest.mark.parametrize("axes", AXES)
    def test_is_within_the_outer_edges_of_the_voxels(self, axes):
        matrix = voxel_map(affine_around((13, -29, 54), (9, 8, 7), AXES[axes], (2, 2.5, 3)), affine_around(CENTER, SHAPE, np.eye(3), (1, 1.1, 1.2)))
        index = centers(matrix, (9, 8, 7))
        wanted = ((index > -0.5) & (index < np.array(SHAPE) - 0.5)).all(-1)
        assert 0 < wanted.sum() < wanted.size
        np.testing.assert_array_equal(inside(matrix, SHAPE, (9, 8, 7)), wanted)

    def test_a_voxel_on_the_edge_counts_and_one_beyond_does_not(self):
        matrix = np.eye(4)
        matrix[:3, 3] = -0.5
        assert inside(matrix, (3, 3, 3), (5, 4, 4))[:, 0, 0].tolist() == [True, True, True, True, False]


def to_itk(voxels: np.ndarray, affine: np.ndarray) -> SimpleITK.Image:
    image = SimpleITK.GetImageFromArray(voxels.T)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((RAS_TO_LPS @ affine[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin((RAS_TO_LPS @ affine[:3, 3]).tolist())
    return image
