"""One evaluation that several files look at: of a model that finds specks, compared with one that drops them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest
from AttentionSegLib.evaluation import Evaluation, evaluate
from labelled_scans import write_cases
from tiny_models import intensity_model


class Measured(NamedTuple):
    """What came out, and the steps of progress until then."""

    done: Evaluation
    steps: list[tuple[float, str, float | None]]


@pytest.fixture(scope="session")
def folders(tmp_path_factory) -> tuple[Path, Path]:
    """Of five cases."""
    return write_cases(tmp_path_factory.mktemp("scans"))


@pytest.fixture(scope="session")
def measured(folders, tmp_path_factory) -> Measured:
    other = intensity_model(id="without-specks", postprocessing={"largest_component": [1]})
    output = tmp_path_factory.mktemp("output") / "new" / "results"
    steps: list[tuple[float, str, float | None]] = []
    return Measured(evaluate(intensity_model(), *folders, output, compare=other, device="cpu", on_progress=lambda *step: steps.append(step)), steps)


@pytest.fixture
def done(measured) -> Evaluation:
    return measured.done
