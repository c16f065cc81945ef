"""Surveys without data, and their plans."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from AttentionSegLib.datasets.case_statistics import CaseStatistics, IntensityStatistics, LabelStatistics
from AttentionSegLib.datasets.survey import Foreground, Survey
from AttentionSegLib.errors import InputError
from AttentionSegLib.inference.progress import Cancel
from AttentionSegLib.planning.budget import Budget
from AttentionSegLib.planning.plan import make_plan
from AttentionSegLib.planning.plan_options import PlanOptions

CPU = Budget("cpu", 16 * 2**30, 8e10)
GPU = Budget("gpu", 24 * 2**30, 2e13)
MR = IntensityStatistics(0, 2, 60, 110, 130, 0.01)
CT = IntensityStatistics(-1000, -1000, -800, 600, 2000, 0.4)
OFF_CENTER = (30.0, 0.0, 0.0)


def make_label(box: tuple[float, float, float] = (30, 30, 30), voxels: int = 9000, center=(0.0, 0.0, 0.0), **more: Any) -> LabelStatistics:
    return LabelStatistics(**{"voxels": voxels, "box_mm": box, "center_mm": center, "components": 1, "hole_voxels": 0, "at_edge": False, **more})


def make_survey(
    labels: dict[int, LabelStatistics] | None = None,
    names: dict[int, str] | None = None,
    shape: tuple[int, int, int] = (160, 160, 120),
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
    intensities: IntensityStatistics = MR,
    cases: int = 40,
    validated: int = 10,
    **more: Any,
) -> Survey:
    """Cases all alike."""
    labels = labels or {1: make_label()}
    box = tuple(np.max([label.box_mm for label in labels.values()], axis=0))
    found = tuple(
        CaseStatistics(f"case_{n}", "train" if n < cases else "val", shape, spacing, "RAS", 0.0, (intensities,), labels, box, str(n))
        for n in range(cases + validated)
    )
    foreground = (Foreground(-100.4, 300.26, 50.123, 80.5),)
    names = names or {value: f"Label {value}" for value in labels}
    return Survey(
        found, **{"channel_names": (), "ignored_label": None, "foreground": foreground, "about": {}, "notes": (), **more}, label_names=names
    )


def crops() -> Survey:
    return make_survey({1: make_label((24, 38, 26))}, shape=(35, 51, 36), cases=160, validated=40)


def plan(survey: Survey, network: str = "attention-unet", budget: Budget = CPU, cancel: Cancel | None = None, **options: Any) -> dict[str, Any]:
    return make_plan(survey, network, "some-organ", budget, PlanOptions(**options), cancel)


def note(document: dict[str, Any], beginning: str) -> str:
    return next(sentence for sentence in document["notes"] if sentence.startswith(beginning))


def refused(survey: Survey, **more: Any) -> str:
    with pytest.raises(InputError) as raised:
        plan(survey, **more)
    return str(raised.value)
