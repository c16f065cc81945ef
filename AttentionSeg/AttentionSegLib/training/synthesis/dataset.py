"""Patches with newly synthesized images, in the order of `Patches`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ...models import Card
from ..dataset import Patches
from ..recipe import Recipe
from .generator import Generator
from .maps import Numbering, PreparedMap


class DrawnPatches(Patches[PreparedMap]):
    """Patches of label maps, each with a random contrast, acquisition and deformation; for the items see `Patches`.

    Args:
        cases: label maps to train on.
        card: of the new model.
        recipe: settings, with `synthesis`.
    """

    def __init__(self, cases: Sequence[PreparedMap], card: Card, recipe: Recipe) -> None:
        super().__init__(cases, card, recipe)
        numbering = Numbering.of(len(card.labels), recipe.drawing, recipe.ignored_label, recipe.mirror_swaps)
        self.generator = Generator(recipe.drawing, numbering.learned, numbering.looks, numbering.tissues, card.spacing, card.inputs[0])

    def _patch(self, case: PreparedMap, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        values, steps = case.values, np.array(self.recipe.drawing.steps)
        voxels = case.label_voxels
        voxels[:, 1:] //= steps.astype(voxels.dtype)
        start = self._start(voxels, -(-np.array(values.shape) // steps), rng)
        middle = (start + (np.array(self.recipe.patch_size) - 1) / 2) * steps
        image, label = self.generator.draw(values, middle, self.recipe.patch_size, rng)
        return torch.from_numpy(image)[None], torch.from_numpy(label)[None]
