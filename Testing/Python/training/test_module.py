"""Rates, and what the validation measures."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from AttentionSegLib.datasets.cases import find_cases
from AttentionSegLib.errors import Cancelled
from AttentionSegLib.files import read_image
from AttentionSegLib.inference import Predictor
from AttentionSegLib.models import Model
from AttentionSegLib.networks import build_network
from tiny_training import make_card, make_recipe, write_cases

pytest.importorskip("lightning")
from AttentionSegLib.training.module import SegmentationModule, dice_of_labels
from AttentionSegLib.training.preparation import IGNORED, prepare_cases
from AttentionSegLib.training.trainer import train

pytestmark = pytest.mark.filterwarnings("ignore")


def rates(folder: Path, schedule: str) -> list[float]:
    """Over 100 steps, three of which warm up."""
    card = make_card()
    network = build_network(card.network, 1, 3, card.network_arguments)
    module = SegmentationModule(network, make_recipe(folder, schedule=schedule), card, [], 100, {})
    scheduler = module.configure_optimizers()["lr_scheduler"]["scheduler"]
    found = []
    for _ in range(101):
        found.append(scheduler.get_last_lr()[0])
        scheduler.optimizer.step()
        scheduler.step()
    return found


class TestRate:
    def test_cosine(self, tmp_path):
        expected = [0.01 * 0.5 * (1 + math.cos(math.pi * step / 97)) for step in range(98)]
        assert rates(tmp_path, "cosine")[3:] == pytest.approx(expected)

    def test_polynomial(self, tmp_path):
        assert rates(tmp_path, "polynomial")[3:] == pytest.approx([0.01 * (1 - step / 97) ** 0.9 for step in range(98)])

    @pytest.mark.parametrize("schedule", ["cosine", "polynomial"])
    def test_it_warms_up(self, tmp_path, schedule):
        assert rates(tmp_path, schedule)[:4] == pytest.approx([0.01 / 3, 0.02 / 3, 0.01, 0.01])


class TestDice:
    def test_of_each_label(self):
        random = np.random.default_rng(0)
        found, wanted = random.integers(0, 4, (2, 9, 8, 7))
        wanted[wanted == 3] = 2
        expected = [2 * ((found == v) & (wanted == v)).sum() / ((found == v).sum() + (wanted == v).sum()) for v in (1, 2)]
        dice = dice_of_labels(torch.from_numpy(found), torch.from_numpy(wanted), 3)
        assert dice[:2].tolist() == pytest.approx(expected)
        assert dice[2].isnan()

    def test_of_many_labels_as_bytes(self):
        labels = torch.arange(32, dtype=torch.uint8)
        assert dice_of_labels(labels, labels, 31).tolist() == [1] * 31

    def test_what_nobody_judged_does_not_count(self):
        wanted = torch.tensor([1, 1, 2, IGNORED, IGNORED])
        assert dice_of_labels(torch.tensor([1, 1, 2, 1, 2]), wanted, 2).tolist() == [1, 1]


class TestCancel:
    def test_a_validation_ends_between_two_patches(self, tmp_path):
        card = make_card(patch_size=[8, 8, 8], overlap=0.0)
        recipe = make_recipe(tmp_path, {"patch_size": [8, 8, 8], "overlap": 0.0})
        prepared = prepare_cases(
            find_cases(tmp_path / "images", tmp_path / "labels", write_cases(tmp_path))["val"], card, None, tmp_path / "prepared"
        )
        asked = []
        network = build_network(card.network, 1, 3, card.network_arguments)
        module = SegmentationModule(network, recipe, card, prepared, 1, {}, lambda: asked.append(1) or len(asked) == 3)
        module.on_validation_epoch_start()
        with pytest.raises(Cancelled), torch.no_grad():
            module.validation_step(0, 0)
        assert len(asked) == 3


class TestValidation:
    def test_it_is_what_a_user_of_the_model_gets(self, tmp_path):
        """The Dice of the epoch that was kept, and that of the engine with the network that was returned."""
        # Patches larger than the scans along one axis and smaller along the others; sizes that no stride divides.
        card = {"patch_size": [12, 12, 24], "overlap": 0.5}
        recipe = make_recipe(tmp_path, card, steps_per_epoch=20, epochs=2, validate_every=1)
        cases = find_cases(tmp_path / "images", tmp_path / "labels", write_cases(tmp_path))
        trained = train(recipe, cases, tmp_path / "work", "cpu")
        case = cases["val"][0]
        found = Predictor(Model(make_card(**card), trained.network, tmp_path), "cpu")(read_image(case.images[0])).labels.voxels[0]
        wanted = read_image(case.label).voxels[0]
        dice = dice_of_labels(torch.from_numpy(found.astype(np.int64)), torch.from_numpy(wanted.astype(np.int64)), 2)
        assert trained.dice > 0.3
        assert trained.dice == pytest.approx(dice.mean().item(), abs=2e-3)
