"""Folders of scans and label maps, their splits and descriptions, for the tests of what makes cases of them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from AttentionSegLib.datasets.case_set import CaseSet
from AttentionSegLib.errors import InputError


def touch(folder: Path, *names: str) -> Path:
    """A folder with such files. What lies in them is of no matter to who only pairs names."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


def folders(parent: Path, images: str, labels: str) -> tuple[Path, Path]:
    """Folders of .nii.gz files whose names are given in one string each."""
    return tuple(touch(parent / name, *(f"{stem}.nii.gz" for stem in stems.split())) for name, stems in (("images", images), ("labels", labels)))


def write_split(parent: Path, text: str) -> Path:
    path = parent / "split.csv"
    path.write_text(text, encoding="utf-8")
    return path


def refused(call, *args, **kwargs) -> str:
    with pytest.raises(InputError) as raised:
        call(*args, **kwargs)
    text = str(raised.value)
    assert re.fullmatch(r"[^\n]+[;:,] [^\n]+\.", text)
    return text


def ids(case_set: CaseSet, role: str) -> list[str]:
    return [case.id for case in case_set.roles[role]]


def write_dataset(folder: Path, document: dict, images: str = "a_0000 a_0001 b_0000 b_0001", labels: str = "a b") -> Path:
    for name, stems in (("imagesTr", images), ("labelsTr", labels)):
        touch(folder / name, *(f"{stem}.nii.gz" for stem in stems.split()))
    (folder / "dataset.json").write_text(json.dumps(document), encoding="utf-8")
    return folder
