"""What killed processes leave behind is removed, and what others are writing is left alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from AttentionSegLib import writing
from AttentionSegLib.errors import InputError
from AttentionSegLib.writing import atomic_folder, atomic_path, csv_text, write_text

LIBRARY = Path(writing.__file__).parents[1]
WRITES_AND_DIES = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from AttentionSegLib.writing import atomic_path
with atomic_path(sys.argv[2]) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL, and no locks on folders")
def test_the_next_write_removes_what_a_killed_one_left(tmp_path, monkeypatch):
    killed = subprocess.run([sys.executable, "-c", WRITES_AND_DIES, str(LIBRARY), str(tmp_path / "a.txt")])
    assert killed.returncode == -9
    assert len(names_in(tmp_path)) == 1
    write_text(tmp_path / "b.txt", "whole")
    assert len(names_in(tmp_path)) == 2, "it may have been made a moment ago"
    monkeypatch.setattr(writing, "SETTLING_SECONDS", -1)
    write_text(tmp_path / "b.txt", "whole")
    assert names_in(tmp_path) == ["b.txt"]


def test_what_another_writes_at_the_same_time_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "SETTLING_SECONDS", -1)
    with atomic_path(tmp_path / "a.txt") as temporary:
        temporary.write_text("a")
        write_text(tmp_path / "b.txt", "b")
    assert names_in(tmp_path) == ["a.txt", "b.txt"]


def test_a_folder_that_is_there_by_the_end_stays(tmp_path):
    target = tmp_path / "model"
    with atomic_folder(target) as temporary:
        (temporary / "first.txt").write_text("first")
    with pytest.raises(InputError, match="There is a folder at"), atomic_folder(target) as temporary:
        (temporary / "second.txt").write_text("second")
    assert names_in(tmp_path) == ["model"]
    assert names_in(target) == ["first.txt"]


def test_a_table_holds_no_formulas():
    rows = [("case", "value"), ("=cmd|' /C calc'!A0", "-0.5"), ("-1+1", -2), ("@SUM(1)", "1e-3"), ("a-b", "+inf")]
    assert csv_text(rows).splitlines() == ["case,value", "'=cmd|' /C calc'!A0,-0.5", "'-1+1,-2", "'@SUM(1),1e-3", "a-b,+inf"]
