"""Runs of a batch over good and bad scans, and what each left in its folder."""

from __future__ import annotations

import json
from pathlib import Path

from AttentionSegLib.batch import BatchResult, segment_folder

GOOD = {"a": "a.nii.gz", "b_ä": "b ä.nii.gz", "c": "c.nrrd"}
BAD = {"empty": "is an empty file", "four": "holds 3 volumes", "text": "text.nii.gz"}
ENDINGS = ("overview.png", "report.json", "segmentation.seg.nrrd", "uncertainty.nrrd")


def batch(source: Path, output: Path, model: Path, **changes) -> BatchResult:
    return segment_folder(source, output, model, **{"attention": False, "device": "cpu", "backend": "torch", **changes})


def contents(output: Path) -> dict[str, bytes]:
    """The result files of all cases but their reports, which hold the time."""
    return {path.relative_to(output).as_posix(): path.read_bytes() for path in (output / "cases").rglob("*.*") if path.suffix != ".json"}


def lines(output: Path) -> dict[str, dict]:
    return {entry["case"]: entry for entry in map(json.loads, (output / "manifest.jsonl").read_text(encoding="utf-8").splitlines())}


def dates(output: Path) -> dict[str, int]:
    """When each case's segmentation was written."""
    return {path.parent.name: path.stat().st_mtime_ns for path in (output / "cases").rglob("*_segmentation.*")}
