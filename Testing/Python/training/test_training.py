"""A whole training in seconds: it learns, says what is wrong, and writes a model that can be used."""

from __future__ import annotations

import csv
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from AttentionSegLib.cli import main as attentionseg
from AttentionSegLib.image import Image
from AttentionSegLib.inference import Predictor
from AttentionSegLib.lock import locked
from AttentionSegLib.models import load_model
from tiny_training import make_document, make_volumes, write_cases, write_recipe

pytest.importorskip("lightning")

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("blank_pictures")]


EPOCHS = 30


# Small enough for patches of 16 voxels: 8 per axis where it attends, 1 at its deepest.
GUIDED = {"spatial_dims": 3, "backbone": 10, "backbone_width": 0.0625, "stem_stride": 2, "width": 4, "norm": "instance"}


def long_document() -> dict:
    return make_document(epochs=EPOCHS, card={"title": "Boxes (Größe)"})


def arguments(folder: Path, document: dict) -> list[str]:
    """The arguments of the command for the cases in `folder`."""
    options = {name: str(folder / name) for name in ("images", "labels", "work", "output")}
    split, recipe = write_cases(folder), write_recipe(folder, document)
    given = ["train", "--plan", str(recipe), "--split", str(split), "--device", "cpu"]
    return [*given, *(part for name, path in options.items() for part in (f"--{name}", path))]


def checkpoint(work: Path, name: str = "last") -> dict:
    return torch.load(work / f"{name}.ckpt", weights_only=False)


def logged(work: Path, name: str = "loss") -> dict[int, float]:
    """What the CSV log says, by epoch."""
    with (work / "log" / "version_0" / "metrics.csv").open(newline="") as stream:
        return {int(row["epoch"]): float(row[name]) for row in csv.DictReader(stream) if row[name]}


class TestCommand:
    @pytest.fixture(scope="class")
    def trained(self, tmp_path_factory) -> Path:
        folder = tmp_path_factory.mktemp("training")
        assert attentionseg(arguments(folder, long_document())) == 0
        return folder

    def test_the_model_can_be_loaded_and_says_how_it_was_made(self, trained):
        model = load_model(trained / "output")
        assert model.card.title == "Boxes (Größe)"
        assert model.card.raw["training"]["train_cases"] == ["case_1", "case_2"]
        assert model.card.raw["training"]["epochs"] == EPOCHS

    def test_the_model_has_learned(self, trained):
        image, labels = make_volumes(seed=9)
        prediction = Predictor(trained / "output", "cpu")(Image(image[None], np.eye(4), "case_9"))
        for value in (1, 2):
            found, wanted = prediction.labels.voxels[0] == value, labels == value
            assert 2 * (found & wanted).sum() / (found.sum() + wanted.sum()) > 0.6

    def test_the_model_has_a_picture_of_what_it_segments(self, trained):
        assert (trained / "output" / "thumbnail.png").read_bytes().startswith(b"\x89PNG")
        assert sorted(path.name for path in (trained / "output").iterdir()) == ["model.json", "thumbnail.png", "weights.safetensors"]

    def test_the_weights_are_the_averaged_ones_of_the_best_epoch(self, trained):
        network = load_model(trained / "output").network.state_dict()
        best = checkpoint(trained / "work", "best")["state_dict"]
        for name, value in network.items():
            torch.testing.assert_close(value, best[f"averaged.module.{name}"], rtol=2**-10, atol=2**-24)
        assert not torch.allclose(network["head.weight"], best["network.head.weight"], atol=1e-4)

    def test_a_model_that_is_there_is_not_overwritten(self, trained, capsys):
        before = (trained / "output" / "model.json").read_bytes()
        assert attentionseg(arguments(trained, make_document())) == 2
        assert "There is already something at" in capsys.readouterr().err
        assert (trained / "output" / "model.json").read_bytes() == before

    def test_running_it_again_after_the_end_writes_the_same_model(self, trained):
        given = [str(trained / "again") if text == str(trained / "output") else text for text in arguments(trained, long_document())]
        assert attentionseg(given) == 0
        for name in ("model.json", "weights.safetensors"):
            assert (trained / "again" / name).read_bytes() == (trained / "output" / name).read_bytes()

    @pytest.mark.parametrize(
        ("document", "said"),
        [
            (make_document(epochs=0), "epochs"),
            (make_document(card={"limits": []}), "limits"),
            (make_document(card={"network": {"name": "unet", "arguments": {}}}), "There is no network 'unet'"),
            (make_document(mirror_swaps=[[2, 3]]), "mirror_swaps holds [3]"),
            (make_document(ignored_label=2), "ignored_label is 2"),
            (make_document(class_weights=[1, 2]), "class_weights is [1, 2]; give one finite weight above 0 for each of the 3 classes"),
        ],
        ids=["recipe", "card", "network", "swaps", "ignored", "weights"],
    )
    def test_what_is_wrong_is_said_in_one_line(self, tmp_path, capsys, document, said):
        assert attentionseg(arguments(tmp_path, document)) == 2
        error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("attentionseg: ")]
        assert len(error) == 1
        assert said in error[0]
        assert not (tmp_path / "output").exists()

    def test_two_at_a_time_do_not_train_in_one_folder(self, tmp_path, capsys):
        given = arguments(tmp_path, make_document())
        (tmp_path / "work").mkdir()
        with locked(tmp_path / "work"):
            assert attentionseg(given) == 2
        assert f"Another run (process {os.getpid()} on" in capsys.readouterr().err
        assert not (tmp_path / "output").exists()

    def test_without_lightning_it_says_how_to_get_it(self, tmp_path, monkeypatch, capsys):
        monkeypatch.setitem(sys.modules, "lightning", None)
        for name in ("trainer", "module"):
            monkeypatch.delitem(sys.modules, f"AttentionSegLib.training.{name}")
        assert attentionseg(arguments(tmp_path, make_document())) == 2
        assert "pip install lightning" in capsys.readouterr().err


class TestGuided:
    @pytest.fixture(scope="class")
    def trained(self, tmp_path_factory) -> Path:
        folder = tmp_path_factory.mktemp("guided")
        document = make_document(card={"network": {"name": "guided-attention", "arguments": GUIDED}}, class_weights=[0.5, 1, 1])
        assert attentionseg(arguments(folder, document)) == 0
        return folder

    def test_the_model_can_be_loaded_and_used(self, trained):
        model = load_model(trained / "output")
        assert (model.card.network, model.card.raw["training"]["class_weights"]) == ("guided-attention", [0.5, 1, 1])
        image, labels = make_volumes(seed=9)
        prediction = Predictor(trained / "output", "cpu")(Image(image[None], np.eye(4), "case_9"))
        assert prediction.labels.voxels.shape[1:] == labels.shape
        assert "guided_scale1_step2" in prediction.attention

    def test_every_term_of_the_loss_is_logged(self, trained):
        terms = [logged(trained / "work", f"loss_{name}")[0] for name in ("cross_entropy", "guided", "reconstruction", "dice")]
        assert min(terms) > 0
        assert logged(trained / "work")[0] == pytest.approx(sum(terms))


class TestPictures:
    """A 2D network, which sees axial slices."""

    @pytest.fixture(scope="class")
    def trained(self, tmp_path_factory) -> Path:
        folder = tmp_path_factory.mktemp("pictures")
        network = {"name": "attention-unet", "arguments": {"spatial_dims": 2, "channels": [8, 16]}}
        patch = [16, 16, 1]
        card = {"network": network, "slices": "axial", "patch_size": patch}
        settings = {"patch_size": patch, "batch_size": 8, "steps_per_epoch": 40, "foreground_share": 0.7, "augmentation": "light"}
        assert attentionseg(arguments(folder, make_document(card, **settings))) == 0
        return folder

    def test_it_learns_and_its_folder_holds_the_network_for_pictures(self, trained):
        assert load_model(trained / "output").network.total_stride == (2, 2)
        image, labels = make_volumes(seed=9)
        found = Predictor(trained / "output", "cpu")(Image(image[None], np.eye(4), "case_9")).labels.voxels[0]
        for value in (1, 2):
            assert 2 * ((found == value) & (labels == value)).sum() / ((found == value).sum() + (labels == value).sum()) > 0.6
