"""`attentionseg train --found-by`: a coarse model finds the region, a fine one segments it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from AttentionSegLib.cli import main as attentionseg
from AttentionSegLib.datasets import folder_cases
from AttentionSegLib.datasets.cases import read_labelled
from AttentionSegLib.errors import InputError
from AttentionSegLib.files import read_image
from AttentionSegLib.inference import Predictor
from AttentionSegLib.models import load_model
from AttentionSegLib.models.found_by import FindingModel
from AttentionSegLib.planning import schedule
from AttentionSegLib.training.found_regions import check_finding, surveyed_regions
from tiny_models import save_unet
from tiny_training import ROLES, make_document, make_labels, write_case, write_recipe, write_split

pytest.importorskip("lightning")

from AttentionSegLib.training import train_model

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("blank_pictures")]

SHAPE = (64, 56, 56)
# Half of the edge of the bright box.
HALF = 5


def volumes(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise with a box, bright in its lower half (1) and very bright in the upper (2), away from the center of the scan."""
    random = np.random.default_rng(seed)
    i, j, k = random.integers(14, 24, 3)
    labels = np.zeros(SHAPE, np.uint8)
    labels[i - HALF : i + HALF, j - HALF : j + HALF, k - HALF : k] = 1
    labels[i - HALF : i + HALF, j - HALF : j + HALF, k : k + HALF] = 2
    return (80.0 * labels + random.normal(0, 10, SHAPE)).astype(np.float32), labels


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Three cases, and `models` with the trained models `coarse` and `fine`."""
    folder = tmp_path_factory.mktemp("cascade")
    (folder / "whole").mkdir()
    for seed, case in enumerate(ROLES):
        image, labels = volumes(seed)
        write_case(folder, case, image, labels)
        write_case(folder / "whole", case, image, (labels > 0).astype(np.uint8))
    split = write_split(folder, ROLES)
    one = [{**make_labels(1)[0], "name": "Box"}]
    card = {"id": "coarse", "labels": one, "spacing_mm": [2.0, 2.0, 2.0], "patch_size": [32, 28, 28], "postprocessing": {"largest_component": [1]}}
    recipe = write_recipe(folder, make_document(card, epochs=1, steps_per_epoch=15, patch_size=[32, 28, 28]))
    whole = folder_cases(folder / "whole" / "images", folder / "whole" / "labels", split)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ATTENTIONSEG_MODELS", str(folder / "models"))
        patch.setattr(schedule, "MOST_STEPS", 8)
        train_model(whole, None, folder / "models" / "coarse", work=folder / "work", plan=recipe, device="cpu")
        save_unet(folder / "models" / "two-inputs", id="two-inputs", inputs=2 * make_document()["card"]["inputs"])
        assert attentionseg(command(folder)) == 0
        yield folder


def command(folder: Path, found_by: str = "coarse:Box", output: str = "fine") -> list[str]:
    data = ["--images", str(folder / "images"), "--labels", str(folder / "labels"), "--split", str(folder / "split.csv")]
    names = ["--label-names", "Lower,Upper", "--network", "attention-unet", "--hours", "0.1", "--device", "cpu"]
    return ["train", *data, *names, "--found-by", found_by, "--output", str(folder / "models" / output)]


class TestTrained:
    def test_the_card_names_what_finds_the_region(self, folder):
        card = load_model(folder / "models" / "fine").card
        assert card.raw["found_by"] == {"kind": "model", "model": "coarse", "labels": {"Box": "Box"}}
        # The box of 10 mm, at least 6 mm on each side, and what the finder is off.
        assert all(22 <= size <= 28 for size in card.region_size)
        assert card.raw["training"]["val_cases"] == ["case_3"]
        assert "--found-by coarse:Box" in card.raw["training"]["command"]

    def test_the_plan_says_how_far_off_the_finder_is(self, folder):
        notes = json.loads((folder / "models" / "fine-training" / "plan.json").read_text())["notes"]
        assert any("around Box, where coarse finds it" in note and "mm from the place found" in note for note in notes)

    def test_a_scan_is_segmented_in_one_call(self, folder):
        prediction = Predictor("fine", "cpu")(read_image(folder / "images" / "case_3.nii.gz"))
        reference = np.argwhere(volumes(2)[1])
        center = prediction.labels.to_ras((reference.min(0) + reference.max(0)) / 2)
        assert np.linalg.norm(np.subtract(prediction.regions["Box"].center, center)) < 3
        assert [label.name for label in prediction.card.labels] == ["Lower", "Upper"]

    def test_the_accuracy_is_that_of_whole_scans(self, folder, tmp_path):
        folders = {name: str(folder / name) for name in ("images", "labels")}
        options = {"model": "fine", **folders, "output": str(tmp_path / "out"), "split": str(folder / "split.csv"), "role": "val", "device": "cpu"}
        assert attentionseg(["evaluate", *(part for name, value in options.items() for part in (f"--{name}", value))]) == 0
        summary = json.loads((tmp_path / "out" / "summary.json").read_text())
        accuracy = load_model(folder / "models" / "fine").card.raw["accuracy"]
        assert [entry["value"] for entry in accuracy] == pytest.approx([by["dice"]["mean"] for by in summary.values()], abs=1e-3)


def test_each_side_is_a_crop_of_its_own_around_the_place_found(folder, tmp_path):
    source = FindingModel.parse("coarse:right=Box,left=Box")
    cases = folder_cases(folder / "images", folder / "labels", folder / "split.csv")
    whole, crops, region = surveyed_regions(cases, source, ["MR"], tmp_path, "cpu", None, None)
    assert [case.id for case in crops.roles["val"]] == ["case_3_right", "case_3_left"]
    assert [case.id for case in whole.roles["val"]] == ["case_3"]
    image, label, _ = read_labelled(crops.roles["val"][0])
    assert all(size <= length <= size + 2 for size, length in zip(region.size, image.shape))
    reference = read_image(whole.roles["val"][0].label)
    assert np.count_nonzero(label.voxels) == np.count_nonzero(reference.voxels)
    first = [one.to_ras(np.argwhere(one.voxels[0] == 2).min(0)) for one in (label, reference)]
    assert np.allclose(*first)


class TestRefused:
    @pytest.mark.parametrize(
        ("found_by", "said"),
        [
            ("missing:Box", "missing"),
            ("coarse:Sphere", "has no label 'Sphere', only Box"),
            ("fine:Lower", "has regions to be found itself"),
            ("two-inputs:Hippocampus anterior", "and the cases have 1 scan"),
            ("coarse", "MODEL:right=LABEL,left=LABEL"),
        ],
    )
    def test_what_cannot_find_the_regions(self, folder, capsys, found_by, said):
        assert attentionseg(command(folder, found_by, output="other")) == 2
        assert said in capsys.readouterr().err
        assert not (folder / "models" / "other-training" / "regions").exists()

    def test_labels_with_sides_for_two_regions(self, folder):
        source = FindingModel.parse("coarse:right=Box,left=Box")
        cases = folder_cases(folder / "images", folder / "labels", label_names={1: "Left box", 2: "Right box"})
        with pytest.raises(InputError, match="--label-map 2=1"):
            check_finding(source, cases, None, None)

    def test_scans_that_are_regions_themselves(self, folder, tmp_path, capsys):
        for seed, case in enumerate(ROLES):
            image, labels = volumes(seed)
            write_case(tmp_path, case, image[:36, :36, :36], labels[:36, :36, :36])
        write_split(tmp_path, ROLES)
        (tmp_path / "models").mkdir()
        assert attentionseg(command(tmp_path)) == 2
        assert "takes scans up to twice that size for the region itself" in capsys.readouterr().err


class TestSyntax:
    @pytest.mark.parametrize(
        ("text", "labels"),
        [
            ("brain:Left ventricle", {"Left ventricle": "Left ventricle"}),
            ("brain:Hippocampus, anterior", {"Hippocampus, anterior": "Hippocampus, anterior"}),
            ("brain:right=Hippocampus, right,left=Hippocampus, left", {"right": "Hippocampus, right", "left": "Hippocampus, left"}),
            ("brain:left=Left hippocampus", {"left": "Left hippocampus"}),
        ],
    )
    def test_labels_and_sides(self, text, labels):
        assert FindingModel.parse(text).document == {"kind": "model", "model": "brain", "labels": labels}

    @pytest.mark.parametrize("text", ["brain", "brain:", ":Liver", "brain:right=,left=Liver", "brain:right=A,right=B"])
    def test_what_says_too_little(self, text):
        with pytest.raises(InputError, match="MODEL:LABEL"):
            FindingModel.parse(text)
