"""Test-time mirroring: a scan and its mirror image get the same answer, mirrored."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from AttentionSegLib.errors import InputError
from AttentionSegLib.image import Image
from AttentionSegLib.inference import Predictor
from AttentionSegLib.inference.mirroring import MirroredNetwork
from AttentionSegLib.inference.openvino_network import openvino_available
from tiny_models import UNET, guided, random_model
from torch.testing import assert_close

TRAINED = {"mirror_axes": [0, 2], "mirror_swaps": [[1, 2]]}
# Working orientation, and its axis from left to right.
ORIENTATIONS = {"RAS": 0, "LPS": 0, "PIR": 2, "ALS": 1}
NETWORKS = {
    "unet": {"network": UNET},
    "guided": {"network": guided(3, steps=1)},
    "slices": {
        "network": {"name": "attention-unet", "arguments": {"spatial_dims": 2, "channels": [2, 4, 4], "norm": "instance"}},
        "slices": "axial",
        "patch_size": [16, 16, 1],
    },
}


def model(kind="unet", **changes):
    return random_model(**{"training": TRAINED, **NETWORKS[kind], **changes})


def noise(affine=None):
    voxels = np.random.default_rng(3).normal(size=(1, 21, 18, 20)).astype(np.float32)
    return Image(voxels, np.eye(4) if affine is None else affine, "scan")


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_mirrored_scan_gets_the_mirrored_answer_with_sides_exchanged(kind):
    predictor, image = Predictor(model(kind), "cpu", "torch", mirroring=True), noise()
    # One patch along the mirrored axis, because where patches begin is not the same from both ends.
    image = Image(image.voxels[:, :16], image.affine, image.name)
    straight = predictor(image, probabilities=True)
    mirrored = predictor(Image(np.ascontiguousarray(image.voxels[:, ::-1]), image.affine, "mirrored"), probabilities=True)
    np.testing.assert_allclose(mirrored.probabilities.voxels[[0, 2, 1], ::-1], straight.probabilities.voxels, atol=2e-3)
    np.testing.assert_allclose(mirrored.uncertainty.voxels[:, ::-1], straight.uncertainty.voxels, atol=1e-4)
    without = Predictor(model(kind), "cpu", "torch")(image, probabilities=True)
    assert np.abs(without.probabilities.voxels - straight.probabilities.voxels).max() > 0.01


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_the_mirror_stands_between_left_and_right(orientation):
    axis = ORIENTATIONS[orientation]
    tiny = model(orientation=orientation, training={**TRAINED, "mirror_axes": [axis]})
    x = torch.randn(2, 1, 16, 16, 16, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        found = MirroredNetwork(tiny.network, tiny.card)(x).logits
        expected = (tiny.network(x) + tiny.network(x.flip(axis + 2)).flip(axis + 2)[:, [0, 2, 1]]) / 2
    assert_close(found, expected)


def test_maps_and_probe_are_those_of_the_scan_itself():
    image = noise()
    plain, mirrored = (Predictor(model("guided"), "cpu", "torch", mirroring=on)(image) for on in (False, True))
    assert mirrored.attention.keys() == plain.attention.keys() != set()
    for name, attention in plain.attention.items():
        np.testing.assert_array_equal(mirrored.attention[name].voxels, attention.voxels)
    np.testing.assert_array_equal(mirrored.probe.row((8, 9, 10)).voxels, plain.probe.row((8, 9, 10)).voxels)


def test_settings_as_a_training_hands_them_on():
    """Not read from a file, they are tuples."""
    assert model(training={"mirror_axes": (0,), "mirror_swaps": ((1, 2),)}).card.mirroring == (0, [0, 2, 1])


def test_labels_without_sides_stay():
    tiny = model(training={"mirror_axes": [0]})
    assert tiny.card.mirroring == (0, [0, 1, 2])


def test_a_card_can_ask_for_it_in_every_run():
    asked, plain = (Predictor(model(**more), "cpu", "torch") for more in ({"mirrored": True}, {}))
    wanted = Predictor(plain.model, "cpu", "torch", mirroring=True)
    assert (asked.options.mirroring, plain.options.mirroring) == (True, False)
    found, expected = (predictor(noise(), probabilities=True).probabilities.voxels for predictor in (asked, wanted))
    np.testing.assert_array_equal(found, expected)


def test_a_card_that_asks_for_it_without_a_training_on_mirror_images_is_refused():
    with pytest.raises(InputError, match="'mirrored' without the axis from left to right"):
        model(training={"mirror_axes": [1]}, mirrored=True)


@pytest.mark.skipif(not openvino_available(), reason="OpenVINO is not installed")
def test_openvino_mirrors_alike():
    found, expected = (Predictor(model(), "cpu", backend, mirroring=True)(noise(), probabilities=True) for backend in ("openvino", "torch"))
    assert found.backend == "openvino"
    np.testing.assert_allclose(found.probabilities.voxels, expected.probabilities.voxels, atol=5e-3)


@pytest.mark.parametrize("training", [{}, {"mirror_axes": []}, {"mirror_axes": [1, 2]}])
def test_a_model_that_never_saw_a_mirror_image_is_refused(training):
    with pytest.raises(InputError, match="was not trained on scans mirrored from left to right"):
        Predictor(model(training=training), "cpu", mirroring=True)


@pytest.mark.parametrize("training", [{"mirror_swaps": [[1, 3]]}, {"mirror_axes": 0}, {"mirror_axes": [5]}, {"mirror_swaps": [[0, 1]]}])
def test_a_card_with_wrong_mirrors_is_refused(training):
    with pytest.raises(InputError, match="mirror_"):
        model(training=training)
