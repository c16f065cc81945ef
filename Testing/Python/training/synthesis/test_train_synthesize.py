"""`attentionseg train --synthesize`: from label maps alone to a model that finds its label in any contrast."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
from AttentionSegLib.cli import main as attentionseg
from AttentionSegLib.datasets import label_cases
from AttentionSegLib.errors import InputError
from AttentionSegLib.image import Image
from AttentionSegLib.inference import Predictor
from AttentionSegLib.models import load_model
from drawing import BODY, BODY_VALUE, STILL, make_map, make_synthesis, write_map, write_maps
from tiny_training import make_document, make_labels, write_recipe

pytest.importorskip("lightning")

from AttentionSegLib.training import train_model

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("blank_pictures")]


def command(folder: Path, *more: str, output: str = "model") -> list[str]:
    data = ["--labels", str(folder / "maps"), "--synthesize", "--output", str(folder / output), "--device", "cpu"]
    return ["train", *data, *more]


def planned(folder: Path, *more: str, output: str = "model", learn_as: str = f"{BODY_VALUE}=0") -> list[str]:
    names = ["--label-names", "Left box,Right box", "--network", "attention-unet", "--hours", "1"]
    return command(folder, "--learn-as", learn_as, *names, *more, output=output)


@pytest.fixture
def folder(tmp_path) -> Path:
    write_maps(tmp_path / "maps")
    return tmp_path


class TestPlan:
    @pytest.fixture(scope="class")
    def work(self, tmp_path_factory) -> Path:
        folder = tmp_path_factory.mktemp("plan")
        write_maps(folder / "maps")
        assert attentionseg(planned(folder, "--only-plan")) == 0
        return folder / "model-training"

    def test_it_says_how_images_are_drawn(self, work):
        plan = json.loads((work / "plan.json").read_text())
        assert plan["training"]["synthesis"]["learned_as"] == {str(BODY_VALUE): 0}
        assert plan["training"]["mirror_swaps"] == [[1, 2]]
        assert any("synthesized from one of 3 label maps" in note for note in plan["notes"])
        assert plan["card"]["field_of_view"] == {"kind": "whole"}

    def test_a_page_shows_what_the_network_will_see(self, work):
        page = (work / "examples.html").read_text()
        assert "synthetic patches" in page
        assert "data:image/png;base64," in page

    def test_what_is_not_learned_is_no_label_of_the_survey(self, work):
        survey = json.loads((work / "survey.json").read_text())
        assert survey["label_names"] == {"1": "Left box", "2": "Right box"}
        assert {tuple(case["labels"]) for case in survey["cases"]} == {("1", "2")}


@pytest.mark.slow
def test_a_short_training_finds_its_label_bright_or_dark(tmp_path):
    values = np.where(make_map() == 2, BODY, make_map())
    for number in range(3):
        write_map(tmp_path / "maps" / f"map_{number}.nii.gz", np.roll(values, 2 * number, 1))
    (tmp_path / "scans").mkdir()
    (tmp_path / "truth").mkdir()
    bright = np.select([values == 1, values == BODY], [900.0, 300.0], 0.0) + np.random.default_rng(0).normal(0, 20, values.shape)
    nibabel.save(nibabel.Nifti1Image(bright.astype(np.float32), np.eye(4)), tmp_path / "scans" / "real.nii.gz")
    nibabel.save(nibabel.Nifti1Image((values == 1).astype(np.uint8), np.eye(4)), tmp_path / "truth" / "real.nii.gz")
    synthesis = make_synthesis(learned_as={BODY_VALUE: 0}, noise=0.05, translation_mm=2.0).document
    settings = {"epochs": 1, "steps_per_epoch": 120, "patch_size": [32, 32, 32], "mirror_axes": [], "foreground_share": 1.0, "synthesis": synthesis}
    recipe = write_recipe(tmp_path, make_document({"labels": make_labels(1), "patch_size": [32, 32, 32]}, **settings))
    real = ("--validation-images", str(tmp_path / "scans"), "--validation-labels", str(tmp_path / "truth"))
    assert attentionseg(command(tmp_path, *real, "--plan", str(recipe))) == 0

    model = load_model(tmp_path / "model")
    assert model.card.raw["training"]["val_cases"] == ["real"]
    predictor = Predictor(model, "cpu")
    for image in (bright, 1000 - bright):
        found = predictor(Image(image[None].astype(np.float32), np.eye(4)), attention=False).labels.voxels[0] == 1
        assert 2 * (found & (values == 1)).sum() / (found.sum() + (values == 1).sum()) > 0.7


def test_maps_are_validated_on_by_drawn_scans_and_a_training_goes_on(folder):
    settings = {"epochs": 1, "synthesis": {**STILL, "learned_as": {str(BODY_VALUE): 0}}}
    recipe = write_recipe(folder, make_document(**settings))
    cases = label_cases(folder / "maps")
    done = train_model(cases, None, folder / "first", work=folder / "work", plan=recipe)
    assert done.scores.summary()["mean"]["dice"]["n"] == 1
    longer = write_recipe(folder, make_document(**{**settings, "epochs": 2}))
    train_model(cases, None, folder / "second", work=folder / "work", plan=longer)
    assert sorted(path.name for path in (folder / "work" / "log").iterdir()) == ["version_0", "version_1"]


class TestRefused:
    @pytest.mark.parametrize(
        ("more", "message"),
        [
            (["--images", "x"], "label maps alone"),
            (["--channel-names", "T1"], "a single scan"),
            (["--validation-images", "x"], "Give both"),
        ],
    )
    def test_options_that_do_not_go_together(self, folder, capsys, more, message):
        assert attentionseg(planned(folder, *more)) != 0
        assert message in capsys.readouterr().err

    def test_values_of_other_maps_without_synthesize(self, folder, capsys):
        assert attentionseg(["train", "--images", "a", "--labels", "b", "--learn-as", "4=0", "--network", "attention-unet", "--output", "o"]) != 0
        assert "add --synthesize" in capsys.readouterr().err

    @pytest.mark.parametrize("learn_as", ["40", "40=left", "0=1", "=3"])
    def test_unreadable_pairs(self, folder, capsys, learn_as):
        assert attentionseg(planned(folder, learn_as=learn_as)) != 0
        assert f"--learn-as holds '{learn_as}'" in capsys.readouterr().err

    def test_unreadable_tissues(self, folder, capsys):
        assert attentionseg(planned(folder, "--tissues", "1=white")) != 0
        assert "--tissues holds '1=white'" in capsys.readouterr().err

    def test_tissues_are_in_the_plan(self, folder):
        assert attentionseg(planned(folder, "--tissues", "1=1,2=1", "--only-plan")) == 0
        (plan,) = folder.rglob("plan.json")
        assert json.loads(plan.read_text())["training"]["synthesis"]["tissues"] == {"1": 1, "2": 1}

    def test_maps_with_other_labels_are_named(self, folder, capsys):
        values = make_map()
        values[0, 0, 0] = 77
        write_map(folder / "maps" / "map_0.nii.gz", values)
        assert attentionseg(planned(folder, "--only-plan")) != 0
        assert "map_0.nii.gz holds 77, not among the labels" in capsys.readouterr().err

    def test_a_plan_for_scans_does_not_suit_label_maps(self, folder):
        with pytest.raises(InputError, match="label maps without scans, and it has no synthesis"):
            train_model(label_cases(folder / "maps"), None, folder / "model", plan=write_recipe(folder, make_document()))
