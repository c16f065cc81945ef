"""An HTML page of synthetic patches with their labels, to check a synthesis before training."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...datasets import CaseSet
from ...files import write_text
from ...image import Image
from ...models import Card
from ...reporting.intensities import gray_ends, scaled
from ...reporting.pages import render
from ...reporting.planes import VIEWS, Plane, sample, sample_labels
from ...reporting.sheet import Sheet, fractions, outlines
from ..preparation import IGNORED
from ..recipe import Recipe
from .dataset import DrawnPatches
from .maps import prepare_maps

COUNT = 12
PIXELS, MARGIN = 220, 8


def write_examples(recipe: Recipe, cases: CaseSet, work: Path, path: Path) -> None:
    """Synthesize patches as the training will, and write the page, completely or not at all.

    Args:
        recipe: with `synthesis`.
        cases: with the label maps to train on.
        work: folder of the training, where prepared label maps are stored for it.
        path: of the page.

    Raises:
        InputError: if a label map cannot be used (see `prepare_maps`).
        OutputError: if a file cannot be written.
    """
    card = recipe.draft_card()
    patches = DrawnPatches(prepare_maps(cases.roles["train"][:COUNT], card, recipe, work / "prepared"), card, recipe)
    sheet = Sheet(3 * (PIXELS + MARGIN) + MARGIN, COUNT * (PIXELS + MARGIN) + MARGIN)
    for number in range(COUNT):
        _draw(sheet, MARGIN + number * (PIXELS + MARGIN), patches[number], card)
    write_text(path, render("examples.html", card=card, count=COUNT, picture=sheet.png()))


def _draw(sheet: Sheet, y: int, patch: dict, card: Card) -> None:
    voxels, labels = patch["image"].numpy(), patch["label"].numpy()
    affine = _affine(card, labels.shape[1:])
    image = Image(np.where(labels == IGNORED, np.nan, voxels), affine)
    truth = Image(np.where(labels == IGNORED, 0, labels), affine)
    side = float(max(np.multiply(labels.shape[1:], card.spacing)))
    ends = gray_ends(image.voxels, "OT")
    colors = {label.value: fractions(label.color) for label in card.labels}
    for column, view in enumerate(VIEWS):
        x, plane = MARGIN + column * (PIXELS + MARGIN), Plane(view, (0.0, 0.0, 0.0), side, PIXELS)
        sheet.picture(x, y, scaled(sample(image, plane), ends))
        for value, share in sample_labels(truth, plane).items():
            sheet.lines(x, y, outlines(share), colors[value], width=1.0)


def _affine(card: Card, shape: tuple[int, ...]) -> np.ndarray:
    """The affine of a patch centered at the origin, with the axes of the card."""
    affine = np.eye(4)
    affine[:3, :3] = 0
    for axis, letter in enumerate(card.orientation):
        row, sign = next((row, 1 if letter == ends[0] else -1) for row, ends in enumerate(("RL", "AP", "SI")) if letter in ends)
        affine[row, axis] = sign * card.spacing[axis]
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return affine
