"""A plan in a work folder rules only where nothing else is asked for, and says what contradicts it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from AttentionSegLib.datasets import LabelReading, folder_cases
from AttentionSegLib.datasets.case_files import file_stamps
from AttentionSegLib.errors import InputError
from AttentionSegLib.training import Synthesis
from AttentionSegLib.training.plan_match import made_for, planned_cases
from dicom_series import directions_of, positions_of, write_series
from tiny_training import make_document

ASKED = {"network": "attention-unet", "hours": 3.0}


class Folder:
    """Cases a to e, and a plan made for them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        for case in "abcde":
            self.add(case)
        self.plan = path / "plan.json"
        self.write_plan()

    def add(self, case: str) -> None:
        for kind in ("images", "labels"):
            (self.path / kind).mkdir(exist_ok=True)
            (self.path / kind / f"{case}.nii.gz").touch()

    def cases(self, **changes):
        return folder_cases(self.path / "images", self.path / "labels", **{"label_names": {1: "Bright", 2: "Dark"}, **changes})

    def write_plan(self, **asked) -> None:
        self.plan.write_text(json.dumps({**make_document(), "made_for": made_for(self.cases(), {**ASKED, **asked})}))

    def check(self, cases=None, is_given=False, **asked):
        return planned_cases(self.plan, cases or self.cases(), {**ASKED, **asked}, is_given)

    def refused(self, *args, **asked) -> str:
        with pytest.raises(InputError) as raised:
            self.check(*args, **asked)
        text = str(raised.value)
        assert "--work" in text
        assert "--restart" in text
        return text


@pytest.fixture
def folder(tmp_path) -> Folder:
    return Folder(tmp_path)


def test_files_that_file_managers_leave_beside_dicom_slices_do_not_count(tmp_path):
    for case in "ab":
        write_series(tmp_path / "images" / case, np.zeros((6, 5, 4), np.int16), positions_of(4, directions_of("axial")), directions_of("axial"))
        (tmp_path / "labels").mkdir(exist_ok=True)
        (tmp_path / "labels" / f"{case}.nii.gz").touch()

    def what_tells_changes() -> tuple:
        cases = folder_cases(tmp_path / "images", tmp_path / "labels")
        paths = [path for of in cases.roles.values() for case in of for path in (*case.images, case.label)]
        return made_for(cases, ASKED)["scans"], file_stamps(paths)

    before = what_tells_changes()
    for name in (".DS_Store", "Thumbs.db", "README.txt"):
        for case in "ab":
            (tmp_path / "images" / case / name).write_bytes(b"\0\0\0\1Bud1")
    assert what_tells_changes() == before
    (tmp_path / "images" / "a" / "IM0002").unlink()
    assert what_tells_changes() != before


def test_the_same_again_and_less_than_before(folder):
    folder.write_plan(title="Boxes", hours=8.0, seed=4)
    folder.check(title="Boxes", hours=8.0, seed=4)
    folder.check(hours=None)


def test_what_the_plan_has_chosen_may_be_asked_for(folder):
    folder.check(modality="MR", seed=3, region=False)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"network": "guided-attention"}, "--network guided-attention (there: attention-unet)"),
        ({"modality": "CT"}, "--modality CT (there: MR)"),
        ({"hours": 8.0}, "--hours 8.0 (there: 3.0)"),
        ({"seed": 7}, "--seed 7 (there: 3)"),
        ({"region": True}, "--field-of-view region (there: whole)"),
        ({"start_from": "other"}, "--start-from other (there: none)"),
        ({"output": "other"}, "--output other (there: boxes)"),
        ({"rescale": True}, "--rescale (there: none)"),
        ({"synthesis": Synthesis()}, "--synthesize (there: none)"),
    ],
)
def test_other_options_are_named(folder, asked, said):
    assert said in folder.refused(**asked)


def test_everything_at_once(folder):
    folder.add("f")
    text = folder.refused(folder.cases(label_names={1: "Bright", 2: "Gray"}), modality="CT", seed=7)
    assert all(part in text for part in ("--modality CT", "--seed 7", "--label-names Bright,Gray (there: ", "new cases (f)"))


def test_labels_read_otherwise(folder):
    assert "--label-map 4=2 (there: none)" in folder.refused(folder.cases(reading=LabelReading({4: 2})))
    assert "--ignored-label 9 (there: none)" in folder.refused(folder.cases(reading=LabelReading(ignored_label=9)))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"start_from": "first"}, "no --start-from first"),
        ({"cases": {"reading": LabelReading({1: 2, 2: 1}, resample=True)}}, "no --label-map 1=2,2=1; no --resample-labels"),
    ],
)
def test_what_was_applied_to_cases_or_weights_cannot_be_left_out(folder, options, said):
    cases = folder.cases(**options.pop("cases", {}))
    folder.plan.write_text(json.dumps({**make_document(), "made_for": made_for(cases, {**ASKED, **options})}))
    folder.check(cases, **options)
    assert said in folder.refused()


def test_other_scans_of_the_same_names(folder):
    folder.write_plan()
    for case in "ab":
        (folder.path / "images" / f"{case}.nii.gz").write_bytes(b"corrected")
    folder.check()
    (folder.path / "images" / "c.nii.gz").write_bytes(b"of another contrast")
    assert "other scans of the same names (a, b, c)" in folder.refused()
    folder.check(is_given=True)


class TestGivenPlan:
    """That is followed, whatever cases it was made for."""

    def test_it_suits_other_cases(self, folder):
        folder.add("f")
        assert folder.check(is_given=True) == folder.cases()

    def test_its_drawn_cases_count_for_the_same_cases(self, folder):
        document = json.loads(folder.plan.read_text())
        for val in "abcde":
            document["made_for"]["cases"] = {"train": sorted(set("abcde") - {val}), "val": [val]}
            folder.plan.write_text(json.dumps(document))
            assert [case.id for case in folder.check(is_given=True).roles["val"]] == [val]

    def test_its_labels_and_channels_may_be_worded_differently(self, folder):
        cases = folder.cases(label_names={1: "Anterior", 2: "Anything"}, channel_names=["T1w"])
        assert folder.check(cases, is_given=True, synthesis=Synthesis()) == cases

    def test_it_has_its_own_seed_and_labels(self, folder):
        with pytest.raises(InputError, match=r"--seed 7 \(there: 3\); --label-names Posterior,Anterior \(there: .* change the plan"):
            folder.check(folder.cases(label_names={1: "Posterior", 2: "Anterior"}), is_given=True, seed=7)


def test_cases_that_have_come_and_gone(folder):
    folder.add("f")
    (folder.path / "images" / "a.nii.gz").unlink()
    (folder.path / "labels" / "a.nii.gz").unlink()
    text = folder.refused()
    assert "new cases (f)" in text
    assert "missing cases (a)" in text


def test_another_split(folder):
    split = folder.path / "split.csv"
    split.write_text("id,role\n" + "".join(f"{case},{'val' if case in 'ab' else 'train'}\n" for case in "abcde"))
    assert "of the role 'val'" in folder.refused(folder.cases(split=split))


def test_the_drawn_cases_of_the_plan_count(folder):
    document = json.loads(folder.plan.read_text())
    document["made_for"]["cases"] = {"train": ["a", "b", "c", "d"], "val": ["e"]}
    for val in "abcde":
        document["made_for"]["cases"] = {"train": sorted(set("abcde") - {val}), "val": [val]}
        folder.plan.write_text(json.dumps(document))
        assert {role: [case.id for case in found] for role, found in folder.check().roles.items()} == document["made_for"]["cases"]


def test_an_edited_plan_goes_on_with_the_same_command(folder):
    folder.write_plan(title="Boxes")
    document = json.loads(folder.plan.read_text())
    document["card"]["title"] = "My boxes"
    document["card"]["labels"][0]["name"] = "White"
    folder.plan.write_text(json.dumps(document))
    folder.check(title="Boxes")
    assert "--title Other (there: My boxes)" in folder.refused(title="Other")


class TestOldPlans:
    """That do not say what they were made for."""

    @pytest.fixture
    def folder(self, folder) -> Folder:
        labels = make_document()["card"]["labels"]
        names = [dict(label, name=name) for label, name in zip(labels, ("Bright", "Dark"))]
        folder.plan.write_text(json.dumps(make_document({"labels": names})))
        return folder

    def test_they_go_on(self, folder):
        assert folder.check(hours=None, seed=3) == folder.cases()

    def test_they_do_not_tell_their_hours(self, folder):
        assert "--hours 8.0 (there: unknown)" in folder.refused(hours=8.0)

    def test_they_contradict_by_their_card(self, folder):
        assert "--modality CT (there: MR)" in folder.refused(modality="CT")
        assert "--label-names Left,Right (there: Bright,Dark)" in folder.refused(folder.cases(label_names={1: "Left", 2: "Right"}))

    def test_they_contradict_by_the_survey_beside(self, folder):
        cases = [{"id": case, "role": "train"} for case in "abcd"] + [{"id": "e", "role": "val"}]
        (folder.path / "survey.json").write_text(json.dumps({"cases": cases}))
        assert [case.id for case in folder.check(hours=None).roles["val"]] == ["e"]
        folder.add("f")
        assert "new cases (f)" in folder.refused()


def test_a_plan_that_cannot_be_read(folder):
    folder.plan.write_text("{")
    with pytest.raises(InputError, match=r"plan.json cannot be used .*--restart"):
        folder.check()


def test_options_in_a_plan_are_plain_json(folder):
    cases = folder.cases(reading=LabelReading({4: 2, "Cyst": 0}, resample=True, ignored_label=9), channel_names=["T1"])
    options = made_for(cases, {**ASKED, "start_from": None})["options"]
    assert options["label_map"] == {"4": 2, "Cyst": 0}
    assert options["resample_labels"] is True
    assert (options["ignored_label"], options["channel_names"]) == (9, ["T1"])
