"""Means and intervals: how they are made is told by data whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from AttentionSegLib.evaluation import METRICS, Scores
from AttentionSegLib.evaluation.statistics import mean_and_interval, mean_of_labels
from tiny_models import make_card

NAN = np.nan


def scores(values: np.ndarray) -> Scores:
    """Of two labels: [cases, labels] in every metric."""
    return Scores(make_card(), tuple("abcdefghijkl"[: len(values)]), np.repeat(np.asarray(values, float)[..., None], len(METRICS), axis=2))


class TestInterval:
    def test_is_the_same_every_time_and_holds_the_mean(self):
        values = np.random.default_rng(3).uniform(0.7, 0.9, 25)
        first = mean_and_interval(values)
        assert first == mean_and_interval(values)
        assert first["low"] < first["mean"] < first["high"]
        assert first["mean"] == pytest.approx(values.mean())

    def test_is_as_wide_as_theory_says(self):
        values = np.random.default_rng(4).normal(5, 2, 200)
        found = mean_and_interval(values)
        assert found["high"] - found["low"] == pytest.approx(2 * 1.96 * values.std() / np.sqrt(200), rel=0.05)

    def test_holds_the_true_mean_nearly_as_often_as_it_says(self):
        samples = np.random.default_rng(5).normal(0, 1, (150, 30))
        found = [mean_and_interval(sample) for sample in samples]
        assert 0.88 < np.mean([interval["low"] < 0 < interval["high"] for interval in found]) < 0.99

    def test_leaves_out_what_is_undefined_and_says_so(self):
        assert mean_and_interval(np.array([1.0, NAN, 1.0])) == {"mean": 1.0, "low": 1.0, "high": 1.0, "n": 2}

    def test_of_one_case_there_is_none(self):
        assert mean_and_interval(np.array([0.8, NAN])) == {"mean": 0.8, "low": None, "high": None, "n": 1}

    def test_of_no_case_there_is_no_mean(self):
        assert mean_and_interval(np.array([NAN])) == {"mean": None, "low": None, "high": None, "n": 0}


class TestScores:
    def test_mean_is_that_of_the_labels_of_a_case_then_over_the_cases(self):
        values = np.array([[1.0, 0.0], [NAN, 0.2], [NAN, NAN]])
        np.testing.assert_array_equal(mean_of_labels(values), [0.5, 0.2, NAN])
        summary = scores(values).summary()
        assert list(summary) == ["Hippocampus anterior", "Hippocampus posterior", "mean"]
        found = {name: (by_metric["dice"]["mean"], by_metric["dice"]["n"]) for name, by_metric in summary.items()}
        assert found == {"Hippocampus anterior": (1.0, 1), "Hippocampus posterior": (0.1, 2), "mean": (pytest.approx(0.35), 2)}

    def test_differences_are_of_pairs(self):
        """Cases differ far more than models do, which only pairs can tell."""
        values = np.random.default_rng(6).uniform(0, 1, (10, 2))
        better = values + np.random.default_rng(7).uniform(0.01, 0.03, (10, 2))
        found = scores(better).minus(scores(values))["mean"]["dice"]
        assert found["mean"] == pytest.approx((better - values).mean())
        assert 0 < found["low"] < found["high"] < 0.03
        alone = scores(values).summary()["mean"]["dice"]
        assert alone["high"] - alone["low"] > 10 * (found["high"] - found["low"])

    def test_a_label_that_one_model_leaves_undefined_is_no_pair(self):
        found = scores([[5.0, 1.0], [NAN, 1.0]]).minus(scores([[4.0, 0.0], [9.0, 0.0]]))
        assert (found["Hippocampus anterior"]["dice"]["mean"], found["Hippocampus anterior"]["dice"]["n"]) == (1.0, 1)
        assert (found["mean"]["dice"]["mean"], found["mean"]["dice"]["n"]) == (1.0, 2)
