"""Writing of the files of an evaluation: all of them, or none."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..models import Card
from ..writing import all_or_none, csv_text, output_folder, write_text
from .definitions import METRICS
from .statistics import PredictionScores, Scores

if TYPE_CHECKING:
    from .map_scores import MapScores
    from .page import Findings

FILES = ("report.html", "metrics.csv", "summary.json", "comparison.json", "compared_metrics.csv", "compared_summary.json", "maps.csv", "maps.json")


@contextmanager
def results_folder(path: str | os.PathLike) -> Iterator[Path]:
    """Create the folder for the results, which must not contain any; if the block fails, folders that were created are removed."""
    taken = [name for name in FILES if os.path.lexists(Path(path) / name)]
    if taken:
        msg = f"The folder {path} contains an earlier evaluation ({taken[0]}); choose another folder for the results, or move it."
        raise InputError(msg)
    with output_folder(path) as folder:
        yield folder


def write_results(folder: Path, findings: Findings) -> tuple[Path, ...]:
    """Write the results into a folder, and return their paths, the page first."""
    from .page import page

    scores, compared = findings.scores, findings.compared
    texts = {"report.html": page(findings), **tables(scores, findings.maps)}
    if compared is not None:
        models = {name: _identity(card) for name, card in (("model", scores.card), ("minus", compared.card))}
        texts["comparison.json"] = _json({**models, "differences": scores.minus(compared)})
        texts.update({f"compared_{name}": text for name, text in tables(compared).items()})
    with all_or_none(folder) as stage:
        for name, text in texts.items():
            write_text(stage / name, text)
    return tuple(folder / name for name in texts)


def tables(scores: Scores | PredictionScores, maps: MapScores | None = None) -> dict[str, str]:
    """The contents of the files of numbers: `metrics.csv`, `summary.json` and, of maps, `maps.csv` and `maps.json`; see `evaluate`."""
    of_maps = {} if maps is None else {"maps.csv": maps.table(), "maps.json": _json(maps.summary())}
    return {"metrics.csv": _csv(scores), "summary.json": _json(scores.summary()), **of_maps}


def _csv(scores: Scores | PredictionScores) -> str:
    rows = [("case", "label", "metric", "value")]
    for case, by_label in zip(scores.cases, scores.values):
        for label, numbers in zip(scores.labels, by_label):
            rows += ((case, label, metric.key, "NaN" if np.isnan(number) else f"{number:.7g}") for metric, number in zip(METRICS, numbers))
    return csv_text(rows)


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _identity(card: Card) -> dict[str, str]:
    return {"id": card.id, "version": card.version, "weights_sha256": card.weights_sha256}
