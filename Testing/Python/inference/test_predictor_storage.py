"""The engine as a whole: a scan gives the same segmentation however it is stored or was taken."""

from __future__ import annotations

import numpy as np
import pytest
from AttentionSegLib.errors import InputError
from AttentionSegLib.files import read_image
from AttentionSegLib.image import Image
from AttentionSegLib.inference import Prediction, Predictor
from AttentionSegLib.models import find_model
from AttentionSegLib.region import Region
from placed_scans import CENTER, assert_alike_when_stored, deep_in, dice, grid_over
from poses import OBLIQUE, PERMUTED, Storage, affine_around, centers, storages
from scipy.ndimage import map_coordinates

SHIPPED = "hippocampus-mr-attention-unet"


@pytest.fixture(scope="module")
def shipped() -> Predictor:
    try:
        folder = find_model(SHIPPED)
    except InputError as error:
        pytest.skip(f"the model that ships with the extension is not here: {error}")
    return Predictor(folder, "cpu")


@pytest.fixture(scope="module")
def hippocampus(data_folder) -> Image:
    return read_image(data_folder / "hippocampus" / "images" / "hippocampus_007.nii.gz")


@pytest.fixture(scope="module")
def straight(shipped, hippocampus) -> Prediction:
    return shipped(hippocampus, probabilities=True)


class TestStorage:
    @pytest.mark.parametrize("roi", [None, Region((21, -31, 42), (11, 9, 8), OBLIQUE)], ids=["whole", "turned region"])
    def test_all_48_orders_of_the_axes_give_the_same_segmentation(self, unet, noise, roi):
        first = unet(noise, roi)
        assert len(np.unique(first.labels.voxels)) > 1
        for storage in storages():
            found = unet(storage.store(noise), roi)
            assert_alike_when_stored(storage, found, first)

    def test_an_anatomy_scanned_obliquely_gives_the_same_segmentation(self, predictor):
        def scan(axes: np.ndarray, spacing: tuple[float, ...]) -> Image:
            affine, shape = grid_over(40, axes, spacing)
            ras = centers(affine, shape) - CENTER
            return Image((160 - 6 * np.linalg.norm(ras * (1, 0.7, 0.9), axis=-1))[None], affine)

        straight = predictor(scan(np.eye(3), (0.5, 0.5, 0.5))).labels
        turned = predictor(scan(OBLIQUE @ PERMUTED, (0.6, 0.9, 0.7))).labels
        index = np.moveaxis(straight.to_ijk(centers(turned.affine, turned.shape)), -1, 0)
        wanted = map_coordinates(straight.voxels[0], index, order=0, mode="nearest")
        inner = deep_in(straight, centers(turned.affine, turned.shape), 4)
        for value in (1, 2):
            assert dice(turned.voxels[0] * inner, wanted * inner, value) > 0.98


class TestShippedModel:
    @pytest.mark.parametrize("storage", [Storage((1, 2, 0), (True, False, True)), Storage((2, 1, 0), (False, True, False))])
    def test_reads_a_real_scan_in_any_order_of_the_axes(self, shipped, hippocampus, straight, storage):
        found = shipped(storage.store(hippocampus), attention=False)
        assert (straight.labels.voxels > 0).sum() > 1000
        np.testing.assert_array_equal(storage.unstore(found.labels.voxels), straight.labels.voxels)

    def test_reads_a_real_scan_resampled_obliquely(self, shipped, hippocampus, straight):
        middle = hippocampus.corners().mean(0)
        affine = affine_around(middle, (90, 88, 92), OBLIQUE @ PERMUTED, (0.7, 0.7, 0.7))
        index = np.moveaxis(hippocampus.to_ijk(centers(affine, (90, 88, 92))), -1, 0)
        oblique = Image(map_coordinates(hippocampus.voxels[0].astype(np.float32), index, order=3, mode="nearest")[None], affine)
        found = shipped(oblique, Region(tuple(middle), hippocampus.shape), attention=False).labels
        # Logits up to a constant, interpolated where the oblique voxels lie: what the model said of the scan as it was.
        logits = np.log(np.maximum(straight.probabilities.voxels.astype(float), 1e-7))
        wanted = np.stack([map_coordinates(channel, index, order=1, mode="nearest") for channel in logits]).argmax(0)
        wanted[~Region(tuple(middle), hippocampus.shape).contains(centers(affine, wanted.shape))] = 0
        for value in (1, 2):
            assert dice(found.voxels[0], wanted, value) > 0.96
            shift = found.to_ras(np.argwhere(found.voxels[0] == value).mean(0)) - found.to_ras(np.argwhere(wanted == value).mean(0))
            assert np.linalg.norm(shift) < 0.3
