"""`attentionseg train`: from labelled scans to a measured model, and what a person may read or change on the way."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from AttentionSegLib.cli import main as attentionseg
from AttentionSegLib.datasets.case_set import folder_cases, rescaled_cases
from AttentionSegLib.errors import InputError
from AttentionSegLib.models import load_model
from tiny_training import HOURS, make_document, write_case, write_cases, write_recipe

pytest.importorskip("lightning")

from AttentionSegLib.training import train_model
from AttentionSegLib.training.preparation import prepare_case
from AttentionSegLib.training.recipe import Recipe

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("blank_pictures", "short_plans")]


def given(folder: Path, output: str = "boxes", **options: str) -> list[str]:
    """The arguments of the command for the cases in `folder`."""
    data = {"images": str(folder / "images"), "labels": str(folder / "labels"), "split": str(folder / "split.csv")}
    words = {**data, "output": str(folder / output), "device": "cpu", **options}
    return ["train", *(part for name, value in words.items() for part in (f"--{name.replace('_', '-')}", value))]


def planned(folder: Path, output: str = "boxes", **options: str) -> list[str]:
    return given(folder, output, network="attention-unet", hours=HOURS, label_names="Bright, Dark", **options)


class TestDefault:
    @pytest.fixture(scope="class")
    def trained(self, tmp_path_factory) -> Path:
        folder = tmp_path_factory.mktemp("default")
        write_cases(folder)
        with pytest.MonkeyPatch.context() as patch, open(folder / "told.txt", "w", encoding="utf-8") as told:
            patch.setattr("sys.stdout", told)
            patch.setattr("sys.stderr", told)
            assert attentionseg(planned(folder)) == 0
        return folder

    def test_notes_on_data_and_plan_are_told_once_and_before_the_first_step(self, trained):
        told = (trained / "told.txt").read_text(encoding="utf-8").splitlines()
        notes = [f"Note: {note}" for note in json.loads((trained / "boxes-training" / "plan.json").read_text())["notes"]]
        begun = next(number for number, line in enumerate(told) if line.startswith("preparing case"))
        assert [line for line in told[:begun] if line.startswith("Note: ")] == notes
        assert [line[: len("Note: The prepared cases")] for line in told[begun:] if line.startswith("Note: ")] == ["Note: The prepared cases"]

    def test_the_card_says_what_was_measured_and_how_it_was_made(self, trained):
        card = load_model(trained / "boxes").card
        assert card.id == "boxes"
        assert [label.name for label in card.labels] == ["Bright", "Dark"]
        assert [entry["label"] for entry in card.raw["accuracy"]] == ["Bright", "Dark", "mean of the labels"]
        assert all(0 <= entry["value"] <= 1 and entry["cases"] == 1 for entry in card.raw["accuracy"])
        assert card.raw["training"]["val_cases"] == ["case_3"]

    def test_the_command_in_the_card_names_no_folder_of_this_computer(self, trained):
        command = load_model(trained / "boxes").card.raw["training"]["command"]
        assert command.startswith("attentionseg train ")
        assert "--images images --label-names 'Bright, Dark' --labels labels" in command
        assert str(trained.parent) not in command

    def test_plan_and_survey_are_there_to_read(self, trained):
        plan = json.loads((trained / "boxes-training" / "plan.json").read_text())
        assert plan["training"]["epochs"] >= 1
        assert any(note.startswith("Spacing") for note in plan["notes"])
        survey = json.loads((trained / "boxes-training" / "survey.json").read_text())
        assert [case["id"] for case in survey["cases"]] == ["case_1", "case_2", "case_3"]

    def test_the_report_shows_curves_numbers_pictures_and_plan(self, trained):
        page = (trained / "boxes-training" / "report.html").read_text(encoding="utf-8")
        notes = json.loads((trained / "boxes-training" / "plan.json").read_text())["notes"]
        for part in ("Learning curves", "<svg", "data:image/png;base64,", "Bright", "case_3", "not a medical device", notes[-1].split("'")[0]):
            assert part in page

    def test_the_measured_figures_are_those_of_the_command_evaluate(self, trained, tmp_path):
        folders = {name: str(trained / name) for name in ("images", "labels")}
        options = {"model": str(trained / "boxes"), **folders, "output": str(tmp_path / "out"), "split": str(trained / "split.csv"), "role": "val"}
        assert attentionseg(["evaluate", *(part for name, value in options.items() for part in (f"--{name}", value)), "--maps"]) == 0
        summary = json.loads((tmp_path / "out" / "summary.json").read_text())
        card = load_model(trained / "boxes").card.raw
        assert [entry["value"] for entry in card["accuracy"]] == pytest.approx([by["dice"]["mean"] for by in summary.values()], abs=1e-3)
        maps = json.loads((tmp_path / "out" / "maps.json").read_text())["mean"]
        trained_auc = {name: by["auc"]["trained"]["mean"] for name, by in maps.items() if name.startswith("gate_")}
        assert {entry["map"]: entry["roc_auc"] for entry in card["maps"]} == pytest.approx(trained_auc, abs=1e-3)

    def test_the_numbers_of_each_case_lie_beside_the_report(self, trained):
        work = trained / "boxes-training"
        with (work / "metrics.csv").open(newline="", encoding="utf-8") as stream:
            dice = {row["label"]: float(row["value"]) for row in csv.DictReader(stream) if (row["case"], row["metric"]) == ("case_3", "dice")}
        summary = json.loads((work / "summary.json").read_text())
        accuracy = load_model(trained / "boxes").card.raw["accuracy"]
        # There is one case to validate on.
        assert [entry["value"] for entry in accuracy] == pytest.approx([*dice.values(), np.mean(list(dice.values()))], abs=1e-4)
        assert summary["mean"]["dice"]["mean"] == pytest.approx(np.mean(list(dice.values())))


class TestPlan:
    def test_a_plan_can_be_made_changed_and_followed(self, folder, capsys):
        assert attentionseg([*planned(folder), "--only-plan"]) == 0
        told = capsys.readouterr().out.splitlines()
        assert not (folder / "boxes").exists()
        path = folder / "boxes-training" / "plan.json"
        plan = json.loads(path.read_text())
        assert told == [*(f"Note: {note}" for note in plan["notes"]), str(path)]
        plan["training"]["epochs"] = 1
        plan["card"]["title"] = "My boxes"
        edited = folder / "edited.json"
        edited.write_text(json.dumps(plan))
        assert attentionseg(given(folder, plan=str(edited))) == 0
        card = load_model(folder / "boxes").card
        assert (card.title, card.raw["training"]["epochs"]) == ("My boxes", 1)
        assert card.raw["training"]["command"] == "attentionseg train --images images --labels labels --plan edited.json --split split.csv"

    def test_the_plan_of_a_work_folder_is_not_made_anew(self, folder, capsys):
        assert attentionseg([*planned(folder), "--only-plan"]) == 0
        assert attentionseg(given(folder, network="guided-attention")) == 2
        assert "--network guided-attention (there: attention-unet)" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"network": "attention-unet", "dataset": "dataset.json"}, "no data to train on"),
            ({}, "Choose a network: --network attention-unet or --network guided-attention or "),
            ({"plan": "plan.json", "title": "Boxes", "hours": "2"}, "The plan plan.json replaces --title, --hours;"),
            ({"network": "attention-unet", "hours": "0"}, "cannot take 0 hours"),
            ({"network": "attention-unet", "hours": "nan"}, "cannot take nan hours"),
            ({"network": "attention-unet", "hours": "inf"}, "cannot take inf hours"),
            ({"network": "attention-unet", "seed": "-1"}, "The seed is -1"),
            ({"network": "attention-unet", "seed": str(2**32)}, "The seed is 4294967296"),
            ({"network": "attention-unet", "ignored_label": "0"}, "The value 0 is background and cannot be ignored"),
            ({"network": "attention-unet", "start_from": "no-model"}, "no-model"),
            ({"network": "attention-unet", "label_names": "Bright"}, "holds 2, not among the labels (0 background, 1 Bright)"),
            ({"plan": "no-plan.json"}, "The recipe no-plan.json cannot be used"),
        ],
    )
    def test_what_cannot_be_is_said_before_any_work(self, folder, capsys, options, said):
        assert attentionseg(given(folder, **options)) == 2
        assert said in capsys.readouterr().err
        assert not (folder / "boxes").exists()

    def test_a_plan_for_more_scans_of_a_case_is_refused(self, folder):
        inputs = make_document()["card"]["inputs"]
        recipe = write_recipe(folder, make_document(card={"inputs": [inputs[0], {**inputs[0], "name": "T2"}]}))
        with pytest.raises(InputError, match=r"is for 2 scan\(s\) of a case, and the data has 1"):
            train_model(folder_cases(folder / "images", folder / "labels"), None, folder / "boxes", plan=recipe)

    def test_a_call_without_network_and_plan_begins_nothing(self, folder):
        with pytest.raises(InputError, match="No network was given"):
            train_model(folder_cases(folder / "images", folder / "labels"), None, folder / "boxes")
        assert not (folder / "boxes-training").exists()


class TestFineTuning:
    def test_network_and_grid_are_those_of_the_model_it_starts_from(self, folder):
        recipe = write_recipe(folder, make_document(card={"spacing_mm": [1.25, 1.0, 1.0]}))
        cases = folder_cases(folder / "images", folder / "labels", folder / "split.csv")
        train_model(cases, None, folder / "first", plan=recipe, device="cpu")
        for name in ("case_1", "case_2", "case_3"):
            image, labels = np.random.default_rng(1).normal(0, 1, (18, 17, 16)).astype(np.float32), np.zeros((18, 17, 16), np.uint8)
            labels[4:8, 5:9, 5:9] = 1
            write_case(folder, name, image, labels)
        command = given(folder, "second", network="attention-unet", hours=HOURS, start_from=str(folder / "first"))
        assert attentionseg(command) == 0
        first, second = load_model(folder / "first").card, load_model(folder / "second").card
        assert len(second.labels) == 1
        for name in ("network_arguments", "spacing", "patch_size"):
            assert getattr(second, name) == getattr(first, name)
        page = (folder / "second-training" / "report.html").read_text(encoding="utf-8")
        assert "Started from boxes 1.0.0: " in page
        assert "start at random (head." in page


class TestRescale:
    def test_ct_stored_as_hu_plus_1024_is_read_in_hu(self, folder):
        for seed, name in enumerate(("case_1", "case_2", "case_3")):
            hu, labels = ct_with_a_box(seed)
            write_case(folder, name, hu + (1024 if name == "case_2" else 0), labels)
        command = given(folder, network="attention-unet", hours=HOURS, label_names="Bone", modality="CT")
        assert attentionseg([*command, "--rescale", "--only-plan"]) == 0
        plan = json.loads((folder / "boxes-training" / "plan.json").read_text())
        assert plan["training"]["rescale"] is True
        assert plan["card"]["inputs"][0]["normalization"]["window"][1] < 1024
        assert any("1024 was subtracted" in note and "case_2" in note for note in plan["notes"])
        recipe = Recipe.load(folder / "boxes-training" / "plan.json")
        cases = rescaled_cases(folder_cases(folder / "images", folder / "labels"))
        assert all(prepare_case(case, recipe.draft_card())[0].min() < -1 for of in cases.roles.values() for case in of)

    def test_scans_of_another_modality_are_refused(self, folder, capsys):
        assert attentionseg([*planned(folder), "--rescale", "--only-plan"]) == 2
        assert "taken for MR" in capsys.readouterr().err

    def test_a_plan_replaces_it(self, folder, capsys):
        assert attentionseg([*given(folder, plan="plan.json"), "--rescale"]) == 2
        assert "replaces --rescale" in capsys.readouterr().err


def ct_with_a_box(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Air around soft tissue with a box of bone, in HU, and the label map of the box."""
    random = np.random.default_rng(seed)
    hu, labels = np.full((24, 24, 24), -1000), np.zeros((24, 24, 24), np.uint8)
    hu[4:20, 4:20, 4:20] = random.normal(40, 30, (16, 16, 16))
    labels[8:13, 9:14, 8:13] = 1
    hu[labels == 1] = random.normal(700, 60, 125)
    return hu.astype(np.int16), labels
