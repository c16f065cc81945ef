"""Means over cases, and their confidence intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional

import numpy as np

from ..models import Card
from .definitions import MEAN, METRICS

RESAMPLES = 10_000
SEED = 0
DICE = [metric.key for metric in METRICS].index("dice")

# By label and metric: mean, low, high (None if undefined) and n.
Summary = dict[str, dict[str, dict[str, Optional[float]]]]


@dataclass(frozen=True, eq=False)
class Scores:
    """The scores of one model.

    Attributes:
        card: the card of the model.
        cases: ids of the cases.
        values: [cases, labels of the card, METRICS], NaN where undefined.
        mirroring: whether the mirror images were segmented as well.
        absent: the labels that no reference has.
    """

    card: Card
    cases: tuple[str, ...]
    values: np.ndarray
    mirroring: bool = False
    absent: tuple[str, ...] = ()

    @property
    def labels(self) -> list[str]:
        return [label.name for label in self.card.labels]

    def summary(self) -> Summary:
        """Mean and 95 % interval of every label and metric, and of the mean of the labels under the name `mean`."""
        return summarize(self.values, self.labels)

    def minus(self, other: Scores) -> Summary:
        """The summary of the differences to another model on the same cases, case by case and label by label."""
        return summarize(self.values - other.values, self.labels)


def summarize(values: np.ndarray, labels: Sequence[str]) -> Summary:
    """Mean and interval over the cases, of each label and of the mean of the labels of each case.

    Args:
        values: [cases, labels, METRICS]; NaN is left out.
        labels: names of the labels.
    """
    columns = np.concatenate([values, mean_of_labels(values)[:, None]], axis=1)
    return {name: {metric.key: mean_and_interval(columns[:, i, j]) for j, metric in enumerate(METRICS)} for i, name in enumerate([*labels, MEAN])}


def mean_of_labels(values: np.ndarray) -> np.ndarray:
    """The mean over the labels, without NaN: [cases, labels, METRICS] -> [cases, METRICS], NaN if all are."""
    numbers = np.isfinite(values).sum(axis=1)
    return np.where(numbers > 0, np.nansum(values, axis=1) / np.maximum(numbers, 1), np.nan)


def mean_and_interval(values: np.ndarray) -> dict[str, float | None]:
    """The mean of the numbers [cases] that are not NaN, with its 95 % interval.

    The interval is the percentile bootstrap over cases (Efron 1979; 10 000 resamples, always the same ones). A single case has none.
    """
    values = values[np.isfinite(values)]
    mean = low = high = None
    if values.size:
        mean = float(values.mean())
    if values.size > 1:
        resampled = np.random.default_rng(SEED).choice(values, (RESAMPLES, values.size)).mean(axis=1)
        low, high = (float(end) for end in np.percentile(resampled, (2.5, 97.5)))
    return {"mean": mean, "low": low, "high": high, "n": int(values.size)}


@dataclass(frozen=True, eq=False)
class PredictionScores:
    """The scores of predictions.

    Attributes:
        labels: names of the labels.
        cases: ids of the cases.
        values: [cases, labels, METRICS], NaN where undefined.
        absent: the labels that no reference has.
    """

    labels: tuple[str, ...]
    cases: tuple[str, ...]
    values: np.ndarray
    absent: tuple[str, ...] = ()

    def summary(self) -> Summary:
        """Mean and 95 % interval of every label and metric, and of the mean of the labels under the name `mean`."""
        return summarize(self.values, self.labels)

    @property
    def worst_first(self) -> list[tuple[str, float]]:
        """Each case with its mean Dice, the lowest first."""
        return sorted(zip(self.cases, mean_of_labels(self.values)[:, DICE].tolist()), key=lambda pair: pair[1])
