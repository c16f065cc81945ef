"""A training of a few steps that is interrupted where a test wants it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from AttentionSegLib.datasets.cases import find_cases
from AttentionSegLib.training.recipe import Recipe
from tiny_training import make_document, write_cases, write_recipe

pytest.importorskip("lightning")
from AttentionSegLib.training.trainer import Trained, train

# Dropout, because its random numbers too must go on where they were.
NETWORK = {"name": "attention-unet", "arguments": {"spatial_dims": 3, "channels": [4, 8], "norm": "instance", "dropout": 0.2}}
EPOCHS, STEPS = 3, 4


class Folder:
    """A folder with a recipe of 3 epochs, 4 steps each, and its cases."""

    def __init__(self, path: Path, **settings) -> None:
        self.path = path
        self.split = write_cases(path)
        self.write({"epochs": EPOCHS, "steps_per_epoch": STEPS, "validate_every": 2, **settings})

    def write(self, settings: dict) -> None:
        write_recipe(self.path, make_document({"network": NETWORK}, **settings))

    def train(self, work: str = "work", **arguments) -> Trained:
        recipe = Recipe.load(self.path / "recipe.json")
        cases = find_cases(self.path / "images", self.path / "labels", self.split)
        return train(recipe, cases, self.path / work, **{"device": "cpu", **arguments})

    def last(self, work: str = "work") -> dict:
        return torch.load(self.path / work / "last.ckpt", weights_only=True)


def after_step(number: int, error: BaseException):
    """A listener that raises after so many steps."""
    left = number

    def on_progress(_done, stage, _seconds):
        nonlocal left
        left -= stage.startswith("epoch")
        if left == 0:
            raise error

    return on_progress
