"""The report of an evaluation as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, NamedTuple

import numpy as np
from matplotlib.ticker import MaxNLocator

from ..map_kinds import map_kind
from ..reporting.pages import render
from ..reporting.spread import Spread, across, spread
from .definitions import EMPTY_RULE, MEAN, METRICS, Metric
from .map_measures import MAP_MEASURES, SANITY_RULE, TITLES, WHY
from .map_pictures import MapPictures
from .map_scores import MapScores
from .statistics import RESAMPLES, Scores

# Values for the table of means in a page, besides the scores.
MEANS = {"metrics": METRICS, "resamples": RESAMPLES, "empty_rule": EMPTY_RULE}


@dataclass(frozen=True)
class Picture:
    """The picture of one case: its id, the PNG, its mean Dice and that of each label."""

    case: str
    png: bytes
    mean_dice: float
    dice: tuple[float, ...]


@dataclass(frozen=True)
class Data:
    """The data of an evaluation, as the user named it, and sentences on accepted deviations of label maps."""

    images: str
    labels: str
    split: str | None
    role: str | None
    notes: tuple[str, ...] = ()


class Tick(NamedTuple):
    """A number on an axis, and its horizontal position in pixels."""

    number: str
    x: float


class Plot(NamedTuple):
    """The distribution of a metric: ticks of the axis, empty if it is undefined in every case, and a row for each label."""

    metric: Metric
    ticks: list[Tick]
    spreads: list[Spread]


@dataclass(frozen=True, eq=False)
class Findings:
    """What an evaluation found.

    Attributes:
        scores: of the model.
        compared: of the model that it was compared with.
        data: of the evaluation.
        pictures: of the worst cases.
        maps, map_pictures: scores and pictures of the attention maps, if they were measured.
    """

    scores: Scores
    compared: Scores | None
    data: Data
    pictures: Sequence[Picture]
    maps: MapScores | None = None
    map_pictures: MapPictures | None = None


def page(findings: Findings) -> str:
    """The page as HTML: models and data, means, differences, distribution of the cases, evaluation of the maps, and pictures of the worst cases."""
    plots = [_plot(findings.scores, metric, findings.scores.values[:, :, column]) for column, metric in enumerate(METRICS)]
    values = {**vars(findings), **maps_section(findings.maps, findings.map_pictures)}
    return render("evaluation.html", **MEANS, **values, plots=plots, monai=version("monai"))


def maps_section(maps: MapScores | None, pictures: MapPictures | None = None) -> dict[str, Any]:
    """The values of a page for its section on the maps, with the measures that were taken."""
    if maps is None:
        return {"maps": None}
    summary = maps.summary()
    measures = tuple(measure for measure in MAP_MEASURES if any(measure.key in found for found in summary[MEAN].values()))
    titles = {name: TITLES.get(name) or map_kind(name, maps.maps).title for name in maps.maps}
    if maps.explained:
        titles[WHY] = f"{TITLES[WHY]} ({maps.explained})"
    return {"maps": maps, "worth": summary, "map_titles": titles, "map_measures": measures, "sanity_rule": SANITY_RULE, "map_pictures": pictures}


def _plot(scores: Scores, metric: Metric, values: np.ndarray) -> Plot:
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return Plot(metric, [], [])
    low, high = float(finite.min()), float(finite.max())
    ticks = [float(tick) for tick in MaxNLocator(6, steps=[1, 2, 5, 10]).tick_values(low, high if high > low else low + 1)]
    ends = ticks[0], ticks[-1]
    spreads = []
    for label, column in zip(scores.card.labels, values.T):
        numbers = {case: value for case, value in zip(scores.cases, column.tolist()) if np.isfinite(value)}
        spreads.append(spread(label, numbers, f"{{:.{metric.digits}f}}", ends))
    return Plot(metric, [Tick(f"{tick:g}", across(tick, ends)) for tick in ticks], spreads)
