"""Random changes of intensities: everything stays in its place, and the seed rules all."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from AttentionSegLib.training.augmentation import STRENGTHS, intensity_changes
from AttentionSegLib.training.recipe import AUGMENTATIONS


def body() -> torch.Tensor:
    """A lopsided bright body."""
    volume = torch.zeros(1, 34, 30, 26)
    volume[0, 9:21, 8:16, 8:18] = 4
    volume[0, 17:25, 12:20, 12:16] = 4
    return volume


def test_every_name_of_a_recipe_has_its_strength():
    assert tuple(STRENGTHS) == AUGMENTATIONS


@pytest.mark.parametrize("strength", AUGMENTATIONS)
class TestChanges:
    def changed(self, strength: str, seeds: range) -> list[np.ndarray]:
        changes = intensity_changes(STRENGTHS[strength])
        return [changes.set_random_state(seed)(body()).numpy()[0] for seed in seeds]

    def test_the_body_stays_in_its_place(self, strength):
        inside = body().numpy()[0] > 0
        moved = []
        for image in self.changed(strength, range(60)):
            assert image.shape == inside.shape
            assert np.isfinite(image).all()
            bright = image > (np.percentile(image, 2) + np.percentile(image, 98)) / 2
            assert 2 * (bright & inside).sum() / (bright.sum() + inside.sum()) > 0.8
            moved.append(np.argwhere(bright).mean(0) - np.argwhere(inside).mean(0))
        assert np.abs(moved).max() < 1
        assert np.abs(np.mean(moved, axis=0)).max() < 0.05

    def test_the_seed_rules_it(self, strength):
        first, again = (self.changed(strength, range(20)) for _ in range(2))
        assert all(np.array_equal(a, b) for a, b in zip(first, again))
        assert len({image.tobytes() for image in first}) > 5

    def test_pictures_and_several_channels(self, strength):
        changes = intensity_changes(STRENGTHS[strength], spatial_dims=2)
        for seed in range(20):
            assert changes.set_random_state(seed)(torch.rand(2, 16, 12)).shape == (2, 16, 12)


def test_the_stronger_the_more():
    def change(strength: str) -> float:
        changes = intensity_changes(STRENGTHS[strength])
        return np.mean([(changes.set_random_state(seed)(body()) - body()).abs().mean().item() for seed in range(60)])

    assert change("light") < change("default") < change("strong")
