"""Which cases are learned from or checked on, where no split says it, and what a set of cases tells."""

from __future__ import annotations

import pytest
from AttentionSegLib.datasets.case_set import folder_cases
from AttentionSegLib.datasets.validation_split import draw_validation, subject_of
from case_folders import folders, ids, refused, write_split


class TestValidationPart:
    @pytest.mark.parametrize(
        ("case_id", "subject"),
        [
            ("sub-01_ses-2_hemi-L_T1w", "sub-01"),
            ("sub-01_left", "sub-01"),
            ("site3_sub-A7_run-1", "sub-A7"),
            ("patient7_right", "patient7"),
            ("patient7-R", "patient7"),
            ("lh.anna", "anna"),
            ("anna_ses-01_L", "anna"),
            ("anna_visit2", "anna"),
            ("hippocampus_001", "hippocampus_001"),
            ("scan_1", "scan_1"),
            ("left", "left"),
            ("pt_8", "pt_8"),
        ],
    )
    def test_subject_by_name(self, case_id, subject):
        assert subject_of(case_id) == subject

    def test_a_fifth_is_drawn_the_same_every_time(self):
        names = [f"case_{n}" for n in range(50)]
        drawn, sentence = draw_validation(names, 3)
        assert len(drawn) == 10
        assert draw_validation(names[::-1], 3) == (drawn, sentence)
        assert draw_validation(names, 4)[0] != drawn
        assert sentence.startswith("10 of the 50 cases were drawn at random for validation (seed 3)")

    def test_one_more_case_changes_little(self):
        names = [f"case_{n}" for n in range(50)]
        assert len(draw_validation(names, 0)[0] ^ draw_validation([*names, "case_50"], 0)[0]) <= 2

    @pytest.mark.parametrize("seed", range(5))
    def test_cases_of_a_subject_stay_together(self, seed):
        names = [f"sub-{n:02}_{side}" for n in range(11) for side in ("left", "right")]
        drawn, sentence = draw_validation(names, seed)
        assert len(drawn) == 4
        assert {subject_of(name) for name in drawn}.isdisjoint(subject_of(name) for name in set(names) - drawn)
        assert "(11 subjects) were kept together" in sentence

    @pytest.mark.parametrize("seed", range(8))
    def test_a_subject_without_labels_is_not_drawn(self, seed):
        names = [f"sub-{n}_{side}" for n in range(5) for side in ("left", "right")]
        labels = {name: {1} if name in ("sub-2_left", "sub-3_right") else set() for name in names}
        drawn, sentence = draw_validation(names, seed, labels)
        assert drawn in ({"sub-2_left", "sub-2_right"}, {"sub-3_left", "sub-3_right"})
        assert ("in a second draw" in sentence) == (drawn != draw_validation(names, seed)[0])

    @pytest.mark.parametrize("seed", range(8))
    def test_the_only_voxels_of_a_label_stay_to_learn_from(self, seed):
        names = [f"case_{n}" for n in range(5)]
        labels = {name: {1, 2} if name == "case_3" else {1} for name in names}
        assert "case_3" not in draw_validation(names, seed, labels)[0]

    def test_a_single_subject_is_said(self):
        drawn, sentence = draw_validation(["sub-1_left", "sub-1_right"], 0)
        assert len(drawn) == 1
        assert "all are of one subject" in sentence

    def test_two_large_subjects(self):
        names = [f"sub-{n}_run-{run}" for n in (1, 2) for run in range(10 if n == 1 else 4)]
        assert draw_validation(names, 0)[0] == {name for name in names if name.startswith("sub-2")}


class TestCaseSet:
    def test_a_part_is_drawn_without_a_split(self, tmp_path):
        found = folder_cases(*folders(tmp_path, "a b c", "a b c"), label_names={1: "Liver"}, seed=5)
        assert sorted(ids(found, "train") + ids(found, "val")) == ["a", "b", "c"]
        assert len(ids(found, "val")) == 1
        assert (found.label_names, found.validation_seed) == ({1: "Liver"}, 5)
        assert "(seed 5)" in found.notes[0]

    def test_the_split_counts(self, tmp_path):
        found = folder_cases(*folders(tmp_path, "a b c", "a b c"), write_split(tmp_path, "id,role\na,val\nc,train\n"))
        assert (ids(found, "train"), ids(found, "val"), found.validation_seed) == (["c"], ["a"], None)

    def test_cases_that_are_not_in_the_split_are_told(self, tmp_path):
        split = write_split(tmp_path, "id,role\na,train\nb,val\nc,test\n")
        found = folder_cases(*folders(tmp_path, "a b c d", "a b c d"), split)
        assert found.notes[1:] == ("1 case(s) are not in the split, and not used: d.",)

    def test_a_single_case(self, tmp_path):
        assert refused(folder_cases, *folders(tmp_path, "a", "a")).startswith("There is a single case, a;")

    def test_label_values_with_a_gap(self, tmp_path):
        text = refused(folder_cases, *folders(tmp_path, "a b", "a b"), label_names={1: "Liver", 3: "Spleen"})
        assert text.startswith("The labels have the values 1, 3, ")

    def test_two_labels_of_one_name(self, tmp_path):
        text = refused(folder_cases, *folders(tmp_path, "a b", "a b"), label_names={1: "Liver", 2: " liver"})
        assert "('Liver', ' liver')" in text

    def test_names_of_channels_that_are_not_there(self, tmp_path):
        text = refused(folder_cases, *folders(tmp_path, "a b", "a b"), channel_names=["T1", "T2"])
        assert text.startswith("There are 2 names of channels (T1, T2), but 1 file(s) per case;")
