"""Rows of position attention after a run: of the right patch, of the right voxel, at the right place in the patient."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from AttentionSegLib.errors import InputError
from AttentionSegLib.image import Image
from AttentionSegLib.inference import Prediction, Predictor
from AttentionSegLib.inference.preprocessing import WorkingGrid, prepare, working_grid
from AttentionSegLib.models import Model, load_model
from AttentionSegLib.networks import NetworkOutput
from AttentionSegLib.networks.position_attention import PositionFeatures
from AttentionSegLib.region import Region
from poses import AXES, OBLIQUE, Storage, affine_around
from tiny_models import UNET, guided, make_card, random_model, save_guided
from torch import Tensor, nn

CENTER = np.array([20.0, -30.0, 40.0])
NAMES = [f"position_scale{scale}_step{step}" for step in (1, 2) for scale in (1, 2, 3, 4)]
LAST = NAMES[-1]
# What the card says, the size of a volume on the working grid, where its patches begin along each axis, and the working voxels per voxel of a map.
VOLUMES = {"network": guided(3), "patch_size": [16, 16, 32], "overlap": 0.5}
SLICES = {"network": guided(2), "slices": "coronal", "patch_size": [32, 1, 32], "overlap": 0.5}
CASES = {
    "volume": (VOLUMES, (32, 16, 48), ([0, 16], [0], [0, 16]), (2, 2, 2)),
    "slices": (SLICES, (48, 3, 32), ([0, 16], [0, 1, 2], [0]), (2, 1, 2)),
}


class MirrorNetwork(nn.Module):
    """Each position looks at the one opposite to it about the center of its patch; labels by intensity."""

    total_stride: tuple[int, ...]
    maps_scaled_per_volume: ClassVar = frozenset()

    def __init__(self, spatial_dims: int, stride: int = 2) -> None:
        super().__init__()
        self.total_stride = (stride,) * spatial_dims
        self.attention_strides = {"position_mirror": self.total_stride}

    def forward(self, x: Tensor, return_attention: list[str]) -> NetworkOutput:
        size = tuple(n // s for n, s in zip(x.shape[2:], self.total_stride))
        here = torch.eye(int(np.prod(size))).expand(len(x), -1, -1)
        # In reversed order every voxel stands where its mirror image stood.
        features = PositionFeatures(30 * here.flip(1), here, size)
        logits = torch.cat([x[:, :1] * 0, x[:, :1], x[:, :1] * 2], 1)
        positions = {name: features for name in return_attention}
        return NetworkOutput(logits, {name: features.received() for name in positions}, positions=positions)


def noise_image(shape: tuple[int, ...], axes: np.ndarray = AXES["RAS"], spacing: tuple[float, ...] = (1, 1, 1)) -> Image:
    voxels = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    return Image(voxels[None], affine_around(CENTER, shape, axes, spacing), "scan")


def mirror_predictor(slices: bool) -> Predictor:
    changes = {"slices": "axial", "patch_size": [12, 8, 1]} if slices else {"patch_size": [12, 8, 8]}
    network = {"name": "guided-attention", "arguments": {"spatial_dims": 2 if slices else 3}}
    card = make_card(network=network, spacing_mm=[1.5, 1.0, 1.2], orientation="LPS", overlap=0.5, **changes)
    return Predictor(Model(card, MirrorNetwork(2 if slices else 3).eval(), Path()), "cpu")


def nearest_start(voxel: float, starts: list[int], size: int) -> int:
    return min(starts, key=lambda start: abs(voxel - (start + (size - 1) / 2)))


def points_of(grid: WorkingGrid, shape: tuple[int, ...], count: int) -> np.ndarray:
    """Voxel indices, none of them between two patches or two voxels of a map; the first lies in the corner of the last voxel."""
    points = np.random.default_rng(1).uniform(-0.45, np.array(shape) - 0.55, (count, 3))
    points[0] = np.array(shape) - 0.55
    return points


def to_ras(grid: WorkingGrid, voxel: np.ndarray) -> np.ndarray:
    return grid.affine[:3, :3] @ voxel + grid.affine[:3, 3]


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
        _, shape, starts, stride = case
        model, image = load_model(folder), noise_image(shape)
        grid = working_grid(image, None, model.card, model.card.patch_size, [1, 1, 1])
        assert grid.shape == shape
        volume = prepare(image, None, grid, model.card)
        flat = model.card.slice_axis
        direct = {}
        for first in product(*starts):
            patch = volume[(slice(None), *(slice(a, a + n) for a, n in zip(first, model.card.patch_size)))]
            with torch.inference_mode():
                direct[first] = model.network(patch[None] if flat is None else patch[None].select(2 + flat, 0), NAMES).positions

        seen, sharpness = set(), []
        for index, voxel in enumerate(points_of(grid, shape, 60)):
            first = tuple(nearest_start(v, s, n) for v, s, n in zip(voxel, starts, model.card.patch_size))
            seen.add(first)
            position = [int((v - a + 0.5) // s) for axis, (v, a, s) in enumerate(zip(voxel, first, stride)) if axis != flat]
            name = NAMES[index % len(NAMES)]
            wanted = direct[first][name].row(position).numpy()
            wanted = wanted if flat is None else np.expand_dims(wanted, flat)
            row = prediction.probe.row(to_ras(grid, voxel), name)
            np.testing.assert_allclose(row.voxels[0], wanted, atol=0.01 * wanted.max())
            assert row.voxels.sum(dtype=float) == pytest.approx(1, abs=1e-5)
            np.testing.assert_allclose(row.affine[:3, :3], grid.affine[:3, :3] * stride, atol=1e-12)
            np.testing.assert_allclose(row.affine[:3, 3], to_ras(grid, np.add(first, (np.array(stride) - 1) / 2)), atol=1e-9)
            sharpness.append(wanted.max() * wanted.size)
        assert seen == set(direct)
        # Rows that are the same everywhere would say nothing.
        assert np.median(sharpness) > 3

    def test_names_are_listed_and_the_last_one_is_meant_without_a_name(self, prediction):
        assert prediction.probe.names == NAMES
        unnamed, named = prediction.probe.row(CENTER), prediction.probe.row(tuple(CENTER), LAST)
        np.testing.assert_array_equal(unnamed.voxels, named.voxels)
        assert unnamed.name == named.name == f"{LAST} probe"
        assert unnamed.voxels.dtype == np.float32
        assert not np.array_equal(unnamed.voxels, prediction.probe.row(CENTER, NAMES[0]).voxels)

    def test_of_a_patch_that_the_network_has_to_fill_up(self):
        """One voxel at the deepest level is too few, so that the network puts another patch beside this one."""
        image = noise_image((16, 16, 16))
        model = random_model(guided(3))
        row = Predictor(model, "cpu")(image, attention=LAST).probe.row(CENTER - (3, 2, 6))
        with torch.inference_mode():
            whole = model.network(torch.from_numpy(image.voxels)[None], [LAST]).positions[LAST].row((2, 2, 0))
        assert whole.shape == (8, 8, 16)
        wanted = whole[:, :, :8] / whole[:, :, :8].sum()
        np.testing.assert_allclose(row.voxels[0], wanted.numpy(), atol=0.01 * wanted.max().item())


@pytest.mark.parametrize("slices", [False, True], ids=["volume", "slices"])
class TestPlace:
    @pytest.mark.parametrize("roi", [None, Region((22, -31, 42), (14, 11, 9), OBLIQUE)], ids=["whole", "turned region"])
    @pytest.mark.parametrize("axes", AXES)
    def test_the_largest_share_lies_where_the_voxel_looked(self, slices, axes, roi):
        image = noise_image((21, 15, 18), AXES[axes], (0.9, 1.3, 1.1))
        predictor = mirror_predictor(slices)
        card = predictor.model.card
        probe = predictor(image, roi).probe
        grid = working_grid(image, roi, card, card.patch_size, (2, 2, 1) if slices else (2, 2, 2))
        patches = set()
        for voxel in points_of(grid, [high for _, high in grid.field], 30):
            voxel = np.maximum(voxel, [low for low, _ in grid.field])
            starts = [self.starts(n, p) for n, p in zip(grid.shape, card.patch_size)]
            first = np.array([nearest_start(v, s, n) for v, s, n in zip(voxel, starts, card.patch_size)])
            patches.add(tuple(first))
            stride = np.array((2, 2, 1 if slices else 2))
            own = np.floor((voxel - first + 0.5) / stride)
            opposite = np.array(card.patch_size) / stride - 1 - own
            wanted = to_ras(grid, first + opposite * stride + (stride - 1) / 2)

            row = probe.row(to_ras(grid, voxel))
            peak = np.unravel_index(row.voxels[0].argmax(), row.shape)
            assert row.voxels[0][peak] > 0.999
            np.testing.assert_allclose(row.to_ras(peak), wanted, atol=1e-6)
        assert len(patches) > 3

    @staticmethod
    def starts(size: int, patch: int) -> list[int]:
        """Patches cover half of each other; the last one ends with the volume."""
        if patch == 1:
            return list(range(size))
        step = patch // 2 // 2 * 2
        return sorted({min(start, size - patch) for start in range(0, size - patch + step, step)})

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
            place[axis] += sign * 0.2
            where = ", ".join(f"{c:.0f}" for c in place)
            assert self.refusal(prediction, place) == f"The place ({where}) is outside what was segmented; choose one inside."

    def test_a_name_that_is_not_there(self, prediction):
        for name in ("gate_2", "guided_scale1_step1"):
            assert self.refusal(prediction, CENTER, name) == f"The prediction keeps no rows of '{name}'; choose {', '.join(NAMES)}."

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
        found = Predictor(model, "cpu")(noise_image((16, 16, 2)), attention=[NAMES[2], "guided_scale1_step1", NAMES[1]])
        assert found.probe.names == [NAMES[1], NAMES[2]]
        assert self.refusal(found, CENTER, LAST).endswith(f"; choose {NAMES[1]}, {NAMES[2]}.")
