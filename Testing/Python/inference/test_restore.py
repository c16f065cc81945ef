"""From logits on the working grid back to the scan: labels, uncertainty and probabilities, voxel by voxel."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from AttentionSegLib.image import Image
from AttentionSegLib.inference import resampling
from AttentionSegLib.inference.progress import Progress
from AttentionSegLib.inference.restore import Restored, restore
from AttentionSegLib.region import Region
from poses import AXES, OBLIQUE, affine_around, centers
from scipy.ndimage import map_coordinates
from scipy.special import softmax

CENTER = (10.0, -20.0, 30.0)
WORKING = (14, 12, 10)
WORKING_AFFINE = affine_around(CENTER, WORKING, np.eye(3), (1.5, 1.5, 1.5))


def image_of(shape=(17, 13, 11), axes=AXES["oblique PSL"], spacing=(0.7, 1.1, 0.9)) -> Image:
    return Image(np.zeros((1, *shape), np.float32), affine_around(CENTER, shape, axes, spacing))


@pytest.fixture
def logits() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(4).normal(size=(4, *WORKING)) * 4)


def restored(logits, image, roi=None, probabilities=True, affine=WORKING_AFFINE, progress=None, own_uncertainty=None) -> Restored:
    if progress is None:
        progress = Progress()
        progress.stage("restore")
    return restore(logits, own_uncertainty, affine, image, roi, probabilities, progress)


def at_voxels(logits, image, affine=WORKING_AFFINE) -> np.ndarray:
    """Logits at the voxels of the image by SciPy."""
    index = np.linalg.solve(affine, image.affine)
    coordinates = np.moveaxis(centers(index, image.shape), -1, 0)
    return np.stack([map_coordinates(channel, coordinates, order=1, mode="nearest") for channel in logits.numpy()])


class TestRestore:
    @pytest.mark.parametrize("axes", AXES)
    def test_is_arg_max_entropy_and_softmax_of_the_logits_at_each_voxel(self, logits, axes):
        image = image_of(axes=AXES[axes])
        found, values = restored(logits, image), at_voxels(logits, image)
        share = softmax(values, 0)
        np.testing.assert_array_equal(found.labels, values.argmax(0))
        np.testing.assert_allclose(found.uncertainty, -(share * np.log(share)).sum(0) / np.log(4), atol=1e-5)
        np.testing.assert_allclose(found.probabilities, share, atol=1e-3)
        assert (found.labels.dtype, found.uncertainty.dtype, found.probabilities.dtype) == (np.uint8, np.float32, np.float16)
        assert set(np.unique(found.labels)) == {0, 1, 2, 3}

    def test_on_the_grid_of_the_network_nothing_is_interpolated(self, logits):
        image = Image(np.zeros((1, *WORKING)), WORKING_AFFINE)
        np.testing.assert_array_equal(restored(logits, image).labels, logits.argmax(0).numpy())

    def test_uncertainty_goes_from_0_to_1(self):
        image = image_of()
        alike = torch.zeros((5, *WORKING))
        np.testing.assert_allclose(restored(alike, image).uncertainty, 1, atol=1e-6)
        alike[3] = 1e4
        sure = restored(alike, image)
        assert not sure.uncertainty.any()
        assert (sure.labels == 3).all()
        two = torch.full((4, *WORKING), -1e4)
        two[1:3] = 0
        np.testing.assert_allclose(restored(two, image).uncertainty, 0.5, atol=1e-6)

    def test_probabilities_only_on_request(self, logits):
        assert restored(logits, image_of(), probabilities=False).probabilities is None

    @pytest.mark.parametrize("roi", [None, Region((11, -19, 31), (5, 6, 4), OBLIQUE)])
    @pytest.mark.parametrize("size", [1, 500])
    def test_slabs_do_not_show(self, logits, monkeypatch, roi, size):
        whole = restored(logits, image_of(), roi)
        told = []
        progress = Progress(lambda fraction, stage, left: told.append(fraction))
        progress.stage("restore")
        monkeypatch.setattr(resampling, "POINTS_PER_SLAB", size)
        parts = restored(logits, image_of(), roi, progress=progress)
        for name in ("labels", "uncertainty", "probabilities"):
            np.testing.assert_allclose(getattr(parts, name), getattr(whole, name), atol=1e-6)
        assert len(told) > 4 or size > 1
        assert told == sorted(told)

    def test_the_logits_stay_as_they_are(self, logits):
        before = logits.clone()
        restored(logits, Image(np.zeros((1, *WORKING)), WORKING_AFFINE))
        assert torch.equal(logits, before)

    def test_more_than_255_labels_need_two_bytes(self):
        image = Image(np.zeros((1, 8, 8, 8)), np.eye(4))
        wanted = torch.arange(512).reshape(8, 8, 8) % 300
        many = torch.nn.functional.one_hot(wanted, 300).permute(3, 0, 1, 2).float() * 50
        for classes, kind in [(300, np.uint16), (257, np.uint16), (256, np.uint8)]:
            found = restored(many[:classes], image, probabilities=False, affine=np.eye(4)).labels
            assert found.dtype == kind
            np.testing.assert_array_equal(found, np.where(wanted < classes, wanted, 0))


class TestOwnUncertainty:
    """A network's own takes the place of the entropy, and of nothing else."""

    @pytest.fixture
    def own(self) -> torch.Tensor:
        return torch.from_numpy(np.random.default_rng(5).uniform(size=(1, *WORKING)))

    @pytest.mark.parametrize("axes", AXES)
    def test_is_interpolated_at_each_voxel(self, logits, own, axes):
        image = image_of(axes=AXES[axes])
        found, plain = restored(logits, image, own_uncertainty=own), restored(logits, image)
        np.testing.assert_allclose(found.uncertainty, at_voxels(own, image)[0], atol=1e-6)
        assert (found.uncertainty.shape, found.uncertainty.dtype) == (image.shape, np.float32)
        np.testing.assert_array_equal(found.labels, plain.labels)
        np.testing.assert_array_equal(found.probabilities, plain.probabilities)

    def test_stays_between_0_and_1(self, logits, own):
        found = restored(logits, image_of(), own_uncertainty=own * 1.2 - 0.1).uncertainty
        assert (found.min(), found.max()) == (0, 1)

    @pytest.mark.parametrize("axes", [np.eye(3), OBLIQUE], ids=["upright", "turned"])
    def test_is_0_outside_the_region(self, logits, own, axes):
        image, roi = image_of(), Region((13, -23, 32), (6, 7, 5), axes)
        found = restored(logits, image, roi, own_uncertainty=own + 0.01).uncertainty
        held = roi.contains(centers(image.affine, image.shape))
        assert 0 < held.sum() < held.size
        assert not found[~held].any()
        np.testing.assert_allclose(found[held], np.clip(at_voxels(own + 0.01, image)[0], 0, 1)[held], atol=1e-6)


class TestRegion:
    @pytest.mark.parametrize("axes", [np.eye(3), OBLIQUE], ids=["upright", "turned"])
    @pytest.mark.parametrize("center", [CENTER, (14, -25, 33), (2, -20, 30)])
    def test_outside_is_background_and_certain(self, logits, center, axes):
        logits[0] -= 20
        image, roi = image_of(), Region(center, (6, 7, 5), axes)
        everywhere, found = restored(logits, image), restored(logits, image, roi)
        held = roi.contains(centers(image.affine, image.shape))
        assert 0 < held.sum() < held.size
        for name in ("labels", "uncertainty", "probabilities"):
            np.testing.assert_allclose(getattr(found, name)[..., held], getattr(everywhere, name)[..., held], atol=1e-3)
        assert (found.labels[held] > 0).all()
        assert not found.labels[~held].any()
        assert not found.uncertainty[~held].any()
        assert (found.probabilities[0][~held] == 1).all()
        assert not found.probabilities[1:, ~held].any()

    def test_probabilities_add_up_to_one_inside_and_out(self, logits):
        found = restored(logits, image_of(), Region(CENTER, (6, 7, 5)))
        np.testing.assert_allclose(found.probabilities.astype(float).sum(0), 1, atol=2e-3)

    def test_a_voxel_on_the_face_of_the_region_belongs_to_it(self):
        image = Image(np.zeros((1, 9, 9, 9)), np.diag([0.1, 0.1, 0.1, 1]))
        logits = torch.zeros((2, 9, 9, 9))
        logits[1] = 5
        labels = restored(logits, image, Region((0.4, 0.4, 0.4), (0.4, 0.2, 0.2)), affine=image.affine).labels
        assert np.argwhere(labels).min(0).tolist() == [2, 3, 3]
        assert np.argwhere(labels).max(0).tolist() == [6, 5, 5]
