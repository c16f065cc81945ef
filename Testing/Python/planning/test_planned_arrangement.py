"""The arrangement of the labels in the training cases."""

from __future__ import annotations

import numpy as np
import pytest
from AttentionSegLib.datasets.case_statistics import CaseStatistics, LabelStatistics
from AttentionSegLib.models.arrangement import parse_arrangement
from AttentionSegLib.planning.arrangement import plan_arrangement
from scipy.spatial.transform import Rotation

POINTS = np.array([[30, 0, 0], [-30, 0, 0], [0, 40, 10], [0, -40, 10], [5, 5, 50]], float)
LABELS = [{"value": value} for value in range(1, 6)]


def case(points: np.ndarray, cut: tuple[int, ...] = (), number: int = 0) -> CaseStatistics:
    labels = {value: LabelStatistics(900, (10, 10, 10), tuple(point), 1, 0, value in cut) for value, point in enumerate(points.tolist(), start=1)}
    return CaseStatistics(f"case_{number}", "train", (90, 90, 90), (2, 2, 2), "RAS", 0.0, (), labels, (90, 90, 90), str(number))


def turned(degrees: float, shift: float) -> np.ndarray:
    return POINTS @ Rotation.from_euler("xz", [degrees, -degrees], degrees=True).as_matrix().T + shift


def test_cases_are_turned_and_shifted_onto_each_other():
    block, (sentence,) = plan_arrangement(LABELS, [case(turned(angle, angle)) for angle in (0, 10, -20, 5)], False)
    known = parse_arrangement(block["arrangement"])
    found = np.array([known.centers[value] for value in range(1, 6)])
    np.testing.assert_allclose(np.linalg.norm(found[:, None] - found, axis=-1), np.linalg.norm(POINTS[:, None] - POINTS, axis=-1), atol=0.02)
    np.testing.assert_allclose(found.mean(0), 0, atol=0.01)
    assert known.misfit == pytest.approx(0, abs=1e-3)
    assert "get a warning" in sentence


def test_the_worst_case_sets_the_misfit():
    other = POINTS + np.random.default_rng(0).normal(0, 8, POINTS.shape)
    block, _ = plan_arrangement(LABELS, [*(case(POINTS, number=n) for n in range(9)), case(other)], False)
    assert 0.05 < block["arrangement"]["misfit"] < 0.4


def test_labels_that_the_edge_cuts_do_not_count():
    block, _ = plan_arrangement(LABELS, [case(POINTS, cut=(5,)) for _ in range(4)], False)
    assert list(block["arrangement"]["centers_mm"]) == ["1", "2", "3", "4"]


@pytest.mark.parametrize(("cut", "is_region"), [((4, 5), False), ((), True)], ids=["three labels", "region"])
def test_nothing_is_known_of_few_labels_or_regions(cut, is_region):
    assert plan_arrangement(LABELS, [case(POINTS, cut=cut)], is_region) == ({}, [])
