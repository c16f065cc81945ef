"""The descriptions of data sets by nnU-Net and the Decathlon, as sets of cases."""

from __future__ import annotations

import json

import pytest
from AttentionSegLib.datasets.dataset_json import dataset_cases
from AttentionSegLib.datasets.label_reading import LabelReading
from case_folders import ids, refused, write_dataset, write_split

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
