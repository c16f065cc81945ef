"""Which label a voxel has by the name of its segment, in one file and in those of all cases."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from AttentionSegLib.datasets.case_set import folder_cases
from AttentionSegLib.datasets.cases import note_sentences, read_labelled
from AttentionSegLib.datasets.label_reading import LabelReading, Note, read_labels
from AttentionSegLib.files.nifti import write_nifti
from label_files import AFFINE, NAMES, labels_of, refused, write_scan
from segmentation_files import write_segments


class TestSegments:
    def write(self, folder: Path, name: str, *segments: tuple[str, int, int]) -> Path:
        return write_segments(folder / f"{name}.seg.nrrd", labels_of()[None], AFFINE, segments)

    def values_of(self, path: Path, *tables: dict[int, str], label_map: dict | None = None) -> tuple[np.ndarray, list[Note]]:
        label, notes = read_labels(path, LabelReading(label_map or {}, names=tables))
        return label.voxels[0], notes

    def test_the_name_counts_and_not_the_number(self, tmp_path):
        path = self.write(tmp_path, "a", ("Kidney, right", 1, 0), (" kidney, LEFT ", 2, 0))
        voxels, notes = self.values_of(path, NAMES)
        np.testing.assert_array_equal(voxels, np.choose(labels_of(), (0, 2, 1)))
        assert notes == []

    def test_part_of_a_name_counts_if_it_is_clear(self, tmp_path):
        path = self.write(tmp_path, "a", ("Right", 1, 0), ("left_kidney", 2, 0))
        voxels, notes = self.values_of(path, NAMES)
        np.testing.assert_array_equal(voxels, np.choose(labels_of(), (0, 2, 1)))
        assert [note.detail for note in notes] == ["'Right' for 'Kidney, right', 'left_kidney' for 'Kidney, left'"]
        assert note_sentences({"a": notes, "b": notes, "c": []}, 3) == [f"{notes[0].what} in 2 of 3 cases: a, b ({notes[0].detail})."]

    @pytest.mark.parametrize("name", ["Kidney", "Liver", "Kidney, left part", "---"])
    def test_a_name_that_is_none_of_the_labels(self, tmp_path, name):
        path = self.write(tmp_path, "a", ("Kidney, right", 1, 0), (name, 2, 0))
        text = refused(self.values_of, path, NAMES)
        assert f"has the segment(s) '{name}', and the labels are 'Kidney, left', 'Kidney, right';" in text
        assert f"--label-map '{name}=1'" in text
        np.testing.assert_array_equal(self.values_of(path, NAMES, label_map={name: 1})[0], np.choose(labels_of(), (0, 2, 1)))

    def test_names_that_look_alike_are_told_apart(self, tmp_path):
        path = self.write(tmp_path, "a", ("Kidney, right", 1, 0), ("Kidney,\u00a0left", 2, 0))
        # A blank that does not break lines is no part of a word, so the words are the same.
        assert self.values_of(path, NAMES)[1][0].detail == "'Kidney,\\xa0left' for 'Kidney, left'"

    def test_the_second_table_counts_where_the_first_has_not_all(self, tmp_path):
        path = self.write(tmp_path, "a", ("Kidney, left", 2, 0), ("Kidney, right", 1, 0))
        np.testing.assert_array_equal(self.values_of(path, {1: "Kidney"}, {1: "Kidney, right", 2: "Kidney, left"})[0], labels_of())

    def test_layers_that_do_not_overlap(self, tmp_path):
        layers = np.stack([labels_of() == 1, labels_of() == 2])
        path = write_segments(tmp_path / "a.seg.nrrd", layers, AFFINE, [("Kidney, right", 1, 0), ("Kidney, left", 1, 1)])
        np.testing.assert_array_equal(self.values_of(path, NAMES)[0], np.choose(labels_of(), (0, 2, 1)))
        np.testing.assert_array_equal(self.values_of(path)[0], labels_of())

    def test_layers_that_overlap(self, tmp_path):
        layers = np.stack([labels_of() > 0, labels_of() == 2])
        path = write_segments(tmp_path / "a.seg.nrrd", layers, AFFINE, [("Both", 1, 0), ("Right", 1, 1)])
        assert f"The segments 'Both', 'Right' of {path} overlap in 24 voxels" in refused(self.values_of, path)

    def test_two_segments_of_one_name(self, tmp_path):
        path = self.write(tmp_path, "a", ("Kidney, left", 1, 0), ("kidney, left ", 2, 0))
        assert "two segments of the name 'kidney, left '" in refused(self.values_of, path, NAMES)


class TestNamesOfAllCases:
    def cases(self, folder: Path, *files: list[tuple[str, int, int]] | None, reading: LabelReading | None = None, names: dict | None = None):
        """Cases a, b, ... with these segments, or plain label maps."""
        for kind in ("images", "labels"):
            (folder / kind).mkdir()
        for name, segments in zip("abc", files):
            write_scan(folder).rename(folder / "images" / f"{name}.nrrd")
            if segments is None:
                write_nifti(folder / "labels" / f"{name}.nii.gz", labels_of(), AFFINE)
            else:
                write_segments(folder / "labels" / f"{name}.seg.nrrd", labels_of()[None], AFFINE, segments)
        return folder_cases(folder / "images", folder / "labels", label_names=names, reading=reading or LabelReading())

    def voxels(self, case_set, case_id: str) -> np.ndarray:
        return read_labelled(next(case for of in case_set.roles.values() for case in of if case.id == case_id)).label.voxels[0]

    def test_the_names_of_the_files_are_those_of_the_labels(self, tmp_path):
        found = self.cases(tmp_path, [("Right", 1, 0), ("Left", 2, 0)], [("left", 1, 0), ("right ", 2, 0)])
        assert found.label_names == {1: "Right", 2: "Left"}
        np.testing.assert_array_equal(self.voxels(found, "a"), labels_of())
        np.testing.assert_array_equal(self.voxels(found, "b"), np.choose(labels_of(), (0, 2, 1)))

    def test_a_file_with_some_of_the_segments(self, tmp_path):
        found = self.cases(tmp_path, [("Left", 2, 0)], [("Right", 1, 0), ("Left", 2, 0)])
        assert found.label_names == {1: "Right", 2: "Left"}
        np.testing.assert_array_equal(self.voxels(found, "a"), np.where(labels_of() == 2, 2, 0))

    def test_other_names_are_shown(self, tmp_path):
        text = refused(self.cases, tmp_path, [("Left", 1, 0), ("Right", 2, 0)], [("Left kidney", 1, 0), ("Right", 2, 0)])
        assert re.search(r"b.seg.nrrd has the segment\(s\) 'Left kidney', and .*a.seg.nrrd has 'Left', 'Right'", text)
        assert "--label-names" in text

    def test_other_names_are_mapped(self, tmp_path):
        reading = LabelReading({"Left kidney": 2, "left": 2, "Cyst": 0})
        found = self.cases(tmp_path, [("Left", 1, 0), ("Right", 2, 0)], [("Left kidney", 1, 0), ("Cyst", 2, 0)], reading=reading)
        assert found.label_names == {1: "Right", 2: "Left kidney"}
        np.testing.assert_array_equal(self.voxels(found, "a"), np.choose(labels_of(), (0, 2, 1)))
        np.testing.assert_array_equal(self.voxels(found, "b"), np.choose(labels_of(), (0, 2, 0)))

    def test_plain_label_maps_beside_segments(self, tmp_path):
        found = self.cases(tmp_path, [("Right", 1, 0), ("Left", 2, 0)], None)
        np.testing.assert_array_equal(self.voxels(found, "b"), labels_of())

    def test_plain_label_maps_beside_segments_of_other_numbers(self, tmp_path):
        text = refused(self.cases, tmp_path, [("Right", 1, 0), ("Left", 2, 0)], [("Left", 1, 0), ("Right", 2, 0)], None)
        assert re.search("c.nii.gz has numbers and .*a.seg.nrrd names of segments", text)

    def test_names_given_rule(self, tmp_path):
        found = self.cases(tmp_path, [("Right", 1, 0), ("Left", 2, 0)], None, names={1: "Left", 2: "Right"})
        np.testing.assert_array_equal(self.voxels(found, "a"), np.choose(labels_of(), (0, 2, 1)))
