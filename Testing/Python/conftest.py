"""Fixtures shared by all tests."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

# Torch's threads wait for each other by spinning: on a busy machine with few cores, two are many times slower than one.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# OpenVINO converts every new network, which takes longer than a test; those that are about it ask for it.
os.environ["ATTENTIONSEG_BACKEND"] = "torch"
# Nothing of a test belongs into the cache of whoever runs it.
os.environ["ATTENTIONSEG_CACHE"] = tempfile.mkdtemp(prefix="attentionseg-cache-")

import pytest
from blank_pictures import blank_pictures

__all__ = ["blank_pictures", "data_folder"]

# No test reports that OpenVINO is used.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
atexit.register(shutil.rmtree, os.environ["ATTENTIONSEG_CACHE"], ignore_errors=True)
REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "Testing"))
sys.path.insert(0, str(REPOSITORY / "AttentionSeg"))


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Folder of real labelled scans; the variable ATTENTIONSEG_DATA names another one than the default."""
    folder = Path(os.environ.get("ATTENTIONSEG_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no folder of real scans at {folder}; set ATTENTIONSEG_DATA to one")
    return folder


@pytest.fixture(autouse=True)
def _no_earlier_search(monkeypatch):
    """Regions that another test found are not taken for those of this one."""
    module = sys.modules.get("AttentionSegLib.inference.region_search")
    if module is not None:
        monkeypatch.setattr(module, "_last", None)


THREADS = pytest.StashKey[int]()


def pytest_runtest_setup(item: pytest.Item) -> None:
    if "torch" in sys.modules:
        item.stash[THREADS] = sys.modules["torch"].get_num_threads()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """No test, and no fixture, leaves torch with another number of threads, on which time, memory and the last digits of later tests depend."""
    yield
    before = item.stash.get(THREADS, None)
    if before is not None and sys.modules["torch"].get_num_threads() != before:
        sys.modules["torch"].set_num_threads(before)
        pytest.fail(f"It left another number of threads than the {before} that torch had; set them back.")
