"""The intensities that the network gets to see: normalized by the voxels that count."""

from __future__ import annotations

import numpy as np
import pytest
from AttentionSegLib.errors import InputError
from AttentionSegLib.image import Image, without_nan
from AttentionSegLib.region import Region
from poses import OBLIQUE, centers
from prepared_scans import Z_SCORE, noise_image, ramp_image, seen
from tiny_models import make_card


class TestNormalization:
    def test_z_score_clips_then_standardizes_by_the_region(self):
        image = noise_image((24, 24, 24))
        roi = Region((12, -18, 31), (9, 7, 5), OBLIQUE)
        working, grid = seen(image, roi, make_card({"kind": "z-score", "percentiles": [5, 90]}), (16, 16, 16))
        values = image.voxels[0][roi.contains(centers(image.affine, image.shape))]
        low, high = np.percentile(values, [5, 90])
        kept = np.clip(values, low, high)
        index = np.rint(image.to_ijk(centers(grid.affine, grid.shape))).astype(int)
        wanted = (np.clip(image.voxels[0][tuple(np.moveaxis(index, -1, 0))], low, high) - kept.mean()) / kept.std()
        np.testing.assert_allclose(working[0], wanted, atol=1e-4)

    def test_what_lies_beside_the_region_does_not_count(self):
        image = noise_image((24, 24, 24))
        roi = Region((10, -20, 30), (8, 8, 8))
        held = roi.contains(centers(image.affine, image.shape))
        bright = Image(np.where(held, image.voxels, 1e5), image.affine, "scan")
        card = make_card(Z_SCORE)
        window = tuple(slice(*ends) for ends in seen(image, roi, card, (16, 16, 16))[1].field)
        np.testing.assert_array_equal(*(seen(scan, roi, card, (16, 16, 16))[0][0][window] for scan in (image, bright)))

    def test_what_only_fills_a_patch_does_not_count(self):
        image = noise_image((9, 7, 5))
        alone, _ = seen(image, card=make_card(Z_SCORE))
        padded, grid = seen(image, card=make_card(Z_SCORE), patch=(16, 16, 16))
        np.testing.assert_array_equal(padded[0][tuple(slice(*ends) for ends in grid.field)], alone[0])
        assert alone.mean() == pytest.approx(0, abs=1e-5)
        assert alone.std() == pytest.approx(1, abs=1e-5)

    def test_window_clips_and_scales_as_the_card_says(self):
        image = ramp_image((20, 20, 20))
        working, _ = seen(image, card=make_card({"kind": "window", "window": [60, 100], "mean": 80, "std": 10}))
        np.testing.assert_allclose(working, (np.clip(image.voxels, 60, 100) - 80) / 10, atol=1e-5)

    @pytest.mark.parametrize("kind", ["u1", "i2", ">i2", "u2", "i4", "u8", "f2", "f4", ">f8", "?"])
    def test_any_type_of_voxel(self, kind):
        voxels = (np.random.default_rng(2).random((1, 8, 8, 8)) * 2).astype(kind)
        working, _ = seen(Image(voxels, np.eye(4), "scan"))
        np.testing.assert_array_equal(working, voxels.astype(np.float32))

    def test_the_scan_is_not_changed(self):
        image = noise_image((10, 10, 10), spacing=(0.4, 0.4, 0.4))
        before = image.voxels.copy()
        seen(image, card=make_card(Z_SCORE))
        np.testing.assert_array_equal(image.voxels, before)

    def test_one_intensity_in_the_region_says_so(self):
        voxels = np.zeros((1, 20, 20, 20))
        voxels[0, 15:] = np.random.default_rng(0).random((5, 20, 20))
        image = Image(voxels, np.eye(4), "scan")
        with pytest.raises(InputError, match=r"^scan has the same intensity everywhere in the region; .*\.$"):
            seen(image, Region((5, 10, 10), (6, 6, 6)), make_card(Z_SCORE))
        assert seen(image, Region((16, 10, 10), (6, 6, 6)), make_card(Z_SCORE))[0].std() > 0.5

    def test_an_image_too_thin_for_the_grid_says_so(self):
        foil = noise_image((2, 20, 20), OBLIQUE, (1e-4, 1, 1))
        with pytest.raises(InputError, match=r"^scan is too thin there to hold a voxel of the model's grid \(1 x 1 x 1 mm\); .*\.$"):
            seen(foil, card=make_card(Z_SCORE))


def test_two_channels_are_each_normalized_by_their_own_entry():
    inputs = [
        {"name": "T1", "modality": "MR", "normalization": Z_SCORE},
        {"name": "CT", "modality": "CT", "normalization": {"kind": "window", "window": [-50, 50], "mean": 0, "std": 25}},
    ]
    first, second = noise_image((12, 11, 10)), noise_image((12, 11, 10), seed=1)
    working, _ = seen(Image(np.concatenate([first.voxels, second.voxels]), first.affine, "scan"), card=make_card(inputs=inputs))
    np.testing.assert_allclose(working[0], (first.voxels[0] - first.voxels.mean()) / first.voxels.std(), atol=1e-4)
    np.testing.assert_allclose(working[1], np.clip(second.voxels[0], -50, 50) / 25, atol=1e-5)


class TestOutside:
    def test_takes_part_in_no_statistics_and_is_0(self):
        image = noise_image((12, 10, 8))
        masked = image.voxels.copy()
        masked[:, :, :3] = np.nan
        working, _ = seen(without_nan(Image(masked, image.affine)), card=make_card(Z_SCORE))
        inside = image.voxels[:, :, 3:]
        assert (working[:, :, :3] == 0).all()
        np.testing.assert_allclose(working[:, :, 3:], (inside - inside.mean()) / inside.std(), atol=1e-4)

    def test_a_region_of_nothing_else(self):
        image = noise_image((12, 10, 8))
        masked = image.voxels.copy()
        masked[:, :6] = np.nan
        hidden = without_nan(Image(masked, image.affine))
        with pytest.raises(InputError, match="has no numbers there"):
            seen(hidden, Region(tuple(image.to_ras([1, 5, 4])), (3, 3, 3)), card=make_card(Z_SCORE))
