"""Scores of the attention maps of a model, with trained and with random weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..writing import csv_text
from .definitions import MEAN
from .map_measures import MAP_MEASURES, REFERENCES
from .statistics import mean_and_interval, mean_of_labels

TRAINED, RANDOM = "trained", "random"
WEIGHTS = (TRAINED, RANDOM)
_KEYS = [measure.key for measure in MAP_MEASURES]


@dataclass(frozen=True, eq=False)
class MapScores:
    """The scores of the maps of one model.

    Attributes:
        labels, cases: by name.
        maps: names of the maps, then REFERENCES.
        values: [WEIGHTS, cases, labels, maps, MAP_MEASURES], NaN where undefined. A reference has no weights and is stored under `trained`.
        explained: method and layer of the explanations; empty if no label is explained.
    """

    labels: tuple[str, ...]
    cases: tuple[str, ...]
    maps: tuple[str, ...]
    values: np.ndarray
    explained: str = ""

    def summary(self) -> dict[str, dict[str, dict[str, dict[str, Any]]]]:
        """By label (`mean`: mean of the labels), map and measure: `trained` and `random` with mean, interval and n, and `not_above_random`.

        The last is True if the interval of trained minus random, case by case, does not lie above 0 (for one case: if the difference does not).
        Measures that a map does not have are left out.
        """
        cases, labels, maps, measures = self.values.shape[1:]
        flat = [values.reshape(cases, labels, maps * measures) for values in self.values]
        trained, random = (np.concatenate([values, mean_of_labels(values)[:, None]], 1).reshape(cases, labels + 1, maps, measures) for values in flat)
        return {
            label: {name: _of_map(trained[:, i, j], random[:, i, j]) for j, name in enumerate(self.maps)}
            for i, label in enumerate([*self.labels, MEAN])
        }

    def table(self) -> str:
        """The content of `maps.csv`: case,label,map,weights,measure,value, without undefined values."""
        rows = [("case", "label", "map", "weights", "measure", "value")]
        for n, i, j, w, k in np.argwhere(np.isfinite(self.values.transpose(1, 2, 3, 0, 4))):
            weights = "" if self.maps[j] in REFERENCES else WEIGHTS[w]
            rows.append((self.cases[n], self.labels[i], self.maps[j], weights, _KEYS[k], f"{self.values[w, n, i, j, k]:.7g}"))
        return csv_text(rows)


def _of_map(trained: np.ndarray, random: np.ndarray) -> dict[str, dict[str, Any]]:
    """The summary by measure of values [cases, MAP_MEASURES]."""
    return {key: _compared(*pair) for key, pair in zip(_KEYS, zip(trained.T, random.T)) if np.isfinite(pair[0]).any()}


def _compared(trained: np.ndarray, random: np.ndarray) -> dict[str, Any]:
    found: dict[str, Any] = {TRAINED: mean_and_interval(trained)}
    if np.isfinite(random).any():
        difference = mean_and_interval(trained - random)
        least = difference["mean"] if difference["low"] is None else difference["low"]
        found |= {RANDOM: mean_and_interval(random), "not_above_random": not (least is not None and least > 0)}
    return found
