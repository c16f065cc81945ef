"""How good the shipped models are, and whether attention helps: accuracy.md, made from labelled scans.

    python Testing/benchmarks/accuracy.py --data DIR --work DIR [--device DEVICE] [--only PART ...]

DIR holds a folder for each name in `DATA`, with `images`, `labels` and `split.csv`. The shipped models are measured by `attentionseg evaluate`.
For the comparisons, networks with and without a part are trained by `attentionseg train` from the recipe of a shipped model, on the same cases in
the same order, and compared case by case. A run that was interrupted goes on with the same command; what the work folder holds is not done again.
Each part has a section of the page, and a run replaces those that it makes and no other.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
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
ABOUT = "# Accuracy\n\nOf the validation cases. In parentheses: 95 % bootstrap interval over the cases.\n\n"
NETWORKS = ("attention-unet", "guided-attention")
UNET, GUIDED, CT_UNET = "hippocampus-mr-attention-unet", "hippocampus-mr-guided-attention", "head-neck-ct-attention-unet"
# The folder of labelled scans of each shipped model.
DATA = {UNET: "hippocampus", GUIDED: "hippocampus", CT_UNET: "hn_ct_oar", "head-neck-ct-guided-attention": "hn_ct_oar"}
METRICS = {"dice": 3, "hausdorff_95_mm": 2, "surface_dice_1mm": 3}
WHOLE = "whole"
VOLUMES = "3D"
# What a network sees of a scan, by the options of `attentionseg train`.
DIMENSIONS = {
    VOLUMES: ("--slices", "none"),
    "2D": ("--slices", "axial"),
    "2.5D": ("--slices", "axial", "--context", "1"),
}
# Between the names of the data and of the network.
DIMENSIONS_OF = "-dimensions-"
# Of the processor, for each of the trainings that compare them.
DIMENSIONS_HOURS = 1 / 12
NO_GATES = {"without gates": {"gate": "none"}}
# Of a short training: over the last 70 steps or so. That of the recipes reaches back to where a short training began.
SHORT_AVERAGE = 0.985


@dataclass(frozen=True)
class Comparison:
    """A network of a recipe and what it is without a part, trained alike.

    Attributes:
        recipe: id of the shipped model whose recipe and data they follow.
        without: other arguments of the network, by what it then lacks.
        seeds: each network is trained with each of them.
        epochs: of a training; None for those of the recipe.
        network, card, training: what else differs from the recipe, for all of its networks alike: arguments of the network, entries of the card,
            settings of the training.
        shipped_seed: the seed for which the shipped model, which its recipe made with it, stands for the whole network and is not trained again.
    """

    recipe: str
    without: dict[str, dict[str, Any]]
    seeds: tuple[int, ...]
    epochs: int | None = None
    network: dict[str, Any] = field(default_factory=dict)
    card: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    shipped_seed: int | None = None

    @property
    def title(self) -> str:
        length = "" if self.epochs is None else f", {self.epochs} epochs"
        changes = self.network | self.card | self.training
        shipped = "" if self.shipped_seed is None else f" ({WHOLE}, seed {self.shipped_seed}: the shipped model)"
        return f"From the recipe of `{self.recipe}`{length}" + "".join(f", `{name}` {value}" for name, value in changes.items()) + shipped

    def folder(self, name: str, seed: int) -> str:
        """The id of the model of one of its trainings."""
        return f"{self.recipe}{'' if self.epochs else '-full'}-{name.replace(' ', '-')}-{seed}"

    def document(self, name: str, seed: int) -> dict[str, Any]:
        """The recipe of one of its trainings."""
        document = json.loads((files("AttentionSegLib.training") / "recipes" / f"{self.recipe}.json").read_text(encoding="utf-8"))
        document["card"]["id"] = self.folder(name, seed)
        document["card"]["network"]["arguments"].update(self.network | self.without.get(name, {}))
        document["card"].update(self.card)
        training = document["training"]
        training.update(self.training, seed=seed, patch_size=document["card"]["patch_size"])
        if self.epochs is not None:
            training.update(epochs=self.epochs, average_decay=SHORT_AVERAGE)
        # Those of the end are the weights that are compared.
        training["validate_every"] = training["epochs"]
        return document


# What differs makes them cheaper: fewer channels, less overlap of the patches, a coarser grid with a third of the voxels, light augmentation.
COMPARISONS = {
    "hippocampus-gates": Comparison(UNET, NO_GATES, (1, 2), 8, network={"channels": [16, 32, 64, 128]}),
    "head-neck-gates": Comparison(CT_UNET, NO_GATES, (1, 2), 30, card={"overlap": 0.25}),
    "head-neck-gates-full": Comparison(CT_UNET, NO_GATES, (1, 2020), shipped_seed=2020),
    "hippocampus-guided": Comparison(
        GUIDED,
        {
            "without position attention": {"position": False},
            "without channel attention": {"channel": False},
            "without guidance": {"guided": False},
        },
        (1,),
        4,
        network={"backbone_width": 0.25},
        card={"spacing_mm": [1.5, 1.5, 1.5], "patch_size": [24, 32, 24]},
        training={"learning_rate": 0.0008, "augmentation": "light"},
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the folders of labelled scans")
    parser.add_argument("--work", type=Path, required=True, help="folder for trainings and evaluations")
    parser.add_argument("--device", default="auto", help="as of attentionseg (default: auto)")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART", help=f"of: {', '.join(PARTS)} (default: all)")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    for part in options.only:
        text = PARTS[part](part, options)
        made = f"Made by `python Testing/benchmarks/accuracy.py --data data --work work --only {part}` on {machine()}."
        page = PAGE.read_text(encoding="utf-8") if PAGE.is_file() else ""
        write_text(PAGE, with_section(page, part, f"{text}\n\n{made}"))
        print(f"{PAGE}: {part}")


def with_section(page: str, part: str, text: str) -> str:
    """A page with a new text for a part, and the other parts as they were, in the order of `PARTS`."""
    texts = dict(section.split("\n\n", 1) for section in page.split("\n## ")[1:])
    texts[part] = text + "\n"
    return ABOUT + "\n".join(f"## {part}\n\n{texts[part]}" for part in PARTS if part in texts)


def shipped(model: str, options: argparse.Namespace) -> str:
    """A shipped model on the validation cases of its data."""
    card = Card.load(find_model(model) / "model.json")
    summary = json.loads((evaluated(model, card, options) / "summary.json").read_text(encoding="utf-8"))
    rows = [[label, *(shown(by_metric[metric], digits) for metric, digits in METRICS.items())] for label, by_metric in summary.items()]
    cases = max(by_metric["dice"]["n"] for by_metric in summary.values())
    table = markdown(["label", "Dice", "95 % Hausdorff distance, mm", "surface Dice at 1 mm"], rows)
    return f"The shipped model, version {card.version}, {cases} cases:\n\n{table}"


def compared(part: str, options: argparse.Namespace) -> str:
    """A network and what it is without a part, trained alike."""
    comparison = COMPARISONS[part]
    names = (WHOLE, *comparison.without)
    dice = {name: np.stack([trained_dice(comparison, name, seed, options) for seed in comparison.seeds]) for name in names}
    rows = []
    for name, by_seed in dice.items():
        difference = None if name == WHOLE else shown(mean_and_interval(np.mean(dice[WHOLE] - by_seed, axis=0)), 4, sign=True)
        each = ", ".join(f"{mean:.3f}" for mean in by_seed.mean(axis=1))
        rows.append([name, shown(mean_and_interval(by_seed.mean(axis=0)), 3), each, difference])
    headings = ["network", "mean Dice of the labels", f"of seed {', '.join(map(str, comparison.seeds))}", "whole minus this, case by case"]
    return f"{comparison.title}, {dice[WHOLE].shape[1]} cases:\n\n{markdown(headings, rows)}"


def dimensions(part: str, options: argparse.Namespace) -> str:
    """A network on volumes, on slices and on slices with their neighbors, as planned by `attentionseg train` for the same time."""
    data, network = part.split(DIMENSIONS_OF)
    dice = {kind: planned_dice(options.data / data, network, kind, options) for kind in DIMENSIONS}
    rows = []
    for kind, values in dice.items():
        difference = None if kind == VOLUMES else shown(mean_and_interval(dice[VOLUMES] - values), 3, sign=True)
        rows.append([kind, shown(mean_and_interval(values), 3), difference])
    headings = ["sees", "mean Dice of the labels", "3D minus this, case by case"]
    length = f"{60 * DIMENSIONS_HOURS:.0f} minutes each on one core, {len(dice[VOLUMES])} cases"
    return f"`{network}` trained by plan, {length}:\n\n{markdown(headings, rows)}"


PARTS: dict[str, Callable[[str, argparse.Namespace], str]] = {
    **dict.fromkeys(DATA, shipped),
    **dict.fromkeys(COMPARISONS, compared),
    **dict.fromkeys([f"{data}{DIMENSIONS_OF}{network}" for data in dict.fromkeys(DATA.values()) for network in NETWORKS], dimensions),
}


def trained_dice(comparison: Comparison, name: str, seed: int, options: argparse.Namespace) -> np.ndarray:
    """Train a network of a comparison, unless the work folder has it or it is shipped, and measure it: mean Dice of the labels of each case."""
    if (name, seed) == (WHOLE, comparison.shipped_seed):
        card = Card.load(find_model(comparison.recipe) / "model.json")
        return case_dice((evaluated(comparison.recipe, card, options) / "metrics.csv").read_text(encoding="utf-8"))
    model = options.work / comparison.folder(name, seed)
    if not model.is_dir():
        plan = options.work / f"{model.name}.json"
        write_text(plan, json.dumps(comparison.document(name, seed), indent=2))
        data = options.data / DATA[comparison.recipe]
        run(["train", *data_options(data), "--plan", str(plan), "--output", str(model), "--device", options.device])
    # As the training measured it, which is what `attentionseg evaluate` would measure.
    return case_dice((options.work / f"{model.name}-training" / "metrics.csv").read_text(encoding="utf-8"))


def planned_dice(data: Path, network: str, kind: str, options: argparse.Namespace) -> np.ndarray:
    """Train a network as planned, unless the work folder has it: mean Dice of the labels of each validation case."""
    model = options.work / f"{data.name}-{network}-{kind.lower().replace('.', '')}"
    if not model.is_dir():
        seen = [*DIMENSIONS[kind], "--hours", str(DIMENSIONS_HOURS), "--device", options.device]
        run(["train", *data_options(data), "--network", network, *seen, "--output", str(model)])
    return case_dice((options.work / f"{model.name}-training" / "metrics.csv").read_text(encoding="utf-8"))


def case_dice(metrics: str) -> np.ndarray:
    """Mean Dice of the labels of each case, in the order of the cases, from the text of a metrics.csv."""
    by_case: dict[str, list[float]] = {}
    for row in csv.DictReader(io.StringIO(metrics)):
        if row["metric"] == "dice":
            by_case.setdefault(row["case"], []).append(float(row["value"]))
    return np.array([np.nanmean(values) for _, values in sorted(by_case.items())])


def evaluated(model: str, card: Card, options: argparse.Namespace) -> Path:
    """The folder of the evaluation of a shipped model, made unless it is there for the same weights."""
    folder = options.work / f"shipped-{model}-{card.weights_sha256[:8]}"
    if not (folder / "summary.json").is_file():
        data = data_options(options.data / DATA[model])
        run(["evaluate", "--model", model, *data, "--role", "val", "--output", str(folder), "--device", options.device])
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
