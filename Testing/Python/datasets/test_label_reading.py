"""Which label a voxel has: by the name of its segment, else by its value, at its place in the scan."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import numpy as np
import pytest
from AttentionSegLib.cli.options import add_label_options, label_reading
from AttentionSegLib.datasets.case_set import folder_cases
from AttentionSegLib.datasets.cases import Case, note_sentences, read_labelled
from AttentionSegLib.datasets.label_reading import LabelReading, Note, parse_label_map, read_labels
from AttentionSegLib.datasets.label_tables import read_otherwise
from AttentionSegLib.errors import InputError
from AttentionSegLib.files import write_map
from AttentionSegLib.files.nifti import write_nifti
from AttentionSegLib.image import Image
from poses import AXES, affine_around, storages
from segmentation_files import write_segments

SHAPE, SPACING = (9, 10, 11), (1.0, 1.0, 3.0)
AFFINE = affine_around((3, -4, 5), SHAPE, AXES["LPS"], SPACING)
# A left-handed grid, as NIfTI files often have it and 3D Slicer does not keep it.
LAS = affine_around((3, -4, 5), SHAPE, np.diag([-1.0, 1.0, 1.0]), SPACING)
NAMES = {1: "Kidney, left", 2: "Kidney, right"}


def labels_of(shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    labels = np.zeros(shape, np.uint8)
    labels[2:4, 3:6, 4:8] = 1
    labels[5:7, 3:6, 4:8] = 2
    return labels


def write_scan(folder: Path, affine: np.ndarray = AFFINE) -> Path:
    write_map(Image(np.random.default_rng(0).normal(size=(1, *SHAPE)), affine), folder / "scan.nrrd")
    return folder / "scan.nrrd"


def read(folder: Path, label: Path, reading: LabelReading | None = None, affine: np.ndarray = AFFINE):
    return read_labelled(Case("a", (write_scan(folder, affine),), label, reading or LabelReading()))


def refused(call, *args, **kwargs) -> str:
    with pytest.raises(InputError) as raised:
        call(*args, **kwargs)
    assert re.fullmatch(r"[^\n]+[;:] [^\n]+\.", str(raised.value))
    return str(raised.value)


class TestPlace:
    @pytest.mark.parametrize("storage", list(storages())[::5])
    def test_a_label_map_stored_otherwise(self, tmp_path, storage):
        stored = storage.store(Image(labels_of()[None], LAS))
        write_nifti(tmp_path / "label.nii.gz", stored.voxels[0], stored.affine)
        found = read(tmp_path, tmp_path / "label.nii.gz", affine=LAS)
        np.testing.assert_array_equal(found.label.voxels[0], labels_of())
        np.testing.assert_array_equal(found.label.affine, found.image.affine)
        assert found.notes == []

    def test_a_label_map_cropped_to_one_slice_of_labels(self, tmp_path):
        expected = np.zeros(SHAPE, np.uint8)
        expected[2:4, 3:6, 4] = 1
        affine = AFFINE.copy()
        affine[:3, 3] = Image(np.zeros((1, *SHAPE)), AFFINE).to_ras([2, 3, 4])
        write_segments(tmp_path / "label.seg.nrrd", expected[None, 2:4, 3:6, 4:5], affine, [("Left", 1, 0)])
        np.testing.assert_array_equal(read(tmp_path, tmp_path / "label.seg.nrrd").label.voxels[0], expected)

    def test_a_hair_beside_is_accepted_and_said(self, tmp_path):
        moved = AFFINE.copy()
        moved[:3, 3] += 0.002
        write_nifti(tmp_path / "label.nii.gz", labels_of(), moved)
        found = read(tmp_path, tmp_path / "label.nii.gz")
        np.testing.assert_array_equal(found.label.voxels[0], labels_of())
        assert note_sentences({"a": found.notes}, 3) == [
            "The label map lies less than a tenth of a voxel beside its scan in 1 of 3 cases: a (0.0035 mm)."
        ]

    @pytest.mark.parametrize(("shift", "accepted"), [((0, 0, 0.29), True), ((0, 0, 0.31), False), ((0.09, 0, 0), True), ((0.11, 0, 0), False)])
    def test_up_to_a_tenth_of_a_voxel(self, tmp_path, shift, accepted):
        moved = AFFINE.copy()
        moved[:3, 3] += shift
        write_nifti(tmp_path / "label.nii.gz", labels_of(), moved)
        if accepted:
            assert len(read(tmp_path, tmp_path / "label.nii.gz").notes) == 1
        else:
            assert f"lie up to {max(shift):.2g} mm apart" in refused(read, tmp_path, tmp_path / "label.nii.gz")

    def test_another_grid_is_resampled_if_asked(self, tmp_path):
        shape = (18, 20, 22)
        fine = affine_around((3, -4, 5), shape, AXES["LPS"], np.divide(SPACING, 2))
        write_nifti(tmp_path / "label.nii.gz", labels_of().repeat(2, 0).repeat(2, 1).repeat(2, 2), fine)
        assert "differ in size or direction (1 x 1 x 3 mm and 0.5 x 0.5 x 1.5 mm)" in (text := refused(read, tmp_path, tmp_path / "label.nii.gz"))
        assert "--resample-labels" in text
        found = read(tmp_path, tmp_path / "label.nii.gz", LabelReading(resample=True))
        np.testing.assert_array_equal(found.label.voxels[0], labels_of())
        assert "nearest neighbor" in found.notes[0].what

    def test_whole_voxels_beside_is_another_place_and_said(self, tmp_path):
        moved = AFFINE.copy()
        moved[:3, 3] = Image(np.zeros((1, *SHAPE)), AFFINE).to_ras([0, -1, 2])
        write_nifti(tmp_path / "label.nii.gz", labels_of(), moved)
        found = read(tmp_path, tmp_path / "label.nii.gz")
        np.testing.assert_array_equal(found.label.voxels[0], np.roll(labels_of(), (0, -1, 2), (0, 1, 2)))
        assert found.notes == [Note("The label map is as large as its scan, but lies beside it", "by 0 x -1 x 2 voxels")]

    def test_labels_outside_of_the_scan(self, tmp_path):
        moved = AFFINE.copy()
        moved[0, 3] -= 3
        write_nifti(tmp_path / "label.nii.gz", labels_of(), moved)
        assert "12 of 48 labeled voxels of " in refused(read, tmp_path, tmp_path / "label.nii.gz")
        found = read(tmp_path, tmp_path / "label.nii.gz", LabelReading(resample=True))
        np.testing.assert_array_equal(found.label.voxels[0, 3:], labels_of()[:-3])
        assert Note("Labels outside of the scan were left out", "12 of 48 voxels") in found.notes
        moved[0, 3] -= 30
        write_nifti(tmp_path / "label.nii.gz", labels_of(), moved)
        assert "All labels of " in refused(read, tmp_path, tmp_path / "label.nii.gz", LabelReading(resample=True))


class TestValues:
    def values_of(self, folder: Path, voxels: np.ndarray, reading: LabelReading | None = None) -> tuple[np.ndarray, list[Note]]:
        write_nifti(folder / "label.nii.gz", voxels, AFFINE)
        label, notes = read_labels(folder / "label.nii.gz", reading or LabelReading())
        return label.voxels[0], notes

    def test_almost_whole_numbers_are_rounded(self, tmp_path):
        voxels, notes = self.values_of(tmp_path, labels_of() * np.float32(1.0000153))
        np.testing.assert_array_equal(voxels, labels_of())
        assert voxels.dtype.kind == "i"
        assert notes == [Note("Values of the label map were rounded to whole numbers", "by 3e-05")]

    def test_not_a_number_is_background(self, tmp_path):
        voxels, notes = self.values_of(tmp_path, np.where(labels_of() > 0, labels_of(), np.float32("nan")))
        np.testing.assert_array_equal(voxels, labels_of())
        assert [note.detail for note in notes] == [f"{np.count_nonzero(labels_of() == 0)} voxels"]

    def test_the_advice_for_a_value_that_is_no_label_can_be_followed(self):
        advice = re.search(r"\((--label-map.*?)\)", read_otherwise(-1))[1]
        parser = argparse.ArgumentParser()
        add_label_options(parser)
        assert label_reading(parser.parse_args(advice.split())).label_map == {-1: 1}

    def test_values_read_as_others_all_at_once(self, tmp_path):
        reading = LabelReading({1: 2, 2: 1, 255: 300})
        marked = labels_of()
        marked[0, 0, 0] = 255
        expected = np.choose(labels_of(), (0, 2, 1))
        expected[0, 0, 0] = 300
        np.testing.assert_array_equal(self.values_of(tmp_path, marked, reading)[0], expected)

    @pytest.mark.parametrize(
        ("text", "found"),
        [("4=3", {4: 3}), ("4=3, 5=0", {4: 3, 5: 0}), ("Kidney, left=1,Cyst=0,9=2", {"Kidney, left": 1, "Cyst": 0, 9: 2}), ("a=b=1", {"a=b": 1})],
    )
    def test_a_label_map_as_text(self, text, found):
        assert parse_label_map(text) == found

    @pytest.mark.parametrize("text", ["", "4", "4=", "=3", "4=x", "4=3,5", "4=-1"])
    def test_text_that_is_no_label_map(self, text):
        assert "not a list of pairs" in refused(parse_label_map, text)


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


class TestEntriesOfTheLabelMapThatFitNothing:
    def notes(self, folder: Path, reading: LabelReading) -> list[str]:
        for case, value in (("a", 4), ("b", 5)):
            write_nifti(folder / f"{case}.nii.gz", np.where(labels_of() == 2, value, labels_of()), AFFINE)
        return note_sentences({case: read(folder, folder / f"{case}.nii.gz", reading).notes for case in "ab"}, 2)

    def test_are_told_if_they_fit_no_case(self, tmp_path):
        assert self.notes(tmp_path, LabelReading({4: 2, 5: 2})) == []
        found = self.notes(tmp_path, LabelReading({4: 2, 5: 2, 7: 1, "Cyst": 0}))
        assert found == [f"The label map has no '{key}', which --label-map names, in 2 of 2 cases: a, b." for key in ("7", "Cyst")]

    def test_segments(self, tmp_path):
        write_segments(tmp_path / "a.seg.nrrd", labels_of()[None], AFFINE, [("Kidney, left", 1, 0), ("Cyst", 2, 0)])
        notes = read(tmp_path, tmp_path / "a.seg.nrrd", LabelReading({"cyst": 0, "Cist": 0}, names=[NAMES])).notes
        assert [note.what for note in notes] == ["The label map has no 'Cist', which --label-map names,"]
