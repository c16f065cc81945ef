"""Rows of position attention after a run: of the right patch, of the right voxel, at the right place in the patient."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from AttentionSegLib.errors import InputError
from AttentionSegLib.inference import Prediction, Predictor
from AttentionSegLib.inference.preprocessing import prepare, working_grid
from AttentionSegLib.models import load_model
from AttentionSegLib.region import Region
from mirror_attention import mirror_predictor, nearest, noise_image, starts, to_ras, voxels_in
from placed_scans import CENTER
from poses import AXES, OBLIQUE, Storage
from tiny_models import UNET, guided, random_model, save_guided

NAMES = [f"position_scale{scale}_step{step}" for scale in (1, 2, 3, 4) for step in (1, 2)]
# Rows are kept of each scale's last step.
KEPT = NAMES[1::2]
LAST = NAMES[-1]
# What the card says, the size of a volume on the working grid, and working voxels per voxel of a map.
VOLUMES = {"network": guided(3), "patch_size": [16, 8, 24], "overlap": 0.5}
SLICES = {"network": guided(2), "slices": "coronal", "patch_size": [24, 1, 16], "overlap": 0.5}
CASES = {"volume": (VOLUMES, (24, 8, 32), (2, 2, 2)), "slices": (SLICES, (32, 3, 16), (2, 1, 2))}


@pytest.fixture(scope="module", params=CASES)
def case(request):
    return CASES[request.param]


@pytest.fixture(scope="module")
def folder(case, tmp_path_factory) -> Path:
    return save_guided(tmp_path_factory.mktemp("models") / "guided", **case[0])


@pytest.fixture(scope="module")
def prediction(case, folder) -> Prediction:
    return Predictor(folder, "cpu")(noise_image(case[1]))


class TestRow:
    def test_is_the_attention_of_the_nearest_patch_run_alone(self, case, folder, prediction):
        _, shape, stride = case
        model, image = load_model(folder), noise_image(case[1])
        patch, flat = model.card.patch_size, model.card.slice_axis
        total = np.full(3, model.network.total_stride[0])
        total[flat or 0] = 1 if flat is not None else total[0]
        grid = working_grid(image, None, model.card, patch, total)
        assert grid.shape == shape
        volume = prepare(image, None, grid, model.card)
        direct = {}
        for first in product(*map(starts, shape, patch, total)):
            part = volume[(None, slice(None), *(slice(a, a + n) for a, n in zip(first, patch)))]
            with torch.inference_mode():
                direct[first] = model.network(part if flat is None else part.select(2 + flat, 0), NAMES).positions

        seen, sharpness = set(), []
        for index, voxel in enumerate(voxels_in((0, 0, 0), shape, 64)):
            first = nearest(voxel, list(direct), patch)
            seen.add(first)
            position = np.floor((voxel - first + 0.5) / stride).astype(int)
            name = KEPT[index % len(KEPT)]
            wanted = direct[first][name].row(position if flat is None else np.delete(position, flat)).numpy()
            wanted = wanted if flat is None else np.expand_dims(wanted, flat)
            row = prediction.probe.row(to_ras(grid, voxel), name)
            np.testing.assert_allclose(row.voxels[0], wanted, atol=0.01 * wanted.max())
            assert row.voxels.sum(dtype=float) == pytest.approx(1, abs=1e-5)
            np.testing.assert_allclose(row.affine[:3, :3], grid.affine[:3, :3] * stride, atol=1e-12)
            np.testing.assert_allclose(row.affine[:3, 3], to_ras(grid, np.add(first, (np.array(stride) - 1) / 2)), atol=1e-9)
            sharpness.append(wanted.max() * wanted.size)
        assert seen == set(direct)
        assert len(seen) > 3
        # Rows that are nearly the same everywhere would hide that a row is another's.
        assert np.median(sharpness) > 1.3

    def test_names_are_listed_and_the_most_telling_one_is_meant_without_a_name(self, prediction):
        assert prediction.probe.names == KEPT
        unnamed, named = prediction.probe.row(CENTER), prediction.probe.row(tuple(CENTER), prediction.probe.most_telling)
        np.testing.assert_array_equal(unnamed.voxels, named.voxels)
        assert unnamed.name == named.name == f"{prediction.probe.most_telling} probe"
        other = next(name for name in KEPT if name != prediction.probe.most_telling)
        assert unnamed.voxels.dtype == np.float32
        assert not np.array_equal(unnamed.voxels, prediction.probe.row(CENTER, other).voxels)

    def test_of_every_voxel_of_a_scan_that_reaches_beyond_the_working_grid(self):
        """2.4 voxels of 1 mm become two, and what lies beyond them belongs to the nearest."""
        image = noise_image((19, 16, 16), spacing=(0.125, 1, 1))
        probe = Predictor(random_model(guided(), patch_size=[16, 16, 16]), "cpu")(image, attention=LAST).probe
        rows = [probe.row(image.to_ras((i, 4, 4))).voxels for i in range(19)]
        different = [index for index in range(1, 19) if not np.array_equal(rows[index], rows[index - 1])]
        assert len(different) == 1

    def test_of_slices_as_they_were_acquired(self):
        """A network of slices sees every one of them, however thin."""
        image = noise_image((16, 16, 24), spacing=(1, 1, 0.1))
        model = random_model(guided(2), slices="axial", patch_size=[16, 16, 1])
        probe = Predictor(model, "cpu")(image, attention=LAST).probe
        places = [probe.row(image.to_ras((3, 4, k))).affine[2, 3] for k in range(24)]
        np.testing.assert_allclose(places, [image.to_ras((3, 4, k))[2] for k in range(24)])

    def test_of_a_patch_that_the_network_has_to_fill_up(self):
        """One voxel at the deepest level is too few, so that the network puts another patch beside this one."""
        image = noise_image((16, 16, 16))
        model = random_model(guided(3))
        row = Predictor(model, "cpu")(image, attention=LAST).probe.row(CENTER - (3, 2.5, 6.1))
        with torch.inference_mode():
            whole = model.network(torch.from_numpy(image.voxels)[None], [LAST]).positions[LAST].row((2, 2, 0))
        assert whole.shape > (8, 8, 8)
        wanted = whole[:, :, :8] / whole[:, :, :8].sum()
        np.testing.assert_allclose(row.voxels[0], wanted.numpy(), atol=0.01 * wanted.max().item())


@pytest.mark.parametrize("slices", [False, True], ids=["volume", "slices"])
class TestPlace:
    @pytest.mark.parametrize("roi", [None, Region((22, -31, 42), (14, 11, 9), OBLIQUE)], ids=["whole", "turned region"])
    @pytest.mark.parametrize("axes", ["LPS", "oblique PSL"])
    def test_the_largest_share_lies_where_the_voxel_looked(self, slices, axes, roi):
        image = noise_image((21, 15, 18), AXES[axes], (0.9, 1.3, 1.1))
        predictor = mirror_predictor(slices)
        card = predictor.model.card
        probe = predictor(image, roi).probe
        grid = working_grid(image, roi, card, card.patch_size, (2, 2, 1) if slices else (2, 2, 2))
        stride = np.array((2, 2, 1 if slices else 2))
        firsts = list(product(*map(starts, grid.shape, card.patch_size, stride)))
        seen = set()
        for voxel in voxels_in(*np.transpose(grid.field), 30):
            first = nearest(voxel, firsts, card.patch_size)
            seen.add(first)
            own = np.floor((voxel - first + 0.5) / stride)
            opposite = np.array(card.patch_size) / stride - 1 - own
            row = probe.row(to_ras(grid, voxel))
            peak = np.unravel_index(row.voxels[0].argmax(), row.shape)
            assert row.voxels[0][peak] > 0.999
            np.testing.assert_allclose(row.to_ras(peak), to_ras(grid, first + opposite * stride + (stride - 1) / 2), atol=1e-6)
        assert len(seen) > 3

    def test_the_order_of_storage_does_not_matter(self, slices):
        image = noise_image((20, 15, 12), OBLIQUE, (0.9, 1.3, 1.1))
        predictor = mirror_predictor(slices)
        straight = predictor(image).probe
        for storage in (Storage((1, 2, 0), (True, False, True)), Storage((2, 1, 0), (False, True, False))):
            turned = predictor(storage.store(image)).probe
            for offset in product((-5, 3.2), repeat=3):
                first, second = straight.row(CENTER + offset), turned.row(CENTER + offset)
                np.testing.assert_allclose(second.affine, first.affine, atol=1e-9)
                np.testing.assert_allclose(second.voxels, first.voxels, atol=1e-6)


class TestNothingToProbe:
    NONE = "The prediction has no position attention to probe; use a guided-attention model and ask for its position maps."

    def refusal(self, prediction: Prediction, *arguments) -> str:
        with pytest.raises(InputError) as caught:
            prediction.probe.row(*arguments)
        return str(caught.value)

    def test_outside(self, prediction, case):
        half = np.array(case[1]) / 2
        for axis, sign in product(range(3), (-1, 1)):
            place = CENTER.copy()
            place[axis] += sign * (half[axis] - 0.1)
            prediction.probe.row(place)
            place[axis] += sign * 0.4
            where = ", ".join(f"{c:.0f}" for c in place)
            assert self.refusal(prediction, place) == f"The place ({where}) is outside what was segmented; choose one inside."

    def test_what_only_fills_a_patch_is_outside(self):
        found = Predictor(random_model(guided(2), slices="axial", patch_size=[16, 16, 1]), "cpu")(noise_image((6, 16, 2)))
        found.probe.row(CENTER + np.array([2.5, 0, 0]))
        assert self.refusal(found, CENTER + np.array([4, 0, 0])).startswith("The place (24, ")

    def test_a_place_that_is_none(self, prediction):
        assert self.refusal(prediction, (20, float("nan"), 40)) == "The place (20, nan, 40) is outside what was segmented; choose one inside."

    def test_a_name_that_is_not_there(self, prediction):
        for name in ("gate_2", "guided_scale1_step2", NAMES[0]):
            assert self.refusal(prediction, CENTER, name) == f"The prediction keeps no rows of '{name}'; choose {', '.join(KEPT)}."

    def test_a_network_without_position_attention(self):
        found = Predictor(random_model(UNET), "cpu")(noise_image((16, 16, 16)))
        assert found.probe.names == []
        assert self.refusal(found, CENTER) == self.refusal(found, CENTER, LAST) == self.NONE

    @pytest.mark.parametrize("attention", [False, [], "guided_scale1_step1"])
    def test_a_run_without_position_maps_keeps_none(self, attention):
        model = random_model(guided(2), slices="axial", patch_size=[16, 16, 1])
        found = Predictor(model, "cpu")(noise_image((16, 16, 2)), attention=attention)
        assert found.probe.names == []
        assert self.refusal(found, CENTER) == self.NONE

    def test_a_run_keeps_the_maps_that_were_asked_for_alone(self):
        model = random_model(guided(2), slices="axial", patch_size=[16, 16, 1])
        found = Predictor(model, "cpu")(noise_image((16, 16, 2)), attention=[NAMES[2], "guided_scale1_step1", *NAMES[:2]])
        assert found.probe.names == [NAMES[1], NAMES[2]]
        assert self.refusal(found, CENTER, LAST).endswith(f"; choose {NAMES[1]}, {NAMES[2]}.")
