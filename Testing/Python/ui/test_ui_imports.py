"""Imports of large packages in a thread: what else happens in the process meanwhile."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from AttentionSegLib.ui.imports import MANY, gentle_imports

LIBRARY = Path(__file__).resolve().parents[3] / "AttentionSeg"


@pytest.fixture(autouse=True)
def garbage():
    yield
    gc.unfreeze()
    gc.enable()


def import_many(monkeypatch, count):
    for number in range(count):
        monkeypatch.setitem(sys.modules, f"large.part{number}", ModuleType(f"large.part{number}"))


def test_no_search_for_garbage_within_and_none_among_what_was_made(monkeypatch):
    gc.unfreeze()
    with gentle_imports():
        assert not gc.isenabled()
        import_many(monkeypatch, MANY)
    assert gc.isenabled()
    assert gc.get_freeze_count() > MANY


def test_what_was_there_before_changes_nothing(monkeypatch):
    gc.unfreeze()
    before = gc.get_freeze_count()
    with gentle_imports():
        import_many(monkeypatch, MANY - 1)
    assert gc.get_freeze_count() == before


def test_after_an_import_that_failed_it_is_as_before():
    gc.disable()
    with pytest.raises(ModuleNotFoundError), gentle_imports():
        import nowhere_to_be_found
    assert not gc.isenabled()
    gc.enable()
    with pytest.raises(ModuleNotFoundError), gentle_imports():
        import nowhere_to_be_found  # noqa: F401
    assert gc.isenabled()


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux lists the libraries of a process as a file")
def test_the_libraries_of_torch_are_loaded_before_its_import():
    """Loaded by the import, they would stop all threads for a second."""
    program = """
import sys
from pathlib import Path
from AttentionSegLib.ui.imports import gentle_imports
with gentle_imports():
    print("libtorch_cpu" in Path("/proc/self/maps").read_text(), "torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=LIBRARY, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]
