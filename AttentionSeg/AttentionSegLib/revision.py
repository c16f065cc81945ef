"""Version and commit of the running code, so that a report can be traced to it."""

from __future__ import annotations

import json
import re
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from . import __version__

DIGITS = 9
_PACKAGE = Path(__file__).resolve().parent


@cache
def version_text() -> str:
    """The version, with the commit if it is known: `0.1.0+g1a2b3c4d5`."""
    commit = find_commit(_PACKAGE) or _commit_of_pip()
    return f"{__version__}+g{commit[:DIGITS]}" if commit else __version__


def find_commit(package: Path) -> str | None:
    """The commit of a folder of the library: that of its clone, or that from which Slicer's extension was built; None if neither is known."""
    repository = package.parents[1]
    if (repository / "AttentionSeg.s4ext").is_file():
        return _commit_of_clone(repository / ".git")
    # <extension>/lib/Slicer-5.8/qt-scripted-modules/AttentionSegLib, and <extension>/share/Slicer-5.8/AttentionSeg.s4ext.
    for description in package.parents[3].glob("share/Slicer-*/AttentionSeg.s4ext") if len(package.parents) > 3 else ():
        return _hexadecimal(re.search(r"^scmrevision\s+(\S+)", description.read_text(encoding="utf-8"), re.MULTILINE))
    return None


def _commit_of_clone(git: Path) -> str | None:
    try:
        head = (git / "HEAD").read_text(encoding="ascii").strip()
        if not head.startswith("ref: "):
            return head
        name = head[len("ref: ") :]
        if (git / name).is_file():
            return (git / name).read_text(encoding="ascii").strip()
        return _hexadecimal(re.search(rf"^(\S+) {re.escape(name)}$", (git / "packed-refs").read_text(encoding="ascii"), re.MULTILINE))
    except (OSError, UnicodeDecodeError):
        # No .git folder: a downloaded archive, or a worktree, which keeps it elsewhere.
        return None


def _commit_of_pip() -> str | None:
    """The commit of a `pip install git+https://...` (PEP 610)."""
    try:
        text = distribution("attentionseg").read_text("direct_url.json")
    except PackageNotFoundError:
        return None
    return json.loads(text).get("vcs_info", {}).get("commit_id") if text else None


def _hexadecimal(found: re.Match[str] | None) -> str | None:
    return found[1] if found and re.fullmatch("[0-9a-f]{7,40}", found[1]) else None
