"""Hippocampi in whole heads, as they are and changed, with the regions found by a template and by the model of the brain.

python Testing/benchmarks/finder_kinds.py --heads HEADS [--model MODEL] [--changes CHANGE ...] [--first N]

HEADS is as for head_changes.py. For each kind: scans that were refused, mean Dice of the hippocampi in the others, and seconds of processor time
with the segmentation.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "AttentionSeg"))

from AttentionSegLib.errors import InputError
from AttentionSegLib.image import Image
from AttentionSegLib.inference import Predictor
from AttentionSegLib.models import find_model, load_model
from AttentionSegLib.models.found_by import FindingModel
from benchmarks.head_changes import NAMES, trials
from benchmarks.table import machine, markdown

FINDER = FindingModel.parse("brain-mr-attention-unet:right=Right hippocampus,left=Left hippocampus")
CHANGES = ("as they are", "inverted", "gamma", "stripped", "slices", "lower")


@dataclass
class Found:
    """By one kind, of all scans of a change."""

    refused: int = 0
    dice: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    @property
    def cells(self) -> list[object]:
        return [self.refused, float(np.mean(self.dice)) if self.dice else "", float(np.mean(self.seconds)) if self.seconds else ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--heads", required=True, type=Path, help="folder with images/ and labels/")
    parser.add_argument("--model", default="hippocampus-mr-attention-unet", help="id or folder of the model (default: %(default)s)")
    parser.add_argument("--changes", nargs="+", default=CHANGES, help="only changes that begin so (default: all but turned and stored otherwise)")
    parser.add_argument("--first", type=int, help="only the first N heads (default: all)")
    options = parser.parse_args()
    model = load_model(find_model(options.model))
    predictors = Predictor(model), Predictor(replace(model, card=replace(model.card, found_by=FINDER)))
    found: dict[str, tuple[Found, Found]] = {}
    for change, image, reference in trials(options.heads, options.first):
        if change.startswith(tuple(options.changes)):
            for predictor, kind in zip(predictors, found.setdefault(change, (Found(), Found()))):
                look(predictor, image, reference, kind)
    kinds = [f"{kind}: {what}" for kind in ("template", "model") for what in ("refused", "Dice", "s")]
    print(markdown(["change", *kinds], [[change, *template.cells, *by_model.cells] for change, (template, by_model) in found.items()]))
    print(f"\n{machine()}.")


def look(predictor: Predictor, image: Image, reference: np.ndarray, kind: Found) -> None:
    started = time.process_time()
    try:
        prediction = predictor(image, attention=False)
    except InputError:
        kind.refused += 1
        return
    kind.seconds.append(time.process_time() - started)
    for side in ("Right", "Left"):
        values = [label.value for label in prediction.card.labels if label.laterality and label.laterality.meaning == side]
        one, other = np.isin(prediction.labels.voxels[0], values), reference == NAMES.index(f"{side} hippocampus") + 1
        kind.dice.append(2 * (one & other).sum() / (one.sum() + other.sum()))


if __name__ == "__main__":
    main()
