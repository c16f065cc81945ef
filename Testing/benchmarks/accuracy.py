"""How good the shipped models are, and whether attention helps: accuracy.md, made from labelled scans.

    python Testing/benchmarks/accuracy.py --data DIR --work DIR [--device DEVICE] [--only PART]

DIR holds a folder for each name in `DATA`, with `images`, `labels` and `split.csv`. The shipped models are measured by `attentionseg evaluate`.
For the ablation, networks with and without a part are trained by `attentionseg train` from the recipe of a shipped model with fewer epochs, on the
same cases in the same order, and compared case by case. A run that was interrupted goes on with the same command; what the work folder holds is not
done again, so that the parts can be made by several runs side by side and put together by a last one.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "AttentionSeg"))

from AttentionSegLib.cli import main as attentionseg
from AttentionSegLib.evaluation.statistics import mean_and_interval
from AttentionSegLib.files import write_text
from AttentionSegLib.models import Card, find_model
from benchmarks.table import machine, markdown

PAGE = Path(__file__).with_name("accuracy.md")
UNET, GUIDED, CT_UNET = "hippocampus-mr-attention-unet", "hippocampus-mr-guided-attention", "head-neck-ct-attention-unet"
# The folder of labelled scans of each shipped model.
DATA = {UNET: "hippocampus", GUIDED: "hippocampus", CT_UNET: "hn_ct_oar", "head-neck-ct-guided-attention": "hn_ct_oar"}
METRICS = {"dice": 3, "hausdorff_95_mm": 2, "surface_dice_1mm": 3}


@dataclass(frozen=True)
class Variant:
    """A network that is trained for the comparison: the shipped model whose recipe it follows, what it lacks, and its seed."""

    recipe: str
    name: str
    changes: dict[str, Any]
    seed: int

    @property
    def folder(self) -> str:
        return f"{self.recipe}-{self.name.replace(' ', '-')}-{self.seed}"


WHOLE = "whole"
WITHOUT = {
    UNET: {"without gates": {"gate": "none"}},
    CT_UNET: {"without gates": {"gate": "none"}},
    GUIDED: {
        "without position attention": {"position": False},
        "without channel attention": {"channel": False},
        "without guidance": {"guided": False},
    },
}
SEEDS = {UNET: (1, 2), CT_UNET: (1, 2), GUIDED: (1,)}
# Of a training of the ablation: 640, 870 and 320 steps.
EPOCHS = {UNET: 8, CT_UNET: 30, GUIDED: 4}
# The average of the weights is over the last 70 steps or so: that of the recipes reaches back to where these short trainings began.
AVERAGE_DECAY = 0.985
# What makes a comparison cheaper, for all its networks alike: a coarser grid, with a third of the voxels; less overlap of the patches.
CHEAPER = {GUIDED: {"spacing_mm": [1.5, 1.5, 1.5], "patch_size": [24, 32, 24]}, CT_UNET: {"overlap": 0.25}}
SHIPPED = "shipped"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the folders of labelled scans")
    parser.add_argument("--work", type=Path, required=True, help="folder for trainings and evaluations")
    parser.add_argument("--device", default="auto", help="as of attentionseg (default: auto)")
    parser.add_argument("--only", choices=(SHIPPED, *WITHOUT), help="the shipped models alone, or the ablation of one")
    options = parser.parse_args()
    sections = ["# Accuracy", f"Made by `{command(options)}` on {machine()}.", "In parentheses: 95 % bootstrap interval over the cases."]
    if options.only in (None, SHIPPED):
        sections += shipped(options)
    if options.only != SHIPPED:
        sections.append("## Networks without a part, trained alike")
        sections += [ablation(recipe, options) for recipe in WITHOUT if options.only in (None, recipe)]
    write_text(PAGE, "\n\n".join(sections) + "\n")
    print(PAGE)


def command(options: argparse.Namespace) -> str:
    only = f" --only {options.only}" if options.only else ""
    return f"python Testing/benchmarks/accuracy.py --data data --work work{only}"


def shipped(options: argparse.Namespace) -> Iterator[str]:
    """The shipped models on the validation cases of their data."""
    yield "## Shipped models, validation cases"
    for model, data in DATA.items():
        summary = json.loads((evaluated(model, options.data / data, options.work / f"shipped-{model}", options.device) / "summary.json").read_text())
        rows = [[label, *(shown(by_metric[metric], digits) for metric, digits in METRICS.items())] for label, by_metric in summary.items()]
        cases = max(by_metric["dice"]["n"] for by_metric in summary.values())
        yield f"`{model}`, {cases} cases:\n\n" + markdown(["label", "Dice", "95 % Hausdorff distance, mm", "surface Dice at 1 mm"], rows)


def ablation(recipe: str, options: argparse.Namespace) -> str:
    """A network and what it is without a part, trained alike."""
    data = options.data / DATA[recipe]
    dice = {name: trained_dice(recipe, name, changes, data, options) for name, changes in {WHOLE: {}, **WITHOUT[recipe]}.items()}
    rows = []
    for name, by_seed in dice.items():
        difference = None if name == WHOLE else shown(mean_and_interval(np.mean(dice[WHOLE] - by_seed, axis=0)), 4, sign=True)
        each = ", ".join(f"{mean:.3f}" for mean in by_seed.mean(axis=1))
        rows.append([name, shown(mean_and_interval(by_seed.mean(axis=0)), 3), each, difference])
    headings = ["network", "mean Dice of the labels", f"of seed {', '.join(map(str, SEEDS[recipe]))}", "whole minus this, case by case"]
    cases = dice[WHOLE].shape[1]
    cheaper = "".join(f", `{name}` {value}" for name, value in CHEAPER.get(recipe, {}).items())
    return f"From the recipe of `{recipe}`, {EPOCHS[recipe]} epochs{cheaper}, {cases} validation cases:\n\n" + markdown(headings, rows)


def trained_dice(recipe: str, name: str, changes: dict[str, Any], data: Path, options: argparse.Namespace) -> np.ndarray:
    """Mean Dice of the labels [seeds, cases]."""
    return np.stack([variant_dice(Variant(recipe, name, changes, seed), data, options) for seed in SEEDS[recipe]])


def variant_dice(variant: Variant, data: Path, options: argparse.Namespace) -> np.ndarray:
    """Train a variant, unless the work folder has it, and measure it: mean Dice of the labels of each case."""
    model = options.work / variant.folder
    if not model.is_dir():
        plan = options.work / f"{variant.folder}.json"
        write_text(plan, json.dumps(variant_recipe(variant), indent=2))
        run(["train", *data_options(data), "--plan", str(plan), "--output", str(model), "--device", options.device])
    # As the training measured it, which is what `attentionseg evaluate` would measure.
    return case_dice((options.work / f"{variant.folder}-training" / "metrics.csv").read_text(encoding="utf-8"))


def variant_recipe(variant: Variant) -> dict[str, Any]:
    """The recipe of the shipped model with other network arguments, seed and length."""
    epochs = EPOCHS[variant.recipe]
    document = json.loads((files("AttentionSegLib.training") / "recipes" / f"{variant.recipe}.json").read_text(encoding="utf-8"))
    document["card"]["id"] = variant.folder
    document["card"]["network"]["arguments"].update(variant.changes)
    document["card"].update(CHEAPER.get(variant.recipe, {}))
    patch = document["card"]["patch_size"]
    short = {"epochs": epochs, "validate_every": epochs, "average_decay": AVERAGE_DECAY}
    document["training"].update(short, seed=variant.seed, patch_size=patch)
    return document


def case_dice(metrics: str) -> np.ndarray:
    """Mean Dice of the labels of each case, in the order of the cases, from the text of a metrics.csv."""
    by_case: dict[str, list[float]] = {}
    for row in csv.DictReader(io.StringIO(metrics)):
        if row["metric"] == "dice":
            by_case.setdefault(row["case"], []).append(float(row["value"]))
    return np.array([np.nanmean(values) for _, values in sorted(by_case.items())])


def evaluated(model: str, data: Path, folder: Path, device: str) -> Path:
    """The folder of the evaluation of a model on the validation cases, made unless it is there for the same weights."""
    card = Card.load(find_model(model) / "model.json")
    folder = folder.with_name(f"{folder.name}-{card.weights_sha256[:8]}")
    if not (folder / "summary.json").is_file():
        run(["evaluate", "--model", model, *data_options(data), "--role", "val", "--output", str(folder), "--device", device])
    return folder


def data_options(data: Path) -> list[str]:
    return ["--images", str(data / "images"), "--labels", str(data / "labels"), "--split", str(data / "split.csv")]


def run(arguments: Sequence[str]) -> None:
    if attentionseg(arguments):
        sys.exit(f"attentionseg {' '.join(arguments)} failed.")


def shown(numbers: dict[str, float | None], digits: int, sign: bool = False) -> str | None:
    if numbers["mean"] is None:
        return None
    form = f"{'+' if sign else ''}.{digits}f"
    interval = "" if numbers["low"] is None else f" ({numbers['low']:{form}} to {numbers['high']:{form}})"
    return f"{numbers['mean']:{form}}{interval}"


if __name__ == "__main__":
    main()
