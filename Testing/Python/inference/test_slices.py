"""Networks for slices on volumes: each slice as the network sees it alone, and all of it where the anatomy lies."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from AttentionSegLib.errors import Cancelled
from AttentionSegLib.image import Image
from AttentionSegLib.inference import Prediction, Predictor
from AttentionSegLib.inference import predictor as engine
from AttentionSegLib.inference.slices import SliceNetwork
from AttentionSegLib.models import Model
from AttentionSegLib.networks import NetworkOutput
from AttentionSegLib.region import Region
from poses import AXES, OBLIQUE, Storage, affine_around, centers, storages
from tiny_models import AS_IT_IS, SliceIntensityNetwork, guided, make_card, random_model, random_network
from torch.testing import assert_close

NETWORKS = {
    "unet": {"name": "attention-unet", "arguments": {"spatial_dims": 2, "channels": [2, 4, 4], "norm": "instance", "deep_supervision": True}},
    "guided": guided(2),
}
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
CENTER = np.array([20.0, -30.0, 40.0])
SLOPE = np.array([3.0, -2.0, 1.5])
SLICES = 3


def across(axis: int, in_plane: tuple[int, int], count: int) -> tuple[int, ...]:
    return (*in_plane[:axis], count, *in_plane[axis:])


def noise(*shape: int) -> torch.Tensor:
    return 2 * torch.randn(shape, generator=torch.Generator().manual_seed(3))


def intensity_predictor(axis: int = 2, slices: str = "axial", in_plane: tuple[int, int] = (16, 16), **changes) -> Predictor:
    """Labels by intensity, from slices."""
    network = {"name": "attention-unet", "arguments": {"spatial_dims": 2}}
    card = make_card(**{"network": network, "slices": slices, "patch_size": list(across(axis, in_plane, 1)), **changes})
    return Predictor(Model(card, SliceIntensityNetwork().eval(), Path()), "cpu")


def ramp(ras: np.ndarray) -> np.ndarray:
    """Intensities around 75 that tell where one is; linear, so that neither blur, interpolation nor a block mean changes them."""
    return (ras - CENTER) @ SLOPE + 75


def ramp_image(axes: np.ndarray, spacing: tuple[float, ...] = (0.8, 2.7, 1.3), side: float = 32) -> Image:
    shape = tuple(int(side / s) for s in spacing)
    affine = affine_around(CENTER, shape, axes, spacing)
    return Image(ramp(centers(affine, shape))[None], affine, "scan")


def deep_in(image: Image, ras: np.ndarray, margin: float) -> np.ndarray:
    """Points at least so many mm from the faces of the image."""
    half = np.array(image.shape) * image.spacing / 2
    return (np.abs((ras - image.corners().mean(0)) @ (image.affine[:3, :3] / image.spacing)) < half - margin).all(-1)


def outputs(found: Prediction) -> dict[str, np.ndarray]:
    return {"labels": found.labels.voxels, "uncertainty": found.uncertainty.voxels, **{n: a.voxels for n, a in found.attention.items()}}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("axis", range(3))
class TestNetwork:
    def test_each_slice_is_what_the_network_says_of_it_alone(self, name, axis):
        network, x = random_network(NETWORKS[name]), noise(2, 1, *across(axis, (16, 32), SLICES))
        with torch.inference_mode():
            found = SliceNetwork(network, axis)(x, return_attention=True)
            alone = [[network(x[b : b + 1].select(2 + axis, s), return_attention=True) for s in range(SLICES)] for b in range(2)]
        for b, s in product(range(2), range(SLICES)):
            wanted = alone[b][s]

            def same(volume: torch.Tensor, picture: torch.Tensor, b: int = b, s: int = s) -> None:
                assert_close(volume[b].select(1 + axis, s), picture[0], rtol=0, atol=1e-4 * picture.abs().max().item())

            same(found.logits, wanted.logits)
            assert found.attention.keys() == wanted.attention.keys() == network.attention_strides.keys()
            for key in wanted.attention:
                same(found.attention[key], wanted.attention[key])
            for side, side_alone in zip(found.side_logits, wanted.side_logits):
                same(side, side_alone)
            assert found.positions.keys() == wanted.positions.keys()
            for key, features in wanted.positions.items():
                row = found.positions[key].row(across(axis, (5, 9), 0), b * SLICES + s)
                assert_close(row.select(axis, 0), features.row((5, 9)), rtol=0, atol=1e-4)
            assert (found.uncertainty is None) == (wanted.uncertainty is None) == (name == "unet")
            if name == "guided":
                same(found.uncertainty, wanted.uncertainty)
        assert len(found.side_logits) == (2 if name == "unet" else 0)
        assert len(found.positions) == (0 if name == "unet" else 8)

    def test_from_slice_to_slice_nothing_is_coarser(self, name, axis):
        network, x = random_network(NETWORKS[name]), noise(1, 1, *across(axis, (32, 16), 2))
        wrapped = SliceNetwork(network, axis)
        assert wrapped.total_stride == across(axis, network.total_stride, 1)
        assert wrapped.maps_scaled_per_volume == network.maps_scaled_per_volume
        some = list(network.attention_strides)[::-1][:2]
        with torch.inference_mode():
            assert not isinstance(wrapped(x), NetworkOutput)
            output = wrapped(x, return_attention=some)
        assert list(output.attention) == some
        for key, values in output.attention.items():
            assert values.shape == (1, 1, *(n // s for n, s in zip(x.shape[2:], wrapped.attention_strides[key])))


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
        image = ramp_image(AXES[axes])
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
            np.testing.assert_array_equal(storage.unstore(found.labels.voxels), first.labels.voxels)
            np.testing.assert_allclose(storage.unstore(found.uncertainty.voxels), first.uncertainty.voxels, atol=1e-4)
            for name, attention in found.attention.items():
                np.testing.assert_allclose(attention.affine, first.attention[name].affine, atol=1e-9)
                np.testing.assert_allclose(attention.voxels, first.attention[name].voxels, atol=1e-4)

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


class TestNeighbors:
    """2.5D: a slice and those before and after it are the inputs of the network."""

    @pytest.mark.parametrize(("slices", "axis"), [("sagittal", 0), ("axial", 2)])
    def test_the_network_sees_each_slice_between_its_neighbors(self, slices, axis):
        patch = list(across(axis, (16, 16), 1))
        inputs = [{"name": name, "modality": "MR", "normalization": AS_IT_IS} for name in ("T1", "T2")]
        card = make_card(network=NETWORKS["unet"], slices=slices, context=1, patch_size=patch, inputs=inputs)
        network = random_network(NETWORKS["unet"], inputs=card.in_channels)
        voxels = noise(2, *across(axis, (16, 16), 4))
        found = Predictor(Model(card, network, Path()), "cpu", "torch")(Image(voxels.numpy(), np.eye(4)), probabilities=True)
        seen = voxels.movedim(1 + axis, 0)
        with torch.inference_mode():
            # The outer slices stand for the neighbors that they lack.
            logits = [network(torch.cat([seen[max(s - 1, 0)], seen[s], seen[min(s + 1, 3)]])[None])[0] for s in range(4)]
        np.testing.assert_allclose(found.probabilities.voxels, torch.softmax(torch.stack(logits, 1 + axis), 0).numpy(), atol=1e-3)

    def test_a_label_is_explained_beside_them(self):
        card = make_card(network=NETWORKS["unet"], slices="axial", context=1, patch_size=[16, 16, 1])
        model = Model(card, random_network(NETWORKS["unet"], inputs=3), Path())
        label = card.labels[0].name
        found = Predictor(model, "cpu", "torch", explain=(label,))(Image(noise(1, 16, 16, 4).numpy(), np.eye(4)))
        (why,) = (values for name, values in found.attention.items() if name.endswith(label))
        assert why.shape[2] == 4

    def test_neighbors_are_as_far_apart_as_in_the_training(self):
        card = make_card(network=NETWORKS["unet"], slices="axial", context=1, patch_size=[16, 16, 1], spacing_mm=[1, 1, 3])
        found = Predictor(Model(card, random_network(NETWORKS["unet"], inputs=3), Path()), "cpu", "torch")(
            Image(noise(1, 16, 16, 9).numpy(), np.eye(4))
        )
        assert found.labels.shape == (16, 16, 9)
        assert found.attention["gate_2"].shape[2] == 3
