"""Which files are a case, and what a case is read as."""

from __future__ import annotations

import json
import unicodedata
from collections import defaultdict
from pathlib import Path

import nibabel
import numpy as np
import pytest
from AttentionSegLib.datasets.cases import Case, find_cases, pair_scans, read_labelled
from AttentionSegLib.files.nifti import write_nifti
from case_folders import folders, refused, touch, write_split
from dicom_series import affine_of, directions_of, positions_of, write_series


class TestPairs:
    def test_one_scan_each(self, tmp_path):
        images, labels = folders(tmp_path, "b a", "a b")
        assert pair_scans(images, labels) == [Case(name, (images / f"{name}.nii.gz",), labels / f"{name}.nii.gz") for name in "ab"]

    def test_channels_as_nnunet_numbers_them(self, tmp_path):
        images, labels = folders(tmp_path, "a_0001 a_0000 b_0000 b_0001", "a b")
        assert [[path.name for path in case.images] for case in pair_scans(images, labels)] == [
            ["a_0000.nii.gz", "a_0001.nii.gz"],
            ["b_0000.nii.gz", "b_0001.nii.gz"],
        ]

    def test_a_number_that_is_part_of_the_name(self, tmp_path):
        assert [case.id for case in pair_scans(*folders(tmp_path, "a_0001 a_0002", "a_0001 a_0002"))] == ["a_0001", "a_0002"]

    def test_other_formats_and_files_that_are_no_scans(self, tmp_path):
        images, labels = touch(tmp_path / "images", "a.nrrd", "b.mha", ".c.nii.gz", "notes.txt"), touch(tmp_path / "labels", "a.seg.nrrd", "b.nii")
        assert [(case.images[0].name, case.label.name) for case in pair_scans(images, labels)] == [("a.nrrd", "a.seg.nrrd"), ("b.mha", "b.nii")]

    @pytest.mark.parametrize(
        ("images", "labels", "sentence"),
        [
            ("a b", "a c", "do not pair: no label map of b, no scan of c; "),
            ("", "", "There is no scan in "),
            ("", "a", "There is no scan in "),
            ("a b " + " ".join(f"x{n}" for n in range(9)), "a b", "no label map of x4 and 4 more; "),
            ("a_0000 a_0001 b_0000 c_0000 c_0001", "a b c", "Most cases have 2 channel(s), but not b (1); "),
            ("a_0000 a_0002", "a", "Case a has no scan a_0001"),
            ("a a_0000", "a", "are channel 0 of case a; "),
        ],
        ids=["lonely", "none", "no scans", "many", "channels", "gap", "both"],
    )
    def test_what_does_not_pair_is_named(self, tmp_path, images, labels, sentence):
        assert sentence in refused(pair_scans, *folders(tmp_path, images, labels))

    def test_two_files_of_one_name(self, tmp_path):
        images, labels = folders(tmp_path, "a", "a")
        touch(images, "a.nrrd")
        assert "has both a.nii.gz and a.nrrd" in refused(pair_scans, images, labels)

    def test_folders_of_dicom_slices(self, tmp_path):
        names, directions = ("Müller 1", "b.2"), directions_of("oblique")
        positions = positions_of(4, directions)
        voxels = {name: np.random.default_rng(len(name)).integers(-900, 900, (6, 5, 4)).astype(np.int16) for name in names}
        for name in names:
            folder = tmp_path / "images" / name
            write_series(folder, voxels[name], positions, directions)
            touch(folder, "README.txt")
            (tmp_path / "labels").mkdir(exist_ok=True)
            write_nifti(tmp_path / "labels" / f"{name}.nii.gz", (voxels[name] > 0).astype(np.uint8), affine_of(positions, directions))
        touch(tmp_path / "images" / "notes", "about.txt")
        touch(tmp_path / "images" / ".hidden", "IM0001")

        cases = pair_scans(tmp_path / "images", tmp_path / "labels")
        assert [case.id for case in cases] == sorted(names)
        for case in cases:
            image, label, _ = read_labelled(case)
            assert np.array_equal(image.voxels[0], voxels[case.id])
            assert np.array_equal(label.voxels, image.voxels > 0)
        split = write_split(tmp_path, "id,role\nb.2,train\nMüller 1,val\n")
        assert find_cases(tmp_path / "images", tmp_path / "labels", split) == {"train": [cases[1]], "val": [cases[0]]}

    def test_folders_beside_scans_are_no_cases(self, tmp_path):
        images, labels = folders(tmp_path, "a", "a")
        write_series(images / "b", np.zeros((6, 5, 4), np.int16), positions_of(4, directions_of("axial")), directions_of("axial"))
        assert [case.id for case in pair_scans(images, labels)] == ["a"]

    def test_a_dicom_folder_without_label_map(self, tmp_path):
        images, labels = folders(tmp_path, "", "")
        write_series(images / "b", np.zeros((6, 5, 4), np.int16), positions_of(4, directions_of("axial")), directions_of("axial"))
        assert "no label map of b; " in refused(pair_scans, images, labels)

    def test_a_missing_folder(self, tmp_path):
        assert "There is no folder" in refused(pair_scans, tmp_path / "none", tmp_path)


class TestSplit:
    def test_roles_of_the_csv_file(self, tmp_path):
        images, labels = folders(tmp_path, "a b_0000 b_0001 c d", "a b c d")
        split = write_split(tmp_path, "\ufeffid,dev_role\na,train\nc,val\nd,test\n")
        assert find_cases(images, labels, split) == {
            role: [Case(name, (images / f"{name}.nii.gz",), labels / f"{name}.nii.gz")]
            for role, name in (("train", "a"), ("val", "c"), ("test", "d"))
        }

    def test_capitals_and_accents_of_macos(self, tmp_path):
        folders(tmp_path, "", "")
        for kind, form in (("images", "NFD"), ("labels", "NFC")):
            touch(tmp_path / kind, *(unicodedata.normalize(form, f"Müller{n}.nii.gz") for n in (1, 2)))
        assert [case.id for case in pair_scans(tmp_path / "images", tmp_path / "labels")] == ["Müller1", "Müller2"]
        split = write_split(tmp_path, unicodedata.normalize("NFD", "ID,Role\nMüller1,Train\nMüller2,VAL\n"))
        assert {role: len(cases) for role, cases in find_cases(tmp_path / "images", tmp_path / "labels", split).items()} == {"train": 1, "val": 1}

    def test_channels(self, tmp_path):
        images, labels = folders(tmp_path, "a_0000 a_0001 b_0000 b_0001", "a b")
        cases = find_cases(images, labels, write_split(tmp_path, "id,role\na,train\nb,val\n"))
        assert [path.name for path in cases["val"][0].images] == ["b_0000.nii.gz", "b_0001.nii.gz"]

    @pytest.mark.parametrize(
        ("images", "labels", "sentence"),
        [
            ("a_0000 a_0002 b_0000 b_0002", "a b", "Case a has no scan a_0001, but one of a later channel; "),
            ("a_0001 b_0001", "a b", "Case a has no scan a_0000"),
            ("a a_0000 b", "a b", "are channel 0 of case a; "),
            ("a", "a b", "There is no scan of case b in "),
            ("a b", "a", "There is no label map of case b in "),
            ("a_0000 b_0000", "a", "There is no label map of case b in "),
        ],
        ids=["gap", "first missing", "both", "no scan", "no label map", "no label map of channels"],
    )
    def test_what_does_not_pair_is_named(self, tmp_path, images, labels, sentence):
        split = write_split(tmp_path, "id,role\na,train\nb,val\n")
        assert sentence in refused(find_cases, *folders(tmp_path, images, labels), split)

    def test_first_fold_of_nnunet(self, tmp_path):
        images, labels = folders(tmp_path, "a b c", "a b c")
        split = tmp_path / "splits_final.json"
        split.write_text(json.dumps([{"train": ["c", "a"], "val": ["b"]}, {"train": ["b"], "val": ["a"]}]))
        assert {role: [case.id for case in found] for role, found in find_cases(images, labels, split).items()} == {"train": ["c", "a"], "val": ["b"]}

    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            ("id,role\na,train\n", "has no case of the role 'val', but of train"),
            ("id,role\na,val\n", "has no case of the role 'train'"),
            ("id,role\na,train\nb,val\na,val\n", "names case a more than once"),
            ("id,role\na,train\nz,val\n", "There is no label map of case z in "),
            ("id role\na train\n", "has the columns id role; give a CSV file with the columns id and role."),
            ("id,role\na,train\nb\n", "Line 3 of the split "),
            ("id,role\na,train\n,val\n", "Line 3 of the split "),
        ],
        ids=["no-val", "no-train", "twice", "missing", "blanks", "short", "no id"],
    )
    def test_a_wrong_split(self, tmp_path, text, sentence):
        assert sentence in refused(find_cases, *folders(tmp_path, "a b", "a b"), write_split(tmp_path, text))

    @pytest.mark.parametrize("fold", [{"a": 1}, [[1]], [], [{"train": "ab", "val": ["b"]}], [{"train": [1], "val": [2]}]])
    def test_a_wrong_split_of_nnunet(self, tmp_path, fold):
        split = tmp_path / "splits_final.json"
        split.write_text(json.dumps(fold))
        assert "is no list of folds with the names of the cases under 'train' and 'val'" in refused(
            find_cases, *folders(tmp_path, "a b", "a b"), split
        )

    def test_both_sides_of_a_subject_stay_in_one_role(self, data_folder):
        folder = data_folder / "hippocampus"
        cases = find_cases(folder / "images", folder / "labels", folder / "split.csv")
        roles = defaultdict(set)
        for role, found in cases.items():
            for case in found:
                # The data are numbered by subject: 1 and 2 are the sides of the first.
                roles[(int(case.id.split("_")[1]) + 1) // 2].add(role)
        assert set(cases) == {"train", "val"}
        assert all(len(of_subject) == 1 for of_subject in roles.values())


class TestEndings:
    def test_capitals_make_no_difference(self, tmp_path):
        images = touch(tmp_path / "images", "a.NII.GZ", "b.MHA", "c.Nhdr", "d_0000.nii.GZ")
        labels = touch(tmp_path / "labels", "a.nii", "b.mhd", "c.SEG.NRRD", "d.NRRD")
        assert [case.id for case in pair_scans(images, labels)] == ["a", "b", "c", "d"]
        found = find_cases(images, labels, write_split(tmp_path, "id,role\na,train\nd,val\n"))
        assert found["val"][0].images[0].name == "d_0000.nii.GZ"


class TestReading:
    def write(self, path: Path, shape: tuple[int, int, int], shift: float = 0.0) -> Path:
        affine = np.eye(4)
        affine[0, 3] = shift
        nibabel.save(nibabel.Nifti1Image(np.arange(np.prod(shape), dtype=np.int16).reshape(shape), affine), path)
        return path

    def test_channels_of_one_image(self, tmp_path):
        paths = [self.write(tmp_path / f"{name}.nii.gz", (4, 5, 6)) for name in "abc"]
        image, label, _ = read_labelled(Case("x", (paths[0], paths[1]), paths[2]))
        assert (image.voxels.shape, label.voxels.shape) == ((2, 4, 5, 6), (1, 4, 5, 6))

    @pytest.mark.parametrize(
        ("shape", "shift", "sentence"),
        [((4, 5, 7), 0, "20 of 139 labeled voxels of "), ((4, 5, 6), 0.2, "lie up to 0.2 mm apart")],
    )
    def test_a_label_map_on_another_grid(self, tmp_path, shape, shift, sentence):
        case = Case("x", (self.write(tmp_path / "a.nii.gz", (4, 5, 6)),), self.write(tmp_path / "b.nii.gz", shape, shift))
        assert sentence in refused(read_labelled, case)

    def test_rounding_in_a_header_does_not_matter(self, tmp_path):
        case = Case("x", (self.write(tmp_path / "a.nii.gz", (4, 5, 6)),), self.write(tmp_path / "b.nii.gz", (4, 5, 6), 5e-4))
        read_labelled(case)
