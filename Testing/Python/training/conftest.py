"""Plans of a few steps, and a folder of cases; this folder is then on the path of tests in those below, too."""

from __future__ import annotations

from pathlib import Path

import pytest
from AttentionSegLib.planning import schedule
from tiny_training import write_cases


@pytest.fixture(scope="module")
def short_plans():
    """Of at most 8 steps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schedule, "MOST_STEPS", 8)
        yield


@pytest.fixture
def folder(tmp_path) -> Path:
    write_cases(tmp_path)
    return tmp_path
