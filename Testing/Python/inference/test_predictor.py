"""The engine as a whole: labels, numbers and attention maps lie where they belong."""

from __future__ import annotations

import numpy as np
import pytest
from AttentionSegLib.image import Image
from AttentionSegLib.inference.resampling import voxel_map
from AttentionSegLib.region import Region
from placed_scans import CENTER, SPACINGS, deep_in, grid_over, ramp, ramp_image
from poses import AXES, OBLIQUE, PERMUTED, affine_around, centers
from scipy.ndimage import map_coordinates


class TestOutputs:
    @pytest.mark.parametrize("roi", [None, Region(tuple(CENTER), (9, 8, 7))])
    @pytest.mark.parametrize("axes", AXES)
    def test_have_the_geometry_of_the_input(self, predictor, axes, roi):
        image = ramp_image(AXES[axes], SPACINGS["anisotropic"])
        found = predictor(image, roi, probabilities=True, attention_grid="input")
        for output in (found.labels, found.uncertainty, found.probabilities, *found.attention.values()):
            assert output.shape == image.shape
            np.testing.assert_array_equal(output.affine, image.affine)
        kinds = [output.voxels.dtype for output in (found.labels, found.uncertainty, found.probabilities, *found.attention.values())]
        assert kinds == [np.uint8, np.float32, np.float16, np.float32, np.float32]
        assert [output.channels for output in (found.labels, found.uncertainty, found.probabilities)] == [1, 1, 3]
        # Slices of 2.7 mm are not what the model was trained on.
        assert (found.device, found.notes, found.card.id) == ("cpu", found.misfits, "hippocampus-t1")

    def test_labels_are_exact_where_the_grids_coincide(self, predictor):
        voxels = np.random.default_rng(1).uniform(0, 150, (1, 21, 18, 17))
        image = Image(voxels, affine_around(CENTER, voxels.shape[1:], np.eye(3), (1, 1, 1)))
        np.testing.assert_array_equal(predictor(image).labels.voxels, np.digitize(voxels.astype(np.float32), [50, 100]))

    @pytest.mark.parametrize("spacing", SPACINGS)
    @pytest.mark.parametrize("axes", AXES)
    def test_labels_lie_where_the_anatomy_lies(self, predictor, axes, spacing):
        image = ramp_image(AXES[axes], SPACINGS[spacing])
        labels = predictor(image, attention=False).labels.voxels[0]
        places = centers(image.affine, image.shape)
        truth = ramp(places)
        sure = deep_in(image, places, 2 * image.spacing.max() + 3) & (np.abs(truth - 50) > 0.01) & (np.abs(truth - 100) > 0.01)
        assert set(np.unique(labels[sure])) == {0, 1, 2}
        np.testing.assert_array_equal(labels[sure], np.digitize(truth, [50, 100])[sure])

    def test_nothing_is_found_outside_the_region(self, predictor):
        image = Image(ramp_image(OBLIQUE).voxels + 200, ramp_image(OBLIQUE).affine)
        roi = Region((22, -28, 37), (12, 9, 8), PERMUTED)
        found = predictor(image, roi, probabilities=True, attention_grid="input")
        held = roi.contains(centers(image.affine, image.shape))
        assert (found.labels.voxels[0] == 2 * held).all()
        assert (found.uncertainty.voxels[0][held] > 0).all()
        for output in (found.uncertainty, *found.attention.values()):
            assert not output.voxels[0][~held].any()
        assert (found.probabilities.voxels[0][~held] == 1).all()


class TestAttention:
    @pytest.mark.parametrize("spacing", SPACINGS)
    @pytest.mark.parametrize("axes", AXES)
    @pytest.mark.parametrize("roi", [None, Region((21, -31.5, 42), (17, 15, 14))], ids=["whole", "region"])
    def test_every_voxel_of_a_map_lies_at_its_place(self, predictor, roi, axes, spacing):
        image = ramp_image(AXES[axes], SPACINGS[spacing], side=42)
        maps = predictor(image, roi).attention
        assert list(maps) == ["gate_2", "gate_3"]
        for attention, stride in zip(maps.values(), (2, 4)):
            np.testing.assert_allclose(attention.affine[:3, :3], np.eye(3) * stride, atol=1e-12)
            places = centers(attention.affine, attention.shape)
            deep = deep_in(image, places, 2 * image.spacing.max() + stride + 2)
            assert deep.sum() >= 8
            np.testing.assert_allclose(attention.voxels[0][deep], ramp(places)[deep], atol=0.01)

    @pytest.mark.parametrize("spacing", SPACINGS)
    @pytest.mark.parametrize("axes", AXES)
    def test_a_bright_spot_stays_in_its_place(self, predictor, axes, spacing):
        spot = CENTER + np.array([3.3, -4.1, 2.2])
        affine, shape = grid_over(34, AXES[axes], SPACINGS[spacing])
        voxels = 100 * np.exp(-((centers(affine, shape) - spot) ** 2).sum(-1) / (2 * 2.5**2))
        for attention, stride in zip(predictor(Image(voxels[None], affine)).attention.values(), (2, 4)):
            weight = attention.voxels[0][..., None]
            middle = (weight * centers(attention.affine, attention.shape)).sum((0, 1, 2)) / weight.sum()
            assert np.linalg.norm(middle - spot) < stride / 8

    @pytest.mark.parametrize("axes", AXES)
    def test_on_the_grid_of_the_input_it_is_the_map_interpolated_there(self, predictor, axes):
        image = ramp_image(AXES[axes], SPACINGS["fine"], side=20)
        coarse, fine = (predictor(image, attention_grid=grid).attention for grid in ("network", "input"))
        index = np.moveaxis(centers(voxel_map(image.affine, coarse["gate_2"].affine), image.shape), -1, 0)
        wanted = map_coordinates(coarse["gate_2"].voxels[0].astype(float), index, order=1, mode="nearest")
        np.testing.assert_allclose(fine["gate_2"].voxels[0], wanted, atol=1e-3)
        places = centers(image.affine, image.shape)
        deep = deep_in(image, places, 6)
        np.testing.assert_allclose(fine["gate_2"].voxels[0][deep], ramp(places)[deep], atol=0.02)

    def test_a_map_of_a_region_reaches_over_the_region_and_not_over_the_patch(self, predictor):
        image = ramp_image()
        roi = Region((20.5, -30.5, 40.5), (6, 5, 4))
        for attention, stride in zip(predictor(image, roi).attention.values(), (2, 4)):
            low, high = attention.corners().min(0), attention.corners().max(0)
            box_low, box_high = roi.corners().min(0), roi.corners().max(0)
            assert (low <= box_low + 0.5).all()
            assert (high >= box_high - 0.5).all()
            assert (low > box_low - stride).all()
            assert (high < box_high + stride).all()

    def test_only_the_maps_wanted_come_back_and_nothing_else_changes(self, unet, noise):
        everything = unet(noise)
        for wanted in (False, [], "gate_3", ["gate_3", "gate_2"]):
            some = unet(noise, attention=wanted)
            assert list(some.attention) == ([wanted] if wanted == "gate_3" else wanted or [])
            np.testing.assert_array_equal(some.labels.voxels, everything.labels.voxels)
            np.testing.assert_allclose(some.uncertainty.voxels, everything.uncertainty.voxels, atol=1e-6)
            for name, image in some.attention.items():
                np.testing.assert_allclose(image.voxels, everything.attention[name].voxels, atol=1e-3)
