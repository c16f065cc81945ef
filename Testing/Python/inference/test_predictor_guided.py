"""The engine as a whole with a guided-attention network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from AttentionSegLib.image import Image
from AttentionSegLib.inference import Predictor
from AttentionSegLib.inference.preprocessing import prepare, working_grid
from AttentionSegLib.inference.resampling import voxel_map
from AttentionSegLib.region import Region
from placed_scans import CENTER
from poses import AXES, OBLIQUE, affine_around, centers
from scipy.ndimage import map_coordinates
from tiny_models import guided, random_model

GUIDED_PATCH = (16, 8, 24)


@pytest.fixture(scope="module")
def guided_predictor() -> Predictor:
    return Predictor(random_model(guided(3, steps=1), patch_size=list(GUIDED_PATCH), overlap=0.5), "cpu")


class TestGuidedAttention:
    """What this network alone has: maps as shares of the largest, position attention, and an uncertainty of its own."""

    @pytest.fixture
    def larger(self) -> Image:
        shape = (15, 9, 14)
        voxels = np.random.default_rng(3).normal(size=(1, *shape))
        return Image(voxels, affine_around(CENTER, shape, OBLIQUE, (1.1, 0.9, 1.4)), "scan")

    def test_over_a_single_patch_everything_is_as_the_network_says(self, guided_predictor):
        voxels = np.random.default_rng(2).normal(size=(1, *GUIDED_PATCH)).astype(np.float32)
        single = Image(voxels, affine_around(CENTER, GUIDED_PATCH, np.eye(3), (1, 1, 1)), "scan")
        with torch.inference_mode():
            direct = guided_predictor.model.network(torch.from_numpy(voxels)[None], return_attention=True)
        found = guided_predictor(single)
        np.testing.assert_allclose(found.uncertainty.voxels, direct.uncertainty[0].numpy(), atol=1e-4)
        assert found.uncertainty.voxels.std() > 0.01
        assert list(found.attention) == guided_predictor.attention_names == sorted(direct.attention)
        for name, attention in found.attention.items():
            wanted = direct.attention[name][0].numpy()
            if name.startswith("guided"):
                wanted = wanted / wanted.max()
                assert attention.voxels.max() == 1
            else:
                assert attention.voxels.mean() == pytest.approx(1, abs=1e-3)
            np.testing.assert_allclose(attention.voxels, wanted, atol=1e-3 * wanted.max())
            np.testing.assert_array_equal(attention.spacing, (2, 2, 2))
            np.testing.assert_allclose(attention.corners(), single.corners())

    @pytest.mark.parametrize("roi", [None, Region((21, -31, 42), (13, 12, 20), OBLIQUE)], ids=["whole", "turned region"])
    def test_guided_maps_are_shares_of_the_largest_value_in_the_volume(self, guided_predictor, larger, roi):
        everything = guided_predictor(larger, roi).attention
        for name, attention in everything.items():
            assert attention.voxels.min() >= 0
            if name.startswith("guided"):
                assert attention.voxels.max() == 1
                assert attention.voxels.mean() < 0.9
            else:
                assert attention.voxels.max() > 1
        name = "guided_scale3_step1"
        np.testing.assert_array_equal(guided_predictor(larger, roi, attention=name).attention[name].voxels, everything[name].voxels)

    @pytest.mark.parametrize("axes", ["PSL", "oblique PSL"])
    def test_its_uncertainty_comes_back_on_the_grid_of_the_scan(self, guided_predictor, axes):
        voxels = np.random.default_rng(4).normal(size=(1, 5, 4, 6)).astype(np.float32)
        image = Image(voxels, affine_around(CENTER, voxels.shape[1:], AXES[axes], (0.9, 1.1, 0.8)))
        card = guided_predictor.model.card
        grid = working_grid(image, None, card, GUIDED_PATCH, (8, 8, 8))
        assert grid.shape == GUIDED_PATCH
        with torch.inference_mode():
            own = guided_predictor.model.network(prepare(image, None, grid, card)[None], return_attention=[]).uncertainty[0, 0].numpy()
        index = np.moveaxis(centers(voxel_map(image.affine, grid.affine), image.shape), -1, 0)
        found = guided_predictor(image, attention=False).uncertainty
        np.testing.assert_allclose(found.voxels[0], map_coordinates(own, index, order=1, mode="nearest"), atol=1e-4)
        np.testing.assert_array_equal(found.affine, image.affine)

    @pytest.mark.parametrize("attention", [False, "position_scale1_step1"])
    def test_its_uncertainty_needs_no_maps(self, guided_predictor, larger, attention):
        everything, some = guided_predictor(larger, probabilities=True), guided_predictor(larger, attention=attention)
        np.testing.assert_allclose(some.uncertainty.voxels, everything.uncertainty.voxels, atol=1e-5)
        share = everything.probabilities.voxels.astype(float)
        entropy = -(share * np.log(np.maximum(share, 1e-9))).sum(0) / np.log(len(share))
        assert np.abs(entropy - everything.uncertainty.voxels[0]).max() > 0.05

    def test_its_uncertainty_is_0_outside_the_region(self, guided_predictor, larger):
        roi = Region((21, -31, 42), (13, 12, 20), OBLIQUE)
        found = guided_predictor(larger, roi, attention=False).uncertainty.voxels[0]
        held = roi.contains(centers(larger.affine, larger.shape))
        assert 0 < held.sum() < held.size
        assert (found[held] > 0).all()
        assert not found[~held].any()
