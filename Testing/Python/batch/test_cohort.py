"""Which cases a batch finds in a folder, and what it calls them."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import SimpleITK
from AttentionSegLib.batch.cohort import find_cases
from AttentionSegLib.errors import InputError
from AttentionSegLib.files import read_image, write_map, write_segmentation
from AttentionSegLib.image import Image
from AttentionSegLib.reporting.sheet import Sheet
from batch_scans import write_dicom
from cohort_files import ONE, inputs, names, touch
from dicom_series import directions_of, write_slice
from PIL import Image as Pillow
from pydicom.uid import generate_uid


class TestFolder:
    def test_every_volume_is_a_case(self, tmp_path):
        touch(tmp_path, "b.nii.gz", "a.nrrd", "c.mha", "d.NII", "e.nhdr", "notes.txt", ".hidden.nii", "a b/deep.nii")
        assert names(find_cases(tmp_path, ONE)) == ["a", "b", "c", "d", "e"]

    def test_subfolders_when_asked_for(self, tmp_path):
        touch(tmp_path, "a.nii", "s 1/x.nii.gz", "s 2/x.nii.gz", ".cache/y.nii")
        assert inputs(find_cases(tmp_path, ONE, recursive=True), tmp_path) == {
            "a": ["a.nii"],
            "s_1__x": ["s 1/x.nii.gz"],
            "s_2__x": ["s 2/x.nii.gz"],
        }

    def test_a_pattern_chooses(self, tmp_path):
        touch(tmp_path, "a_T1.nii.gz", "a_T2.nii.gz", "b_T1.nii")
        assert names(find_cases(tmp_path, ONE, pattern="*_T1.nii*")) == ["a_T1", "b_T1"]

    def test_results_of_a_batch_and_segmentations_are_no_scans(self, tmp_path):
        touch(tmp_path, "a.nii", "a.seg.nrrd", "out/cases/a/a.nii", "older/b.nii", "older/cases/b.nii")
        (tmp_path / "older" / "manifest.jsonl").write_text('{"case": "b", "weights_sha256": "w"}\n')
        cohort = find_cases(tmp_path, ONE, tmp_path / "out", recursive=True)
        assert names(cohort) == ["a"]
        assert {(Path(one.path).name, one.reason) for one in cohort.skipped} == {
            ("a.seg.nrrd", "a segmentation, not a scan"),
            ("older", "results of a batch"),
        }

    def test_a_manifest_of_another_program_hides_no_scan(self, tmp_path):
        touch(tmp_path, "manifest.jsonl", "b.nii")
        assert names(find_cases(tmp_path, ONE)) == ["b"]

    @pytest.mark.parametrize("ending", [".nrrd", ".nii.gz"])
    def test_own_results_are_known_by_their_content(self, tmp_path, ending):
        image = Image(np.random.default_rng(0).random((1, 4, 4, 4)), np.eye(4))
        write_map(image, tmp_path / f"scan_map{ending}")
        write_map(image, tmp_path / f"renamed{ending}", "gate_2", ONE)
        write_segmentation(Image(np.ones((1, 4, 4, 4), np.uint8), np.eye(4)), ONE, tmp_path / f"labels{ending.replace('.nrrd', '.seg.nrrd')}")
        cohort = find_cases(tmp_path, ONE)
        assert names(cohort) == ["scan_map"]
        assert sorted(one.reason for one in cohort.skipped) == ["a segmentation by AttentionSeg", "the map gate_2 of AttentionSeg"]

    def test_own_results_that_were_converted_are_known(self, tmp_path):
        write_map(Image(np.random.default_rng(0).random((1, 4, 4, 4)), np.eye(4)), tmp_path / "map.nrrd", "gate_2", ONE)
        SimpleITK.WriteImage(SimpleITK.ReadImage(str(tmp_path / "map.nrrd")), str(tmp_path / "a.mha"))
        (tmp_path / "map.nrrd").unlink()
        touch(tmp_path, "b.mha")
        assert names(find_cases(tmp_path, ONE)) == ["b"]

    def test_pictures_for_a_model_of_volumes_are_listed(self, tmp_path):
        Sheet(20, 20).save(tmp_path / "own.png")
        Pillow.fromarray(np.zeros((9, 9), np.uint8)).save(tmp_path / "photo.png")
        touch(tmp_path, "a.nii")
        cohort = find_cases(tmp_path, ONE)
        assert names(cohort) == ["a"]
        assert sorted(one.reason for one in cohort.skipped) == ["a picture by AttentionSeg", "a picture, where the model takes volumes"]

    def test_archives_are_listed(self, tmp_path):
        touch(tmp_path, "a.nii", "series.zip")
        assert [one.reason for one in find_cases(tmp_path, ONE).skipped] == ["an archive; unpack it first"]

    def test_one_scan(self, tmp_path):
        touch(tmp_path, "a b.nii.gz")
        assert names(find_cases(tmp_path / "a b.nii.gz", ONE)) == ["a_b"]


class TestNames:
    def test_of_two_that_would_be_one_end_in_a_check_sum(self, tmp_path):
        touch(tmp_path, "a.nii", "a.nrrd", "A.mha", "b c.nii", "b_c.nii", "d.nii")
        found = names(find_cases(tmp_path, ONE))
        assert len({name.casefold() for name in found}) == 6
        assert {name.rpartition("-")[0].casefold() or name for name in found} == {"a", "b_c", "d"}
        assert found == names(find_cases(tmp_path, ONE))

    def test_stay_what_they_are_when_the_folder_moves(self, tmp_path):
        before = names(find_cases(touch(tmp_path / "x", "a.nii", "a.nrrd"), ONE))
        (tmp_path / "x").rename(tmp_path / "y")
        assert names(find_cases(tmp_path / "y", ONE)) == before

    def test_leave_room_for_what_is_added_to_them(self, tmp_path):
        long = "ä" * 110
        touch(tmp_path, f"{long} 1.nii.gz", f"{long} 2.nii.gz", "é" * 30 + ".nii.gz")
        found = names(find_cases(tmp_path, ONE))
        assert all(len(name.encode()) <= 120 for name in found)
        assert len(set(found)) == 3
        assert "é" * 30 in found


class TestDicom:
    def test_series_of_the_modality_are_cases_and_localizers_and_others_are_listed(self, tmp_path):
        voxels = {name: write_dicom(tmp_path / "scan", seed, **tags) for seed, (name, tags) in enumerate(self.SERIES.items())}
        cohort = find_cases(tmp_path, ONE, recursive=True)
        assert names(cohort) == ["scan__3_T1_axial", "scan__4"]
        np.testing.assert_array_equal(read_image(cohort.cases[0].inputs[0]).voxels[0], voxels["T1"])
        np.testing.assert_array_equal(read_image(cohort.cases[1].inputs[0]).voxels[0], voxels["other"])
        assert {one.reason for one in cohort.skipped} == {"a localizer", "CT, where the model takes MR"}
        assert all(one.path.startswith("scan") for one in cohort.skipped)

    SERIES: ClassVar = {
        "T1": {"Modality": "MR", "SeriesNumber": 3, "SeriesDescription": "T1 axial"},
        "other": {"Modality": "MR", "SeriesNumber": 4},
        "scout": {"Modality": "MR", "SeriesNumber": 1, "ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]},
        "CT": {"Modality": "CT", "SeriesNumber": 2},
    }

    def test_a_series_alone_is_called_after_its_folder(self, tmp_path):
        write_dicom(tmp_path / "Müller" / "T1", 0, Modality="MR")
        assert names(find_cases(tmp_path, ONE, recursive=True)) == ["Müller__T1"]
        assert names(find_cases(tmp_path / "Müller" / "T1", ONE)) == ["T1"]

    def test_images_beside_others_are_called_after_their_files(self, tmp_path):
        """Such as radiographs in one folder: each is a series, and their descriptions are alike."""
        axial = directions_of("axial")
        for name in ("one.dcm", "IM0002", "alone/1.dcm"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            tags = {"Modality": "MR", "SeriesNumber": 1, "SeriesDescription": "chest", "SeriesInstanceUID": generate_uid()}
            write_slice(tmp_path / name, np.zeros((5, 6), np.int16), np.zeros(3), axial, **tags)
        cohort = find_cases(tmp_path, ONE, recursive=True)
        assert names(cohort) == ["IM0002", "alone", "one"]
        assert [Path(case.inputs[0]).name for case in cohort.cases] == ["IM0002", "alone", "one.dcm"]
        touch(tmp_path / "alone", "b.nii")
        assert names(find_cases(tmp_path / "alone", ONE)) == ["1", "b"]

    def test_a_damaged_slice_is_a_problem_of_its_series(self, tmp_path):
        write_dicom(tmp_path / "a", 0, Modality="MR")
        write_dicom(tmp_path / "b", 0, Modality="MR")
        slice_ = sorted((tmp_path / "b").iterdir())[1]
        slice_.write_bytes(slice_.read_bytes().replace(b"US\x02\x00\x05", b"US\x03\x00\x05"))
        a, b = find_cases(tmp_path, ONE, recursive=True).cases
        assert a.problem is None
        assert b.problem == f"{slice_} is a damaged DICOM file; copy or export it again."


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ([], r"There is no case in .*; give a folder of scans, or search its subfolders too"),
        (["a.seg.nrrd"], r"There is no case in .* \(1 skipped, such as .*a.seg.nrrd: a segmentation, not a scan\)"),
        (None, "There is no file or folder"),
    ],
)
def test_nothing_found(tmp_path, files, sentence):
    root = tmp_path / "nowhere" if files is None else touch(tmp_path, *files)
    with pytest.raises(InputError, match=sentence):
        find_cases(root, ONE)
