"""Slices of a whole volume: what the network says of each, where the anatomy lies, however the volume is stored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from AttentionSegLib.errors import Cancelled
from AttentionSegLib.image import Image
from AttentionSegLib.inference import Prediction, Predictor
from AttentionSegLib.inference import predictor as engine
from AttentionSegLib.models import Model
from AttentionSegLib.region import Region
from placed_scans import CENTER, SPACINGS, assert_alike_when_stored, deep_in, ramp, ramp_image
from poses import AXES, OBLIQUE, Storage, affine_around, centers, storages
from slice_networks import NETWORKS, SLICES, across, noise
from tiny_models import SliceIntensityNetwork, make_card, random_model

# Orientation of the working grid, the slices, and the axis from slice to slice.
PLANES = [
    ("RAS", "axial", 2),
    ("RAS", "coronal", 1),
    ("RAS", "sagittal", 0),
    ("LPS", "coronal", 1),
    ("PSR", "axial", 1),
    ("PSR", "sagittal", 2),
    ("SLA", "sagittal", 1),
]
DIRECTIONS = dict(zip("RASLPI", [*np.eye(3), *-np.eye(3)]))


def intensity_predictor(axis: int = 2, slices: str = "axial", in_plane: tuple[int, int] = (16, 16), **changes) -> Predictor:
    """Labels by intensity, from slices."""
    network = {"name": "attention-unet", "arguments": {"spatial_dims": 2}}
    card = make_card(**{"network": network, "slices": slices, "patch_size": list(across(axis, in_plane, 1)), **changes})
    return Predictor(Model(card, SliceIntensityNetwork().eval(), Path()), "cpu")


def outputs(found: Prediction) -> dict[str, np.ndarray]:
    return {"labels": found.labels.voxels, "uncertainty": found.uncertainty.voxels, **{n: a.voxels for n, a in found.attention.items()}}


class TestSlicesOfAVolume:
    @pytest.mark.parametrize(("orientation", "slices", "axis"), PLANES)
    @pytest.mark.parametrize("name", NETWORKS)
    def test_are_what_the_network_says_of_each_alone(self, name, orientation, slices, axis):
        in_plane, spacing = (16, 32), [1.5, 0.8, 1.1]
        model = random_model(NETWORKS[name], slices=slices, orientation=orientation, spacing_mm=spacing, patch_size=list(across(axis, in_plane, 1)))
        axes = np.stack([DIRECTIONS[letter] for letter in orientation], 1)
        voxels = noise(1, *across(axis, in_plane, SLICES))
        straight = Image(voxels.numpy(), affine_around(CENTER, voxels.shape[1:], axes, spacing))
        storage = Storage((1, 2, 0), (True, False, True))
        found = Predictor(model, "cpu")(storage.store(straight), probabilities=True)

        with torch.inference_mode():
            alone = [model.network(voxels[None].select(2 + axis, s), return_attention=True) for s in range(SLICES)]
        share = np.stack([torch.softmax(output.logits[0], 0).numpy() for output in alone], 1 + axis)
        np.testing.assert_allclose(storage.unstore(found.probabilities.voxels), share, atol=1e-3)
        first, second = np.sort(share, 0)[:-3:-1]
        clear = first - second > 1e-3
        np.testing.assert_array_equal(storage.unstore(found.labels.voxels)[0][clear], share.argmax(0)[clear])
        assert len(np.unique(share.argmax(0)[clear])) > 1
        if name == "guided":
            doubt = np.stack([output.uncertainty[0].numpy() for output in alone], 1 + axis)
            np.testing.assert_allclose(storage.unstore(found.uncertainty.voxels), doubt, atol=1e-3)
        for key, attention in found.attention.items():
            wanted = np.stack([output.attention[key][0].numpy() for output in alone], 1 + axis)
            wanted = wanted / wanted.max() if key.startswith("guided") else wanted
            np.testing.assert_allclose(attention.voxels, wanted, atol=1e-3 * wanted.max())
            stride = np.array(across(axis, model.network.attention_strides[key], 1))
            np.testing.assert_allclose(attention.affine[:3, :3], straight.affine[:3, :3] * stride, atol=1e-12)
            np.testing.assert_allclose(attention.affine[:3, 3], straight.to_ras((stride - 1) / 2), atol=1e-9)

    @pytest.mark.parametrize("axes", ["LPS", "oblique PSL"])
    @pytest.mark.parametrize(("orientation", "slices", "axis"), PLANES[::2])
    def test_labels_and_maps_lie_where_the_anatomy_lies(self, orientation, slices, axis, axes):
        image = ramp_image(AXES[axes], SPACINGS["anisotropic"])
        found = intensity_predictor(axis, slices, orientation=orientation, spacing_mm=[1.2, 0.9, 1.6])(image)
        assert found.labels.shape == image.shape
        np.testing.assert_array_equal(found.labels.affine, image.affine)
        places = centers(image.affine, image.shape)
        truth, labels = ramp(places), found.labels.voxels[0]
        sure = deep_in(image, places, 9) & (np.abs(truth - 50) > 0.01) & (np.abs(truth - 100) > 0.01)
        assert set(np.unique(labels[sure])) == {0, 1, 2}
        np.testing.assert_array_equal(labels[sure], np.digitize(truth, [50, 100])[sure])
        # From slice to slice that of the image: no slice is made of two.
        spacing = np.array([1.2, 0.9, 1.6])
        spacing[axis] = image.spacing[np.abs(AXES[axes].T @ DIRECTIONS[orientation[axis]]).argmax()]
        for name, stride in (("gate_2", 2), ("gate_3", 4)):
            attention = found.attention[name]
            np.testing.assert_allclose(attention.spacing, spacing * across(axis, (stride, stride), 1))
            places = centers(attention.affine, attention.shape)
            deep = deep_in(image, places, 10)
            assert deep.sum() >= 8
            np.testing.assert_allclose(attention.voxels[0][deep], ramp(places)[deep], atol=0.01)

    def test_are_those_that_were_acquired_however_they_are_turned(self):
        # Thick ones, which have nothing to do with each other.
        levels = np.random.default_rng(4).uniform(0, 150, (16, 16, 7)).astype(np.float32)
        image = Image(levels[None], affine_around(CENTER, levels.shape, OBLIQUE, (1, 1, 6)))
        found = intensity_predictor()(image)
        np.testing.assert_array_equal(found.labels.voxels[0], np.digitize(levels, [50, 100]))

    @pytest.mark.parametrize("roi", [None, Region((21, -31, 42), (11, 9, 8), OBLIQUE)], ids=["whole", "turned region"])
    def test_the_order_of_storage_does_not_matter(self, roi):
        predictor = Predictor(random_model(NETWORKS["unet"], slices="coronal", patch_size=[16, 1, 16]), "cpu")
        image = Image(noise(1, 12, 10, 6).numpy(), affine_around(CENTER, (12, 10, 6), OBLIQUE, (1.1, 0.9, 1.4)))
        first = predictor(image, roi)
        assert len(np.unique(first.labels.voxels)) > 1
        for storage in list(storages())[5::11]:
            found = predictor(storage.store(image), roi)
            assert_alike_when_stored(storage, found, first)

    @pytest.mark.parametrize("overlap", [0, 0.3, 0.9])
    def test_several_patches_per_slice_leave_no_seam(self, overlap):
        image = Image(noise(1, 29, 22, SLICES).numpy() * 20 + 75, np.eye(4))
        whole = intensity_predictor(in_plane=(32, 24))(image, probabilities=True)
        parts = intensity_predictor(in_plane=(12, 8), overlap=overlap)(image, probabilities=True)
        np.testing.assert_array_equal(parts.labels.voxels, whole.labels.voxels)
        np.testing.assert_allclose(parts.uncertainty.voxels, whole.uncertainty.voxels, atol=1e-4)
        # The grids differ by what fills the patches, so maps are compared where all three have voxels of the same place.
        places = whole.attention["gate_2"].to_ijk(centers(parts.attention["gate_2"].affine, parts.attention["gate_2"].shape))
        inner = ((places > -0.1) & (places < np.array(whole.attention["gate_2"].shape) - 0.9)).all(-1)
        index = np.rint(places[inner]).astype(int)
        np.testing.assert_allclose(places[inner], index, atol=1e-9)
        assert inner.sum() > 300
        np.testing.assert_allclose(parts.attention["gate_2"].voxels[0][inner], whole.attention["gate_2"].voxels[0][tuple(index.T)], atol=1e-3)

    @pytest.mark.parametrize("name", NETWORKS)
    def test_many_slices_at_a_time_give_the_same_as_one_by_one(self, monkeypatch, name):
        model = random_model(NETWORKS[name], slices="axial", patch_size=[16, 16, 1])
        image = Image(noise(1, 24, 16, SLICES).numpy(), np.eye(4))
        single = Predictor(model, "cpu")(image)
        monkeypatch.setitem(engine.SLICES_AT_A_TIME, "cpu", 4)
        several = Predictor(model, "cpu")(image)
        assert several.notes == ()
        for key, values in outputs(single).items():
            np.testing.assert_allclose(outputs(several)[key], values, atol=1e-4 * max(1, values.max()))
        for place in [(2, 3, 0), (22, 14, 2), (17, 1, 1)] if name == "guided" else ():
            np.testing.assert_allclose(several.probe.row(place).voxels, single.probe.row(place).voxels, atol=1e-3)

    def test_maps_can_be_asked_for_by_name(self):
        predictor = Predictor(random_model(NETWORKS["guided"], slices="sagittal", patch_size=[1, 16, 16]), "cpu")
        image = Image(noise(1, 2, 16, 16).numpy(), np.eye(4))
        everything = predictor(image)
        assert list(everything.attention) == predictor.attention_names
        for wanted in ("position_scale2_step1", "guided_scale4_step2", ["guided_scale1_step1", "position_scale3_step2"]):
            some = predictor(image, attention=wanted)
            assert list(some.attention) == ([wanted] if isinstance(wanted, str) else wanted)
            for key, values in outputs(some).items():
                np.testing.assert_array_equal(values, outputs(everything)[key])

    def test_cancel_ends_the_run_between_two_slices(self):
        predictor = intensity_predictor()
        image = Image(noise(1, 16, 16, SLICES).numpy() * 20 + 75, np.eye(4))
        stages = []
        whole = predictor(image, on_progress=lambda fraction, stage, left: stages.append(stage))
        # One word at the beginning, and one before each slice.
        assert stages.count("network") == 1 + SLICES
        for words in range(1, 1 + SLICES):
            told = []
            with pytest.raises(Cancelled, match=r"^Cancelled during 'network'\.$"):
                predictor(
                    image,
                    on_progress=lambda fraction, stage, left, told=told: told.append(stage),
                    cancel=lambda told=told, words=words: told.count("network") == words,
                )
            assert told.count("network") == words
        np.testing.assert_array_equal(predictor(image).uncertainty.voxels, whole.uncertainty.voxels)
