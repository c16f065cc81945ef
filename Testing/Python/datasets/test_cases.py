"""Which files are a case, and which cases are learned from or checked on."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import defaultdict
from pathlib import Path

import nibabel
import numpy as np
import pytest
from AttentionSegLib.datasets.case_set import CaseSet, folder_cases
from AttentionSegLib.datasets.cases import Case, find_cases, pair_scans, read_labelled
from AttentionSegLib.datasets.dataset_json import dataset_cases
from AttentionSegLib.datasets.label_reading import LabelReading
from AttentionSegLib.datasets.validation_split import draw_validation, subject_of
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
            ("a b " + " ".join(f"x{n}" for n in range(9)), "a b", "no label map of x4 and 4 more; "),
            ("a_0000 a_0001 b_0000 c_0000 c_0001", "a b c", "Most cases have 2 channel(s), but not b (1); "),
            ("a_0000 a_0002", "a", "Case a has no scan a_0001"),
            ("a a_0000", "a", "are channel 0 of case a; "),
        ],
        ids=["lonely", "none", "many", "channels", "gap", "both"],
    )
    def test_what_does_not_pair_is_named(self, tmp_path, images, labels, sentence):
        assert sentence in refused(pair_scans, *folders(tmp_path, images, labels))

    def test_two_files_of_one_name(self, tmp_path):
        images, labels = folders(tmp_path, "a", "a")
        touch(images, "a.nrrd")
        assert "has both a.nii.gz and a.nrrd" in refused(pair_scans, images, labels)

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
            ("id,role\na,train\nz,val\n", "There is no scan of case z in "),
            ("id role\na train\n", "cannot be read (KeyError"),
            ("id,role\na,train\nb\n", "cannot be read (KeyError"),
        ],
        ids=["no-val", "no-train", "twice", "missing", "blanks", "short"],
    )
    def test_a_wrong_split(self, tmp_path, text, sentence):
        assert sentence in refused(find_cases, *folders(tmp_path, "a b", "a b"), write_split(tmp_path, text))

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


NNUNET = {
    "channel_names": {"0": "T1", "1": "FLAIR"},
    "labels": {"background": 0, "edema": 1, "core": 2, "ignore": 3},
    "file_ending": ".nii.gz",
    "licence": "CC0",
}
DECATHLON = {
    "name": "Hippocampus",
    "reference": "Vanderbilt",
    "modality": {"0": "MRI"},
    "labels": {"0": "background", "1": "Anterior", "2": "Posterior"},
    "training": [{"image": f"./imagesTr/h_{n}.nii.gz", "label": f"./labelsTr/h_{n}.nii.gz"} for n in (2, 1, 3)],
}


def write_dataset(folder: Path, document: dict, images: str = "a_0000 a_0001 b_0000 b_0001", labels: str = "a b") -> Path:
    for name, stems in (("imagesTr", images), ("labelsTr", labels)):
        touch(folder / name, *(f"{stem}.nii.gz" for stem in stems.split()))
    (folder / "dataset.json").write_text(json.dumps(document), encoding="utf-8")
    return folder


class TestNnunet:
    def test_cases_channels_and_labels(self, tmp_path):
        found = dataset_cases(write_dataset(tmp_path, NNUNET))
        assert sorted(ids(found, "train") + ids(found, "val")) == ["a", "b"]
        assert [path.name for path in found.roles["train"][0].images] == [f"{ids(found, 'train')[0]}_000{n}.nii.gz" for n in (0, 1)]
        assert (found.channel_names, found.label_names, found.ignored_label) == (("T1", "FLAIR"), {1: "edema", 2: "core"}, 3)
        assert found.about == {"license": "CC0"}

    def test_its_own_split(self, tmp_path):
        write_dataset(tmp_path, NNUNET)
        (tmp_path / "splits_final.json").write_text(json.dumps([{"train": ["b"], "val": ["a"]}]))
        found = dataset_cases(tmp_path / "dataset.json")
        assert (ids(found, "train"), ids(found, "val")) == (["b"], ["a"])
        assert found.notes == ("The split splits_final.json (fold 0) says which cases are for training and which for validation.",)

    def test_a_split_of_other_cases(self, tmp_path):
        write_dataset(tmp_path, NNUNET)
        assert "names case z, which is not among the data" in refused(dataset_cases, tmp_path, write_split(tmp_path, "id,role\na,train\nz,val\n"))

    def test_cases_listed_one_by_one(self, tmp_path):
        listed = {name: {"images": [f"x/{name}.nii.gz", f"y/{name}.nii.gz"], "label": f"z/{name}.nii.gz"} for name in ("p", "q")}
        found = dataset_cases(write_dataset(tmp_path, {**NNUNET, "dataset": listed}))
        case = found.roles["val"][0]
        assert case.images == (tmp_path / f"x/{case.id}.nii.gz", tmp_path / f"y/{case.id}.nii.gz")
        assert case.label == tmp_path / f"z/{case.id}.nii.gz"

    @pytest.mark.parametrize(
        ("change", "sentence"),
        [
            ({"file_ending": ".npy"}, "files end in '.npy'; convert them"),
            ({"labels": {"background": 0, "whole": [1, 2], "core": 2}}, "makes the label 'whole' of several values"),
            ({"labels": ["background", "edema"]}, "The entry 'labels' of "),
            ({"channel_names": {"0": "T1"}}, "There are 1 names of channels (T1), but 2 file(s) per case"),
            ({"dataset": {}}, "names no labeled scan"),
        ],
        ids=["format", "regions", "labels", "channels", "empty"],
    )
    def test_what_cannot_be_used(self, tmp_path, change, sentence):
        assert sentence in refused(dataset_cases, write_dataset(tmp_path, {**NNUNET, **change}))

    @pytest.mark.parametrize("content", ["{", "[]", "3"])
    def test_a_file_that_is_no_description(self, tmp_path, content):
        (tmp_path / "dataset.json").write_text(content)
        assert "dataset.json cannot be used (" in refused(dataset_cases, tmp_path)

    def test_no_file(self, tmp_path):
        assert "dataset.json cannot be used (No such file or directory)" in refused(dataset_cases, tmp_path)


class TestDecathlon:
    def test_cases_and_labels(self, tmp_path):
        found = dataset_cases(write_dataset(tmp_path, DECATHLON))
        assert sorted(ids(found, "train") + ids(found, "val")) == ["h_1", "h_2", "h_3"]
        assert (found.channel_names, found.label_names, found.ignored_label) == (("MRI",), {1: "Anterior", 2: "Posterior"}, None)
        assert found.about == {"name": "Hippocampus", "citation": "Vanderbilt"}
        case = found.roles["val"][0]
        assert case.images == (tmp_path / "imagesTr" / f"{case.id}.nii.gz",)

    def test_channels_in_one_file(self, tmp_path):
        text = refused(dataset_cases, write_dataset(tmp_path, {**DECATHLON, "modality": {"0": "FLAIR", "1": "T1w"}}))
        assert "4D images with the channels FLAIR, T1w, which cannot be read; save each channel as a file of its own" in text

    def test_a_case_twice(self, tmp_path):
        text = refused(dataset_cases, write_dataset(tmp_path, {**DECATHLON, "training": DECATHLON["training"] * 2}))
        assert "names case h_1 more than once" in text


NNUNET_1 = {
    "name": "Hippocampus",
    "modality": {"0": "T1", "1": "T2"},
    "labels": {"0": "background", "1": "Anterior", "2": "Posterior"},
    "training": [{"image": f"./imagesTr/{case}.nii.gz", "label": f"./labelsTr/{case}.nii.gz"} for case in "ab"],
}


class TestEveryDescription:
    def test_the_first_version_of_nnunet(self, tmp_path):
        found = dataset_cases(write_dataset(tmp_path, NNUNET_1))
        assert sorted(path.name for path in found.roles["val"][0].images) == [f"{ids(found, 'val')[0]}_000{n}.nii.gz" for n in (0, 1)]
        assert (found.channel_names, found.label_names) == (("T1", "T2"), {1: "Anterior", 2: "Posterior"})

    def test_cases_without_label_maps(self, tmp_path):
        text = refused(dataset_cases, write_dataset(tmp_path, {**NNUNET_1, "training": ["./imagesTr/a.nii.gz"]}))
        assert "lists ./imagesTr/a.nii.gz among its cases" in text

    @pytest.mark.parametrize("encoding", ["utf-16", "cp1252"])
    def test_paths_and_text_of_windows_and_other_endings(self, tmp_path, encoding):
        training = [{key: path.replace("/", "\\") for key, path in entry.items()} for entry in NNUNET_1["training"]]
        folder = write_dataset(tmp_path, {**NNUNET_1, "training": training})
        (folder / "dataset.json").write_text(json.dumps({**NNUNET_1, "name": "Müller", "training": training}, ensure_ascii=False), encoding=encoding)
        for path in list((folder / "labelsTr").iterdir()):
            path.rename(path.with_name(f"{path.name[0]}.NII.GZ"))
        found = dataset_cases(folder)
        assert found.about["name"] == "Müller"
        assert all(path.is_file() for of in found.roles.values() for case in of for path in (*case.images, case.label))

    @pytest.mark.parametrize(
        "labels",
        [
            {"background": "0", "edema": "1", "core": "2"},
            {"background": 0, "edema": [1], "core": ["2"]},
            {"0": "Background ", "1": "edema", "2": "core"},
            {"edema": 1, "core": 2},
            {"background": 0.0, "edema": 1.0, "core": 2.0, "Ignore": 3.0},
        ],
        ids=["text", "lists", "turned-round", "no-background", "numbers-with-a-point"],
    )
    def test_values_in_every_form(self, tmp_path, labels):
        assert dataset_cases(write_dataset(tmp_path, {**NNUNET, "labels": labels})).label_names == {1: "edema", 2: "core"}

    @pytest.mark.parametrize(
        ("labels", "sentence"),
        [
            ({"liver": 0, "tumor": 1}, "gives a label the value 0, which is background"),
            ({"0": "liver", "1": "tumor"}, "gives a label the value 0, which is background"),
            ({"background": 0, "edema": 1, "core": 1}, "gives the labels 'edema' and 'core' the same value 1"),
            ({"background": 0, "edema": "one"}, "gives the label 'edema' the value 'one'"),
            ({"background": 0, "edema": 1.5}, "gives the label 'edema' the value 1.5"),
            ({"background": 0, "edema": 1, "core": 4}, "(--label-map 4=2)"),
        ],
    )
    def test_values_that_are_none(self, tmp_path, labels, sentence):
        assert sentence in refused(dataset_cases, write_dataset(tmp_path, {**NNUNET, "labels": labels}))

    def test_values_read_as_others(self, tmp_path):
        folder = write_dataset(tmp_path, {**NNUNET, "labels": {"background": 0, "necrosis": 1, "edema": 2, "enhancing": 4, "cyst": 5}})
        assert dataset_cases(folder, reading=LabelReading({4: 3, 5: 1})).label_names == {1: "necrosis", 2: "edema", 3: "enhancing"}

    def test_a_value_to_ignore_that_only_the_user_knows(self, tmp_path):
        folder = write_dataset(tmp_path, {**NNUNET, "labels": {"background": 0, "edema": 1}})
        assert dataset_cases(folder, reading=LabelReading(ignored_label=255)).ignored_label == 255
        write_dataset(tmp_path, NNUNET)
        assert "leave out --ignored-label" in refused(dataset_cases, folder, reading=LabelReading(ignored_label=255))

    @pytest.mark.parametrize("ending", [".NII.GZ", "nii.gz", ".nrrd", ".MHD"])
    def test_file_endings(self, tmp_path, ending):
        assert dataset_cases(write_dataset(tmp_path, {**NNUNET, "file_ending": ending})).channel_names == ("T1", "FLAIR")

    def test_a_missing_entry_is_named(self, tmp_path):
        document = {key: value for key, value in NNUNET.items() if key != "labels"}
        assert "has no entry 'labels'" in refused(dataset_cases, write_dataset(tmp_path, document))


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
