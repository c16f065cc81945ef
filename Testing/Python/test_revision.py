"""A report names the commit of the code that made it, whichever way the code came."""

from __future__ import annotations

from pathlib import Path

import pytest
from AttentionSegLib import __version__
from AttentionSegLib.revision import DIGITS, find_commit, version_text

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def package(tmp_path) -> Path:
    """The folder of the library in a clone without history."""
    (tmp_path / "AttentionSeg.s4ext").write_text("scm git\n")
    (tmp_path / ".git" / "refs" / "heads").mkdir(parents=True)
    return tmp_path / "AttentionSeg" / "AttentionSegLib"


def write_git(package: Path, **files: str) -> None:
    for name, text in files.items():
        (package.parents[1] / ".git" / name.replace("__", "/").replace("_", "-")).write_text(text)


def test_of_a_branch(package):
    write_git(package, HEAD="ref: refs/heads/main\n", refs__heads__main=f"{COMMIT}\n")
    assert find_commit(package) == COMMIT


def test_of_a_branch_that_git_has_packed(package):
    write_git(package, HEAD="ref: refs/heads/main\n", packed_refs=f"# pack-refs\n{'f' * 40} refs/heads/main-2\n{COMMIT} refs/heads/main\n")
    assert find_commit(package) == COMMIT


def test_of_a_checked_out_commit(package):
    write_git(package, HEAD=f"{COMMIT}\n")
    assert find_commit(package) == COMMIT


def test_of_an_archive_without_history_it_is_unknown(package):
    assert find_commit(package) is None


@pytest.mark.parametrize(("revision", "found"), [(COMMIT, COMMIT), ("abcdef01", "abcdef01"), ("main", None), ("NA", None)])
def test_of_an_extension_that_slicer_installed(tmp_path, revision, found):
    description = tmp_path / "share" / "Slicer-5.8" / "AttentionSeg.s4ext"
    description.parent.mkdir(parents=True)
    description.write_text(f"scm git\nscmrevision {revision}\ndepends PyTorch\n")
    assert find_commit(tmp_path / "lib" / "Slicer-5.8" / "qt-scripted-modules" / "AttentionSegLib") == found


def test_the_text_is_a_version_of_python():
    version, _, commit = version_text().partition("+g")
    assert version == __version__
    assert commit == "" or len(commit) == DIGITS
