"""Folders of label maps without scans: which are learned from, and which cannot be."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from AttentionSegLib.datasets import label_cases
from AttentionSegLib.datasets.case_statistics import measure_case
from AttentionSegLib.datasets.label_maps import check_pairs
from AttentionSegLib.errors import InputError
from AttentionSegLib.image import Image

NAMES = {1: "Left kidney", 2: "Right kidney", 3: "Left lung", 4: "Right lung", 5: "Liver"}
BOTH = {1: 40, 2: 50, 3: 60, 4: 70, 5: 100}


def write(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        nibabel.save(nibabel.Nifti1Image(np.zeros((3, 3, 3), np.uint8), np.eye(4)), folder / f"{name}.nii.gz")
    return folder


def measured(case_id: str, voxels: dict[int, int]):
    labels = np.zeros((10, 10, 10), np.int32)
    flat = labels.reshape(-1)
    start = 0
    for value, count in voxels.items():
        flat[start : start + count] = value
        start += count
    return measure_case(case_id, "train", Image(np.random.default_rng(0).normal(size=(1, 10, 10, 10)), np.eye(4)), labels)


class TestFolder:
    def test_a_fifth_is_drawn_to_validate_on(self, tmp_path):
        cases = label_cases(write(tmp_path / "maps", *(f"map_{n}" for n in range(10))), label_names=NAMES)
        assert (len(cases.roles["train"]), len(cases.roles["val"])) == (8, 2)
        assert all(case.images == () for role in cases.roles.values() for case in role)

    def test_scans_to_validate_on_leave_all_maps_to_learn_from(self, tmp_path):
        real = (write(tmp_path / "scans", "a", "b"), write(tmp_path / "truth", "a", "b"))
        cases = label_cases(write(tmp_path / "maps", "one"), validation=real)
        assert [case.id for case in cases.roles["train"]] == ["one"]
        assert [len(case.images) for case in cases.roles["val"]] == [1, 1]

    def test_an_empty_folder_or_none(self, tmp_path):
        with pytest.raises(InputError, match=r"no label map in .*maps; give a folder of files"):
            label_cases(write(tmp_path / "maps"))
        with pytest.raises(InputError, match="There is no folder"):
            label_cases(tmp_path / "elsewhere")

    def test_a_single_map(self, tmp_path):
        with pytest.raises(InputError, match="single case, one"):
            label_cases(write(tmp_path / "maps", "one"))

    def test_a_name_on_both_sides_or_two_ways_to_validate(self, tmp_path):
        maps, *real = (write(tmp_path / name, "a", "b") for name in ("maps", "scans", "truth"))
        with pytest.raises(InputError, match=r"have cases of the same names \(a, b\); leave these out of one"):
            label_cases(maps, validation=real)
        with pytest.raises(InputError, match="give one of the two"):
            label_cases(maps, split=tmp_path / "split.csv", validation=real)


class TestPairs:
    def test_sides_that_are_apart_pass(self):
        check_pairs([measured("one", BOTH), measured("two", {**BOTH, 1: 20})], NAMES)

    def test_a_missing_organ_is_no_error(self):
        check_pairs([measured("one", BOTH), measured("nephrectomy", {2: 50, 3: 60, 4: 70})], NAMES)

    def test_a_map_with_both_sides_under_one_value_is_named(self):
        with pytest.raises(InputError, match="merged have labels of one side only"):
            check_pairs([measured("one", BOTH), measured("merged", {1: 90, 3: 130, 5: 100})], NAMES)

    def test_sides_of_very_different_size_are_no_pair(self):
        lopsided = [measured(name, {**BOTH, 3: 300}) for name in ("one", "two", "three")]
        with pytest.raises(InputError, match=r"'Left lung' and 'Right lung' are a pair .* 4\.3 times"):
            check_pairs(lopsided, NAMES)
