"""Which label a voxel has: by its value, at its place in the scan; and entries of a label map that fit nothing."""

from __future__ import annotations

import argparse
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from AttentionSegLib.cli.options import add_label_options, label_reading
from AttentionSegLib.datasets.cases import Case, note_sentences, read_labelled
from AttentionSegLib.datasets.label_reading import LabelReading, Note, parse_label_map, read_labels
from AttentionSegLib.datasets.label_tables import read_otherwise
from AttentionSegLib.files.nifti import write_nifti
from AttentionSegLib.image import Image
from label_files import AFFINE, NAMES, SHAPE, SPACING, labels_of, refused, write_scan
from PIL import Image as Pillow
from poses import AXES, affine_around, storages
from segmentation_files import write_segments

# A left-handed grid, as NIfTI files often have it and 3D Slicer does not keep it.
LAS = affine_around((3, -4, 5), SHAPE, np.diag([-1.0, 1.0, 1.0]), SPACING)


def read(folder: Path, label: Path, reading: LabelReading | None = None, affine: np.ndarray = AFFINE):
    return read_labelled(Case("a", (write_scan(folder, affine),), label, reading or LabelReading()))


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

    def test_a_picture_is_laid_over_a_slice_of_its_size(self, tmp_path):
        """Such as the mask of a radiograph, whose pixels are not 1 mm wide."""
        scan = Image(np.random.default_rng(0).normal(size=(1, *SHAPE[:2], 1)).astype(np.float32), AFFINE)
        write_nifti(tmp_path / "scan.nii.gz", scan.voxels[0], scan.affine)
        labels = labels_of()[:, :, 5]
        Pillow.fromarray(labels.T).save(tmp_path / "label.png")
        case = Case("a", (tmp_path / "scan.nii.gz",), tmp_path / "label.png")
        found = read_labelled(case)
        np.testing.assert_array_equal(found.label.voxels[0, :, :, 0], labels)
        np.testing.assert_array_equal(found.label.affine, found.image.affine)
        (note,) = found.notes
        assert note.what == "The label map is a picture, which has no place, and was laid over its scan pixel by pixel"
        Pillow.fromarray(labels.T[1:]).save(tmp_path / "label.png")
        for resample in (False, True):
            sentence = refused(read_labelled, replace(case, reading=LabelReading(resample=resample)))
            assert "label.png has 9 x 9 x 1 pixels and" in sentence
            assert "give a label map in the size of its scan" in sentence

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
