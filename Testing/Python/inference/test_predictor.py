"""The engine as a whole: what comes out lies where it belongs, however the scan is stored, and a run that ends early leaves no trace."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from AttentionSegLib.errors import Cancelled, InputError
from AttentionSegLib.files import read_image
from AttentionSegLib.image import Image
from AttentionSegLib.inference import Prediction, Predictor
from AttentionSegLib.inference.preprocessing import prepare, working_grid
from AttentionSegLib.inference.resampling import voxel_map
from AttentionSegLib.models import find_model, load_model
from AttentionSegLib.networks import NetworkOutput
from AttentionSegLib.region import Region
from poses import AXES, OBLIQUE, PERMUTED, Storage, affine_around, centers, storages
from scipy.ndimage import gaussian_filter, map_coordinates
from tiny_models import UNET, guided, intensity_model, make_card, random_model, save_unet
from torch import Tensor, nn

CENTER = np.array([20.0, -30.0, 40.0])
SLOPE = np.array([3.0, -2.0, 1.5])
SPACINGS = {"same": (1.0, 1.0, 1.0), "fine": (0.7, 0.6, 0.8), "anisotropic": (0.8, 2.7, 1.3)}
GUIDED_PATCH = (16, 8, 24)
SHIPPED = "hippocampus-mr-attention-unet"


def ramp(ras: np.ndarray) -> np.ndarray:
    """Intensities around 75 that tell where one is; linear, so that neither blur, interpolation nor a block mean changes them."""
    return (ras - CENTER) @ SLOPE + 75


def grid_over(side: float, axes: np.ndarray, spacing: tuple[float, ...]) -> tuple[np.ndarray, tuple[int, ...]]:
    shape = tuple(int(side / s) for s in spacing)
    return affine_around(CENTER, shape, axes, spacing), shape


def ramp_image(axes: np.ndarray = AXES["RAS"], spacing: tuple[float, ...] = SPACINGS["same"], side: float = 32) -> Image:
    affine, shape = grid_over(side, axes, spacing)
    return Image(ramp(centers(affine, shape))[None], affine, "scan")


def deep_in(image: Image, ras: np.ndarray, margin: float) -> np.ndarray:
    """Points at least so many mm from the faces of the image."""
    half = np.array(image.shape) * image.spacing / 2
    return (np.abs((ras - image.corners().mean(0)) @ (image.affine[:3, :3] / image.spacing)) < half - margin).all(-1)


def dice(first: np.ndarray, second: np.ndarray, value: int) -> float:
    return 2 * ((first == value) & (second == value)).sum() / ((first == value).sum() + (second == value).sum())


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(intensity_model(), "cpu")


@pytest.fixture(scope="module")
def unet(tmp_path_factory) -> Predictor:
    return Predictor(save_unet(tmp_path_factory.mktemp("models") / "unet", patch_size=[24, 24, 24]), "cpu")


@pytest.fixture(scope="module")
def guided_predictor() -> Predictor:
    return Predictor(random_model(guided(3, steps=1), patch_size=list(GUIDED_PATCH), overlap=0.5), "cpu")


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


@pytest.fixture
def noise() -> Image:
    voxels = gaussian_filter(np.random.default_rng(0).normal(size=(12, 10, 8)), 1.5) * 600 + 75
    return Image(voxels[None].astype(np.float32), affine_around(CENTER, voxels.shape, OBLIQUE, (1.1, 0.9, 1.4)), "scan")


def spoil(_network: nn.Module, _inputs: tuple[Tensor, ...], output: NetworkOutput | Tensor) -> None:
    logits = output if isinstance(output, Tensor) else output.logits
    logits[0, 0, 0, 0, 0] = float("nan")


def test_an_overlap_is_that_of_a_card_that_says_so(noise):
    fine = {"patch_size": [16, 16, 16], "spacing_mm": [0.5, 0.5, 0.5]}
    model = random_model(UNET, **fine, overlap=0)
    plain, half = Predictor(model, "cpu")(noise), Predictor(model, "cpu", overlap=0.5)(noise)
    said = Predictor(replace(model, card=make_card(network=UNET, **fine, overlap=0.5)), "cpu")(noise)
    np.testing.assert_array_equal(half.uncertainty.voxels, said.uncertainty.voxels)
    assert np.abs(plain.uncertainty.voxels - half.uncertainty.voxels).max() > 1e-3
    assert (plain.options.overlap, half.options.overlap, model.card.overlap) == (0, 0.5, 0)


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


class TestStorage:
    @pytest.mark.parametrize("roi", [None, Region((21, -31, 42), (11, 9, 8), OBLIQUE)], ids=["whole", "turned region"])
    def test_all_48_orders_of_the_axes_give_the_same_segmentation(self, unet, noise, roi):
        first = unet(noise, roi)
        assert len(np.unique(first.labels.voxels)) > 1
        for storage in storages():
            found = unet(storage.store(noise), roi)
            np.testing.assert_array_equal(storage.unstore(found.labels.voxels), first.labels.voxels)
            np.testing.assert_allclose(storage.unstore(found.uncertainty.voxels), first.uncertainty.voxels, atol=1e-4)
            for name, attention in found.attention.items():
                np.testing.assert_allclose(attention.affine, first.attention[name].affine, atol=1e-9)
                np.testing.assert_allclose(attention.voxels, first.attention[name].voxels, atol=1e-4)

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


class TestRuns:
    def test_a_model_is_read_once_and_gives_the_same_every_time(self, tmp_path, noise):
        folder = save_unet(tmp_path / "unet")
        predictor = Predictor(load_model(folder), "cpu")
        shutil.rmtree(folder)
        first = predictor(noise)
        predictor(ramp_image(side=20), Region(tuple(CENTER), (5, 5, 5)))
        again = predictor(noise)
        for name in ("labels", "uncertainty"):
            np.testing.assert_array_equal(getattr(again, name).voxels, getattr(first, name).voxels)
        for name, attention in first.attention.items():
            np.testing.assert_array_equal(again.attention[name].voxels, attention.voxels)

    def test_a_model_can_be_given_as_a_folder_or_as_an_id(self, tmp_path, monkeypatch, noise):
        folder = save_unet(tmp_path / "unet", id="tiny-unet")
        monkeypatch.setenv("ATTENTIONSEG_MODELS", str(tmp_path))
        by_folder, by_id = (Predictor(model, "cpu")(noise, attention=False) for model in (folder, "tiny-unet"))
        np.testing.assert_array_equal(by_folder.uncertainty.voxels, by_id.uncertainty.voxels)

    def test_progress_goes_from_start_to_end(self, predictor):
        told = []
        found = predictor(ramp_image(), on_progress=lambda *step: told.append(step))
        fractions, stages, left = zip(*told)
        assert (fractions[0], fractions[-1]) == (0, 1)
        assert list(fractions) == sorted(fractions)
        assert len(set(fractions)) > 10
        assert list(dict.fromkeys(stages)) == ["prepare", "network", "restore", "finish", "done"]
        assert all(seconds is None or seconds >= 0 for seconds in left)
        assert left[-1] == 0
        assert list(found.seconds) == ["prepare", "network", "restore", "finish"]

    def test_cancel_at_any_moment_ends_the_run_and_the_next_one_is_as_ever(self, predictor, noise):
        calls = []
        whole = predictor(noise, cancel=lambda: bool(calls.append(0)))
        stages = []
        for moment in range(len(calls)):
            countdown = iter([False] * moment + [True])
            with pytest.raises(Cancelled) as caught:
                predictor(noise, cancel=lambda countdown=countdown: next(countdown))
            stages.append(str(caught.value))
        assert list(dict.fromkeys(stages)) == [f"Cancelled during '{stage}'." for stage in ("prepare", "network", "restore", "finish")]
        np.testing.assert_array_equal(predictor(noise).uncertainty.voxels, whole.uncertainty.voxels)

    @pytest.mark.parametrize("attention", [True, False])
    def test_a_network_that_gives_no_numbers_is_not_taken_for_an_empty_scan(self, noise, attention):
        model = intensity_model()
        model.network.register_forward_hook(spoil)
        with pytest.raises(InputError, match=r"^The model hippocampus-t1 gave NaN or infinite numbers for scan on cpu; .*\.$"):
            Predictor(model, "cpu")(noise, attention=attention)

    def test_stray_parts_go_as_the_card_says(self):
        voxels = np.zeros((1, 20, 18, 16))
        voxels[0, 3:9, 3:9, 3:9] = voxels[0, 14:16, 12:14, 10:12] = 75
        voxels[0, 5, 5, 5] = 0
        image = Image(voxels, np.eye(4))
        kept = Predictor(intensity_model(postprocessing={"largest_component": [1], "fill_holes": [1]}), "cpu")(image).labels.voxels[0]
        assert (kept[3:9, 3:9, 3:9] == 1).all()
        assert kept.sum() == 216

    def test_sides_are_separated_as_the_card_says(self):
        voxels = np.zeros((1, 20, 18, 16))
        voxels[0, 2:8, 3:15, 3:13], voxels[0, 12:18, 3:15, 3:13], voxels[0, 3:5, 5:9, 5:8] = 75, 120, 120
        separated = Predictor(intensity_model(postprocessing={"separate_sides": True}, training={"mirror_swaps": [[1, 2]]}), "cpu")
        found = separated(Image(voxels, np.eye(4)))
        assert (found.labels.voxels[0, 2:8, 3:15, 3:13] == 1).all()
        assert (found.labels.voxels[0, 12:18, 3:15, 3:13] == 2).all()
        # Along the body instead of across it.
        lengthwise = separated(Image(voxels, np.eye(4)[[1, 0, 2, 3]]))
        assert (lengthwise.labels.voxels[0, 3:5, 5:9, 5:8] == 2).all()
        assert any("No plane" in note for note in lengthwise.notes)
