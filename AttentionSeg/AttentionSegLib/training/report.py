"""The HTML report of a training: learning curves, accuracy and the worst cases."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup
from matplotlib.figure import Figure

from ..evaluation.page import MEANS, maps_section
from ..files import write_text
from ..reporting.pages import render

if TYPE_CHECKING:
    from ..evaluation import Scores
    from ..evaluation.map_scores import MapScores
    from ..evaluation.page import Picture
    from ..models import Card
    from .trainer import Trained

INCHES = (10.6, 3.2)
# Largest length of a name in the legend.
MOST_LETTERS = 34
DARK, FAINT = "#1d2430", "#9aa4b2"


def write_training_report(
    path: Path, work: Path, trained: Trained, scores: Scores, pictures: Sequence[Picture], notes: Sequence[str], maps: MapScores | None = None
) -> None:
    """Write the page, completely or not at all.

    Args:
        path: of the page.
        work: folder of the training, with its log.
        trained: result of the training.
        scores: of the model on the validation cases.
        pictures: of the worst cases.
        notes: sentences of the plan.
        maps: scores of the attention maps on the validation cases.
    """
    curves = learning_curves(read_log(work), scores.card, trained.epoch)
    values = {"scores": scores, "trained": trained, "curves": curves, "pictures": pictures, "notes": [*notes, *trained.notes], **maps_section(maps)}
    write_text(path, render("training.html", **MEANS, **values))


def read_log(work: Path) -> dict[int, dict[str, float]]:
    """The numbers that a training has logged, by epoch (from 1) and name; the last ones if an epoch was repeated after an interruption."""
    epochs: dict[int, dict[str, float]] = {}
    for path in sorted((work / "log").glob("version_*/metrics.csv"), key=lambda path: int(path.parent.name.split("_")[1])):
        with path.open(newline="", encoding="utf-8") as stream:
            for row in csv.DictReader(stream):
                numbers = {name: float(value) for name, value in row.items() if value and name not in ("epoch", "step")}
                if row.get("epoch"):
                    epochs.setdefault(int(row["epoch"]) + 1, {}).update(numbers)
    return epochs


def learning_curves(epochs: dict[int, dict[str, float]], card: Card, best: int) -> Markup:
    """The loss, and the Dice of each label in its color with their mean in bold, by epoch, as SVG; a line marks the best epoch."""
    figure = Figure(INCHES, layout="constrained")
    loss, dice = figure.subplots(1, 2)
    curves = [(loss, "loss", DARK, 1.5)]
    curves += [(dice, f"val_dice_{label.value}", "#{:02x}{:02x}{:02x}".format(*label.color), 1.5) for label in card.labels]
    curves += [(dice, "val_dice", DARK, 2.5)]
    for axes, name, color, width in curves:
        points = [(epoch, numbers[name]) for epoch, numbers in sorted(epochs.items()) if math.isfinite(numbers.get(name, math.nan))]
        axes.plot(*zip(*points) if points else ((), ()), color=color, linewidth=width, marker="o", markersize=width + 0.5, label=name)
    for axes, title in ((loss, "Loss"), (dice, "Dice of the validation cases")):
        axes.axvline(best, color=FAINT, linewidth=1, linestyle="--")
        axes.set_title(title, fontsize=10, color=DARK)
        axes.set_xlabel("epoch", color=DARK)
        axes.grid(color="#e3e7ec")
        axes.spines[["top", "right"]].set_visible(False)
        axes.xaxis.get_major_locator().set_params(integer=True)
    legend = dice.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    # Set afterwards, because matplotlib omits labels with a leading `_` from a legend and parses `$` as mathematics.
    for entry, title in zip(legend.get_texts(), [*(label.name for label in card.labels), "mean of the labels"]):
        entry.set(text=title if len(title) <= MOST_LETTERS else f"{title[: MOST_LETTERS - 1]}…", parse_math=False)
    text = io.StringIO()
    figure.savefig(text, format="svg")
    svg = text.getvalue()
    return Markup(svg[svg.index("<svg") :])
