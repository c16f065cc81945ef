"""What the network gets to see of a scan, whatever its pose, spacing and order in memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from AttentionSegLib.files import read_image
from AttentionSegLib.image import Image
from AttentionSegLib.region import Region
from poses import AXES, OBLIQUE, affine_around, centers, storages
from prepared_scans import ONE, Z_SCORE, noise_image, ramp, ramp_image, seen
from tiny_models import make_card


class TestWorkingGrid:
    @pytest.mark.parametrize("letters", ["RAS", "LPS", "SRP", "AIL"])
    def test_an_image_of_its_spacing_and_orientation_comes_through_voxel_for_voxel(self, letters):
        directions = np.stack([np.eye(3)["RAS".find(letter)] if letter in "RAS" else -np.eye(3)["LPI".find(letter)] for letter in letters], 1)
        image = noise_image((13, 10, 8), directions, (1.5, 2.0, 0.7))
        working, grid = seen(image, card=make_card(orientation=letters, spacing_mm=[1.5, 2.0, 0.7]))
        assert grid.shape == image.shape
        np.testing.assert_allclose(grid.affine, image.affine, atol=1e-9)
        np.testing.assert_array_equal(working, image.voxels.astype(np.float32))

    @pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.7, 1.3, 2.9), (0.7, 0.3, 0.9)])
    @pytest.mark.parametrize(
        "roi", [None, Region((11, -22, 29), (5, 6, 4)), Region((6, -22, 29), (9, 6, 4), OBLIQUE)], ids=["whole", "box", "turned box"]
    )
    def test_is_the_same_in_all_48_orders_of_the_axes(self, spacing, roi):
        # 15 x 0.7 and 35 x 0.3 are 10.5 mm: the last digit decides which way that is rounded, unless somebody cares.
        card = make_card({"kind": "z-score", "percentiles": [1, 99]})
        image = noise_image((15, 35, 15), spacing=spacing, center=(10.1234, -20.777, 30.9))
        first, grid = seen(image, roi, card, (8, 8, 8), (4, 4, 4))
        assert first.std() > 0.1
        for storage in storages():
            working, other = seen(storage.store(image), roi, card, (8, 8, 8), (4, 4, 4))
            assert (other.shape, other.field) == (grid.shape, grid.field)
            np.testing.assert_allclose(other.affine, grid.affine, atol=1e-9)
            np.testing.assert_allclose(working, first, atol=1e-5)

    @pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.4, 0.45, 0.5), (3.1, 0.8, 1.9)], ids=["same", "finer", "anisotropic"])
    @pytest.mark.parametrize("axes", AXES)
    def test_every_voxel_holds_what_lies_at_its_place(self, axes, spacing):
        shape = tuple(int(30 / s) for s in spacing)
        image = ramp_image(shape, AXES[axes], spacing)
        working, grid = seen(image)
        places = centers(grid.affine, grid.shape)
        # Blur reaches across the edges, where the ramp ends.
        deep = (np.abs((places - image.corners().mean(0)) @ image.affine[:3, :3] / image.spacing) < 15 - 2 * image.spacing.max() - 2).all(-1)
        assert deep.sum() > 500
        np.testing.assert_allclose(working[0][deep], ramp(places)[deep], atol=1e-3)

    def test_outside_of_an_oblique_image_is_zero(self):
        image = Image(np.full((1, 20, 20, 20), 80.0), affine_around((0, 0, 0), (20, 20, 20), OBLIQUE, ONE), "scan")
        working, grid = seen(image)
        index = image.to_ijk(centers(grid.affine, grid.shape))
        within = ((index >= -0.5) & (index <= 19.5)).all(-1)
        assert 0.2 < within.mean() < 0.9
        np.testing.assert_allclose(working[0], np.where(within, 80, 0), atol=1e-3)

    def test_fine_noise_does_not_reach_a_coarse_grid(self):
        voxels = np.indices((48, 48, 48)).sum(0) % 2 * 200.0 - 100
        working, _ = seen(Image(voxels[None], np.diag([0.3, 0.3, 0.3, 1]), "scan"))
        assert np.abs(working[0, 2:-2, 2:-2, 2:-2]).max() < 5

    def test_a_scan_much_finer_along_one_axis_is_blurred_along_that_axis_only(self):
        stripes = np.zeros((20, 60, 20))
        stripes[10:] = 100
        working, _ = seen(Image(stripes[None], np.diag([1, 0.25, 1, 1]), "scan"))
        np.testing.assert_array_equal(working[0, :10], 0)
        np.testing.assert_allclose(working[0, 10:], 100, rtol=1e-6)


class TestRegion:
    def test_inside_the_image_gives_the_voxels_of_the_whole_image_there(self):
        image = noise_image((30, 26, 22), OBLIQUE, (0.6, 0.9, 1.7))
        whole, grid = seen(image)
        part, small = seen(image, Region((12, -19, 31), (7, 5, 6)))
        offset = np.rint(np.linalg.solve(grid.affine, small.affine)[:3, 3]).astype(int)
        np.testing.assert_allclose(grid.affine[:3] @ (*offset, 1), small.affine[:3, 3], atol=1e-9)
        window = tuple(slice(low, low + count) for low, count in zip(offset, small.shape))
        np.testing.assert_allclose(part[0], whole[0][window], atol=1e-3)

    def test_holds_every_working_voxel_of_the_region_and_no_more(self):
        image = ramp_image((40, 40, 40))
        for center, size in [((10, -20, 30), (8, 6, 5)), ((10.5, -20.5, 30.5), (8, 6, 4)), ((3.2, -7.9, 44.4), (3.3, 9.1, 5.7))]:
            roi = Region(center, size)
            _, grid = seen(image, roi)
            held = roi.contains(centers(grid.affine, grid.shape))
            assert held.all()
            assert held.sum() == roi.contains(centers(image.affine, image.shape)).sum()

    def test_partly_outside_is_cut_to_the_image(self):
        image = ramp_image((20, 20, 20))
        _, grid = seen(image, Region((0, -20, 30), (10, 8, 8)))
        places = centers(grid.affine, grid.shape)
        assert places[..., 0].min() == pytest.approx(image.corners()[:, 0].min() + 0.5)
        assert places[..., 0].max() == pytest.approx(4.5)

    def test_smaller_than_a_voxel_still_gives_a_patch_around_it(self):
        image = noise_image((20, 20, 20))
        working, grid = seen(image, Region((9.6, -20.3, 30.4), (0.3, 0.3, 0.3)), make_card(Z_SCORE), (8, 8, 8))
        assert grid.shape == (8, 8, 8)
        assert np.isfinite(working).all()
        assert working.std() > 0.5

    def test_at_the_very_edge_of_an_image(self):
        image = noise_image((20, 20, 20), OBLIQUE)
        card = make_card(Z_SCORE)
        for corner in image.corners():
            roi = Region(tuple(corner + (image.to_ras([9.5] * 3) - corner) * 0.02), (1.2, 1.2, 1.2))
            working, grid = seen(image, roi, card, (8, 8, 8))
            assert np.isfinite(working).all()
            assert all(0 <= low < high <= count for (low, high), count in zip(grid.field, grid.shape))

    def test_turned_covers_the_turned_box(self):
        image = ramp_image((50, 50, 50))
        roi = Region((10, -20, 30), (12, 6, 4), OBLIQUE)
        _, grid = seen(image, roi)
        held = roi.contains(centers(grid.affine, grid.shape))
        assert held.sum() == roi.contains(centers(image.affine, image.shape)).sum()
        assert 0.1 < held.mean() < 0.9


class TestPatch:
    def test_a_small_image_grows_to_a_patch_evenly_on_both_sides(self):
        image = noise_image((9, 6, 5))
        working, grid = seen(image, patch=(16, 8, 4), multiple=(4, 4, 4))
        assert grid.shape == (16, 8, 8)
        assert grid.field == ((3, 12), (1, 7), (1, 6))
        window = tuple(slice(*ends) for ends in grid.field)
        np.testing.assert_array_equal(working[0][window], image.voxels[0].astype(np.float32))
        working[0][window] = 0
        assert not working.any()

    @pytest.mark.parametrize("size", range(14, 23))
    def test_a_large_image_grows_to_whole_multiples(self, size):
        _, grid = seen(noise_image((size, 9, 9)), patch=(8, 8, 8), multiple=(4, 1, 3))
        assert grid.shape == (-(-size // 4) * 4, 9, 9)

    def test_a_region_grows_into_the_image_around_it(self):
        image = noise_image((30, 30, 30))
        working, grid = seen(image, Region((10.5, -19.5, 30.5), (4, 4, 4)), patch=(8, 8, 8))
        assert [high - low for low, high in grid.field] == [5, 5, 5]
        index = np.rint(image.to_ijk(centers(grid.affine, grid.shape))).astype(int)
        np.testing.assert_array_equal(working[0], image.voxels[0][tuple(np.moveaxis(index, -1, 0))].astype(np.float32))


def test_a_real_scan_looks_the_same_in_all_48_orders(data_folder):
    image = read_image(data_folder / "hippocampus" / "images" / "hippocampus_001.nii.gz")
    card = make_card({"kind": "z-score", "percentiles": [0.5, 99.5]}, spacing_mm=[1.1, 0.9, 1.3])
    first, grid = seen(image, card=card, patch=(32, 48, 32), multiple=(8, 8, 8))
    for storage in storages():
        working, other = seen(storage.store(image), card=card, patch=(32, 48, 32), multiple=(8, 8, 8))
        assert other.shape == grid.shape
        torch.testing.assert_close(torch.from_numpy(working), torch.from_numpy(first), atol=1e-5, rtol=0)
