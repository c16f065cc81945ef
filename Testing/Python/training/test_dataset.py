"""The patches of a training and their order: small organs are found, sides are kept apart, and every number has its patch."""

from __future__ import annotations

import pickle
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from AttentionSegLib.networks.attention_unet import AttentionUNet
from AttentionSegLib.planning.grid import REGION_SHIFT_MM
from AttentionSegLib.training.augmentation import STRENGTHS, Strength
from AttentionSegLib.training.dataset import CaseSampler, PatchDataset, StepSampler
from AttentionSegLib.training.losses import NetworkLoss, NetworkOutput
from AttentionSegLib.training.preparation import IGNORED, prepare_cases
from tiny_training import make_card, make_labels, make_recipe, make_volumes, written_case

ORGAN = (slice(9, 10), slice(50, 51), slice(30, 33))


STILL = Strength((0, 0), (0, 1, 1), (0, 0), (0, 0), (0, 1, 1), (0, 0), (0, 0), (0, 0), (0, 0), (0, 1), (0, 1, 1))


@pytest.fixture(autouse=True)
def _light_changes_nothing(monkeypatch):
    monkeypatch.setitem(STRENGTHS, "light", STILL)


def make_dataset(
    folder: Path, image: np.ndarray, labels: np.ndarray, card: dict | None = None, affine: np.ndarray | None = None, **settings
) -> PatchDataset:
    """Of one case that is neither changed nor mirrored, unless the settings say so."""
    recipe = make_recipe(folder, **{"augmentation": "light", "mirror_axes": [], **settings})
    card = make_card(**(card or {}))
    return PatchDataset(prepare_cases([written_case(folder, image, labels, affine)], card, recipe.ignored_label, folder / "prepared"), card, recipe)


def noise(shape: tuple[int, int, int]) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def cube(labels: int = 2) -> np.ndarray:
    """64 voxels wide, with a large organ of label 1 and one of three voxels with the last label."""
    volume = np.zeros((64, 64, 64), np.uint8)
    volume[20:60, 5:40, 10:50] = 1
    volume[ORGAN] = labels
    return volume


class TestPlaces:
    def found(self, folder: Path, share: float, count: int = 60) -> float:
        """Share of the patches that show the smallest organ."""
        dataset = make_dataset(folder, noise((64, 64, 64)), cube(), foreground_share=share)
        return np.mean([(dataset[number]["label"] == 2).any().item() for number in range(count)])

    def test_an_organ_of_three_voxels_is_as_likely_as_a_large_one(self, tmp_path):
        assert self.found(tmp_path, 1.0) == pytest.approx(0.5, abs=0.2)

    def test_the_share_of_patches_around_labels(self, tmp_path):
        assert self.found(tmp_path, 0.0) < 0.1
        assert self.found(tmp_path, 0.5) == pytest.approx(0.25, abs=0.15)

    def test_the_rest_is_taken_anywhere_within_the_scan(self, tmp_path):
        place = np.arange(64**3, dtype=np.float32).reshape(64, 64, 64)
        window = {"kind": "window", "window": [-1, 64**3], "mean": 0, "std": 64**3}
        inputs = [{"name": "CT", "modality": "CT", "normalization": window}]
        dataset = make_dataset(tmp_path, place, cube(), {"inputs": inputs}, foreground_share=0.0)
        starts = np.array([dataset[number]["image"][0, 0, 0, 0].item() * 64 for number in range(60)])
        assert starts.min() < 8
        assert 40 < starts.max() <= 48

    def test_patches_at_the_border_hold_nothing_from_beyond_it(self, tmp_path):
        dataset = make_dataset(tmp_path, 5 + noise((64, 64, 64)), cube(), {"labels": make_labels(2)}, foreground_share=1.0)
        assert all((dataset[number]["image"] != 0).float().mean() > 0.99 for number in range(30))

    def test_a_scan_smaller_than_a_patch_lies_in_its_middle(self, tmp_path):
        image, labels = make_volumes(0, (18, 17, 10))
        item = make_dataset(tmp_path, image, labels)[0]
        assert item["image"].shape == item["label"].shape == (1, 16, 16, 16)
        assert (item["image"][0, :, :, :3] == 0).all()
        assert (item["image"][0, :, :, 13:] == 0).all()
        assert (item["image"][0, :, :, 3:13] != 0).all()

    def test_a_region_is_shown_about_its_middle(self, tmp_path):
        labels = np.zeros((40, 40, 40), np.uint8)
        labels[20, 20, 20] = 1
        region = {"field_of_view": {"kind": "region", "size_mm": [40, 40, 40]}}
        dataset = make_dataset(tmp_path, noise((40, 40, 40)), labels, region, foreground_share=1.0, patch_size=[32, 32, 32])
        places = torch.stack([dataset[number]["label"][0].nonzero()[0] for number in range(40)])
        assert (places.amin(0) >= 16 - REGION_SHIFT_MM).all()
        assert (places.amax(0) <= 16 + REGION_SHIFT_MM).all()
        assert (places.amax(0) - places.amin(0) > REGION_SHIFT_MM).all()

    def test_patches_far_smaller_than_a_region_come_from_all_of_it(self, tmp_path):
        labels = np.zeros((40, 40, 40), np.uint8)
        labels[:2] = 1
        region = {"field_of_view": {"kind": "region", "size_mm": [40, 40, 40]}}
        dataset = make_dataset(tmp_path, noise((40, 40, 40)), labels, region, foreground_share=0.0)
        seen = sum(bool((dataset[number]["label"] == 1).any()) for number in range(100))
        assert 2 < seen < 20

    @pytest.mark.parametrize("thickness", [1.0, 2.5, 6.0])
    @pytest.mark.parametrize("axis", [0, 2])
    def test_a_region_of_thick_slices_is_shown_with_its_structure(self, tmp_path, thickness, axis):
        shape, spacing = [32, 32, 32], [1.0, 1.0, 1.0]
        shape[axis], spacing[axis] = int(32 / thickness), thickness
        labels = np.zeros(shape, np.uint8)
        # Not in the middle of the crop, as structures that were drawn are not.
        labels[tuple(slice(size // 8, size * 5 // 8) for size in shape)] = 1
        card = {"field_of_view": {"kind": "region", "size_mm": [32, 32, 32]}, "spacing_mm": spacing}
        patch = [-(-size // 8) * 8 for size in shape]
        affine = np.diag([*spacing, 1.0])
        dataset = make_dataset(tmp_path, noise(tuple(shape)), labels, card, affine, patch_size=patch, augmentation="strong")
        shown = [(dataset[number]["label"] == 1).sum().item() / labels.sum() for number in range(40)]
        assert min(shown) >= 0.5

    def test_half_of_the_patches_of_a_region_see_tissue_beyond_it(self, tmp_path):
        labels = np.zeros((16, 16, 16), np.uint8)
        labels[6:10, 6:10, 6:10] = 1
        region = {"field_of_view": {"kind": "region", "size_mm": [16, 16, 16]}}
        dataset = make_dataset(tmp_path, noise((16, 16, 16)), labels, region)
        empty = [(dataset[number]["image"] == 0).any().item() for number in range(80)]
        assert np.mean(empty) == pytest.approx(0.5, abs=0.2)
        assert all(dataset[number]["label"].sum() == 4**3 for number in range(80))

    def test_pictures_of_a_2d_network(self, tmp_path):
        slices = {"slices": "axial", "patch_size": [16, 16, 1], "network": {"name": "attention-unet", "arguments": {"spatial_dims": 2}}}
        patch = {"patch_size": [16, 16, 1], "augmentation": "strong", "foreground_share": 1.0}
        dataset = make_dataset(tmp_path, noise((64, 64, 64)), cube(), slices, **patch)
        items = [dataset[number] for number in range(20)]
        assert all(item["image"].shape == item["label"].shape == (1, 16, 16, 1) for item in items)
        assert sum((item["label"] > 0).any().item() for item in items) > 15

    def test_neighbors_lie_beside_their_slice(self, tmp_path):
        places = np.broadcast_to(np.arange(8, dtype=np.float32), (16, 16, 8))
        labels = np.broadcast_to(np.arange(8) % 2 + 1, (16, 16, 8)).astype(np.uint8)
        card = {"slices": "axial", "context": 1, "patch_size": [16, 16, 1], "network": {"name": "attention-unet", "arguments": {"spatial_dims": 2}}}
        dataset = make_dataset(tmp_path, places, labels, card, patch_size=[16, 16, 1])
        levels = np.unique(dataset.cases[0].image)
        for number in range(20):
            item = dataset[number]
            assert item["image"].shape == (3, 16, 16, 1)
            seen = [int(np.abs(levels - level).argmin()) for level in item["image"][:, 8, 8, 0].tolist()]
            assert seen == [max(seen[1] - 1, 0), seen[1], min(seen[1] + 1, 7)]
            assert item["label"].unique().tolist() == [seen[1] % 2 + 1]

    def test_slices_of_a_region_come_from_all_of_it(self, tmp_path):
        card = {"slices": "axial", "patch_size": [16, 16, 1], "network": {"name": "attention-unet", "arguments": {"spatial_dims": 2}}}
        card["field_of_view"] = {"kind": "region", "size_mm": [16, 16, 16]}
        labels = np.broadcast_to(np.arange(16) % 2 + 1, (16, 16, 16)).astype(np.uint8)
        image = np.broadcast_to(np.arange(16, dtype=np.float32), (16, 16, 16))
        dataset = make_dataset(tmp_path, image, labels, card, patch_size=[16, 16, 1])
        assert len({dataset[number]["image"].max().item() for number in range(80)}) > 12


class TestMirroring:
    def sides(self, folder: Path, orientation: str = "RAS", **settings) -> set[tuple[int, ...]]:
        """Labels along the left-right axis, as patches show them."""
        image, labels = noise((16, 16, 16)), np.zeros((16, 16, 16), np.uint8)
        labels[:6], labels[10:] = 3, 4
        dataset = make_dataset(folder, image, labels, {"labels": make_labels(4), "orientation": orientation}, **settings)
        axis = orientation.index("R")
        rows = [dataset[number]["label"][0].movedim(axis, 0)[:, 8, 8].tolist() for number in range(30)]
        return {tuple(dict.fromkeys(row)) for row in rows}

    def test_pairs_are_exchanged(self, tmp_path):
        assert self.sides(tmp_path, mirror_axes=[0], mirror_swaps=[[3, 4]]) == {(3, 0, 4)}

    def test_without_pairs_the_sides_change(self, tmp_path):
        assert self.sides(tmp_path, mirror_axes=[0]) == {(3, 0, 4), (4, 0, 3)}

    def test_from_front_to_back_no_side_changes(self, tmp_path):
        assert self.sides(tmp_path, mirror_axes=[1, 2], mirror_swaps=[[3, 4]]) == {(3, 0, 4)}

    def test_left_and_right_are_where_the_card_says(self, tmp_path):
        assert self.sides(tmp_path, "ASR", mirror_axes=[2], mirror_swaps=[[3, 4]]) == {(3, 0, 4)}
        assert self.sides(tmp_path, "ASR", mirror_axes=[0], mirror_swaps=[[3, 4]]) == {(3, 0, 4)}

    def test_image_and_label_are_mirrored_together(self, tmp_path):
        labels = np.zeros((16, 16, 16), np.uint8)
        labels[2:7, 1:9, 3:8] = 1
        dataset = make_dataset(tmp_path, 100.0 * labels + noise(labels.shape), labels, mirror_axes=[0, 1, 2])
        middles = []
        for number in range(40):
            item = dataset[number]
            assert torch.equal(item["image"] > item["image"].mean(), item["label"] == 1)
            middles.append(item["label"][0].nonzero().float().mean(0))
        assert len({tuple(middle.tolist()) for middle in middles}) == 8


class TestIgnored:
    def test_what_the_network_says_there_has_no_influence_on_the_loss(self, tmp_path):
        image, labels = make_volumes(0)
        labels[:6] = 200
        item = make_dataset(tmp_path, image, labels, ignored_label=200, mirror_axes=[0, 1, 2], augmentation="strong")[0]
        label = item["label"][None]
        ignored = label == IGNORED
        assert 0.1 < ignored.float().mean() < 0.6
        loss = NetworkLoss(AttentionUNet(3, 1, 3, channels=(2, 4)).loss_terms, 3, ignored_label=IGNORED)
        logits = torch.randn(1, 3, 16, 16, 16)
        other = torch.where(ignored, 10 * torch.randn_like(logits), logits)
        assert loss(NetworkOutput(other), label).total == loss(NetworkOutput(logits), label).total


class TestNumbers:
    def test_a_number_gives_the_same_patch_to_any_process_at_any_time(self, tmp_path):
        dataset = make_dataset(tmp_path, *make_volumes(0), augmentation="strong", mirror_axes=[0])
        elsewhere = pickle.loads(pickle.dumps(dataset))
        for number in (5, 0, 5, 123456):
            here, there = dataset[number], elsewhere[number]
            assert torch.equal(here["image"], there["image"])
            assert torch.equal(here["label"], there["label"])
        assert not torch.equal(dataset[0]["image"], dataset[1]["image"])
        assert type(here["image"]) is type(here["label"]) is torch.Tensor

    def test_another_seed_gives_other_patches(self, tmp_path):
        first, second = (make_dataset(tmp_path, *make_volumes(0), augmentation="strong", seed=seed)[0] for seed in (1, 2))
        assert not torch.equal(first["image"], second["image"])

    def test_every_pass_shows_every_case_once_in_an_order_of_its_own(self, tmp_path):
        cases = [written_case(tmp_path, *make_volumes(seed), case=f"case_{seed}") for seed in range(5)]
        recipe, card = make_recipe(tmp_path, augmentation="light", mirror_axes=[], patch_size=[18, 17, 16]), make_card()
        dataset = PatchDataset(prepare_cases(cases, card, None, tmp_path / "prepared"), card, recipe)
        shown = [dataset[number]["image"].numpy().tobytes() for number in range(20)]
        passes = [tuple(shown[first : first + 5]) for first in range(0, 20, 5)]
        assert all(set(order) == set(shown) and len(set(order)) == 5 for order in passes)
        assert len(set(passes)) > 1


def place(step: int = 0, rank: int = 0, processes: int = 1) -> SimpleNamespace:
    return SimpleNamespace(global_step=step, global_rank=rank, world_size=processes)


class TestSamplers:
    def test_numbers_count_on_from_epoch_to_epoch(self):
        first, second = (list(StepSampler(2, 3, place(step))) for step in (0, 3))
        assert (first, second) == ([[0, 1], [2, 3], [4, 5]], [[6, 7], [8, 9], [10, 11]])

    def test_in_the_middle_of_an_epoch_the_rest_of_it_follows(self):
        sampler = StepSampler(2, 3, place(4))
        assert list(sampler) == [[8, 9], [10, 11]]
        assert len(sampler) == 3

    def test_processes_share_a_batch(self):
        shares = [list(StepSampler(4, 2, place(2, rank, 2))) for rank in (0, 1)]
        assert shares == [[[8, 10], [12, 14]], [[9, 11], [13, 15]]]

    @pytest.mark.parametrize(("count", "processes"), [(5, 1), (5, 2), (1, 3), (6, 3)])
    def test_every_case_is_validated_by_equally_busy_processes(self, count, processes):
        shares = [list(CaseSampler(count, place(0, rank, processes))) for rank in range(processes)]
        assert {case for share in shares for case in share} == set(range(count))
        assert {len(share) for share in shares} == {len(CaseSampler(count, place(0, 0, processes)))}
