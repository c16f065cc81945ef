"""A whole training in seconds: it learns, goes on where it was cut off, and writes a model that can be used."""

from __future__ import annotations

import csv
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from AttentionSegLib.errors import InputError
from AttentionSegLib.image import Image
from AttentionSegLib.inference import Predictor
from AttentionSegLib.models import load_model
from AttentionSegLib.networks import build_network
from AttentionSegLib.training import __main__ as command
from AttentionSegLib.training.recipe import Recipe, find_cases
from tiny_training import make_document, make_volumes, write_cases, write_recipe

pytest.importorskip("lightning")
from AttentionSegLib.training.module import SegmentationModule
from AttentionSegLib.training.trainer import train

pytestmark = pytest.mark.filterwarnings("ignore")


EPOCHS = 30


# Small enough for patches of 16 voxels: 8 per axis where it attends, 1 at its deepest.
GUIDED = {"spatial_dims": 3, "backbone": 10, "backbone_width": 0.0625, "stem_stride": 2, "width": 4, "norm": "instance"}


def long_document() -> dict:
    return make_document(epochs=EPOCHS, card={"title": "Boxes (Größe)"})


def arguments(folder: Path, document: dict) -> list[str]:
    """The arguments of the command for the cases in `folder`."""
    options = {name: str(folder / name) for name in ("images", "labels", "work", "output")}
    split, recipe = write_cases(folder), write_recipe(folder, document)
    return [str(recipe), "--split", str(split), "--device", "cpu", *(part for name, path in options.items() for part in (f"--{name}", path))]


def run_command(monkeypatch, given: list[str]) -> int:
    monkeypatch.setattr(sys, "argv", ["training", *given])
    return command.main()


def checkpoint(work: Path, name: str = "last") -> dict:
    return torch.load(work / f"{name}.ckpt", weights_only=False)


def losses_logged(work: Path, name: str = "loss") -> list[dict[int, float]]:
    """The loss, or a term of it, by epoch of each run, in the order of the runs."""
    losses = []
    for path in sorted((work / "log").glob("version_*/metrics.csv")):
        with path.open(newline="") as stream:
            losses.append({int(row["epoch"]): float(row[name]) for row in csv.DictReader(stream) if row[name]})
    return losses


class TestCommand:
    @pytest.fixture(scope="class")
    def trained(self, tmp_path_factory) -> Path:
        folder = tmp_path_factory.mktemp("training")
        with pytest.MonkeyPatch.context() as patch:
            given = arguments(folder, long_document())
            assert run_command(patch, given) == 0
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

    def test_the_weights_are_the_averaged_ones_of_the_best_epoch(self, trained):
        network = load_model(trained / "output").network.state_dict()
        best = checkpoint(trained / "work", "best")["state_dict"]
        for name, value in network.items():
            torch.testing.assert_close(value, best[f"averaged.module.{name}"], rtol=2**-10, atol=2**-24)
        assert not torch.allclose(network["head.weight"], best["network.head.weight"], atol=1e-4)

    def test_a_model_that_is_there_is_not_overwritten(self, trained, monkeypatch, capsys):
        before = (trained / "output" / "model.json").read_bytes()
        assert run_command(monkeypatch, arguments(trained, make_document())) == 2
        assert "There is already something at" in capsys.readouterr().err
        assert (trained / "output" / "model.json").read_bytes() == before

    def test_running_it_again_after_the_end_writes_the_same_model(self, trained, monkeypatch):
        given = [str(trained / "again") if text == str(trained / "output") else text for text in arguments(trained, long_document())]
        assert run_command(monkeypatch, given) == 0
        for name in ("model.json", "weights.safetensors"):
            assert (trained / "again" / name).read_bytes() == (trained / "output" / name).read_bytes()

    @pytest.mark.parametrize(
        ("document", "said"),
        [
            (make_document(epochs=0), "epochs"),
            (make_document(card={"limits": []}), "limits"),
            (make_document(card={"network": {"name": "unet", "arguments": {}}}), "There is no network 'unet'"),
            (make_document(batch_size=3), "2 training cases"),
            (make_document(class_weights=[1, 2]), "class_weights is [1, 2]; give one finite weight above 0 for each of the 3 classes"),
        ],
        ids=["recipe", "card", "network", "batch", "weights"],
    )
    def test_what_is_wrong_is_said_in_one_line(self, tmp_path, monkeypatch, capsys, document, said):
        assert run_command(monkeypatch, arguments(tmp_path, document)) == 2
        error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("training: ")]
        assert len(error) == 1
        assert said in error[0]
        assert not (tmp_path / "output").exists()

    def test_without_lightning_it_says_how_to_get_it(self, tmp_path, monkeypatch, capsys):
        monkeypatch.setitem(sys.modules, "lightning", None)
        for name in ("trainer", "module"):
            monkeypatch.delitem(sys.modules, f"AttentionSegLib.training.{name}")
        assert run_command(monkeypatch, arguments(tmp_path, make_document())) == 2
        assert "pip install 'lightning" in capsys.readouterr().err


class TestGuided:
    @pytest.fixture(scope="class")
    def trained(self, tmp_path_factory) -> Path:
        folder = tmp_path_factory.mktemp("guided")
        document = make_document(card={"network": {"name": "guided-attention", "arguments": GUIDED}}, class_weights=[0.5, 1, 1])
        with pytest.MonkeyPatch.context() as patch:
            assert run_command(patch, arguments(folder, document)) == 0
        return folder

    def test_the_model_can_be_loaded_and_used(self, trained):
        model = load_model(trained / "output")
        assert (model.card.network, model.card.raw["training"]["class_weights"]) == ("guided-attention", [0.5, 1, 1])
        image, labels = make_volumes(seed=9)
        prediction = Predictor(trained / "output", "cpu")(Image(image[None], np.eye(4), "case_9"))
        assert prediction.labels.voxels.shape[1:] == labels.shape
        assert "guided_scale1_step2" in prediction.attention

    def test_every_term_of_the_loss_is_logged(self, trained):
        terms = [losses_logged(trained / "work", f"loss_{name}")[0][0] for name in ("cross_entropy", "guided", "reconstruction", "dice")]
        assert min(terms) > 0
        assert losses_logged(trained / "work")[0][0] == pytest.approx(sum(terms))


class TestResume:
    @pytest.fixture
    def run(self, tmp_path):
        cases = find_cases(tmp_path / "images", tmp_path / "labels", write_cases(tmp_path))
        recipe = Recipe.load(write_recipe(tmp_path, make_document()))
        return lambda epochs, work="work", **settings: train(
            replace(recipe, epochs=epochs, **settings), recipe.draft_card(), cases, tmp_path / work, "cpu"
        )

    def test_it_goes_on_where_it_was_cut_off(self, run, tmp_path):
        run(1)
        first = checkpoint(tmp_path / "work")
        assert (first["epoch"], first["global_step"]) == (0, 2)
        run(2)
        second = checkpoint(tmp_path / "work")
        assert (second["epoch"], second["global_step"]) == (1, 4)
        assert [set(losses) for losses in losses_logged(tmp_path / "work")] == [{0}, {1}]
        assert second["state_dict"]["averaged.n_averaged"] == 4

    def test_the_rest_does_not_repeat_the_random_numbers_of_the_start(self, run, tmp_path):
        """A network that hardly moves has the same loss again exactly if it sees the same augmented images again."""
        run(1, learning_rate=1e-12)
        run(2, learning_rate=1e-12)
        run(1, learning_rate=1e-12, work="same")
        (first, rest), (same,) = losses_logged(tmp_path / "work"), losses_logged(tmp_path / "same")
        assert same[0] == pytest.approx(first[0], abs=1e-5)
        assert rest[1] != pytest.approx(first[0], abs=1e-3)

    def test_the_same_seed_gives_the_same_network(self, run):
        first, second = run(1, work="first"), run(1, work="second")
        for name, value in first.state_dict().items():
            torch.testing.assert_close(second.state_dict()[name], value, rtol=1e-4, atol=1e-5)


class TestModule:
    @pytest.fixture
    def module(self, tmp_path) -> SegmentationModule:
        recipe = Recipe.load(write_recipe(tmp_path, make_document()))
        return SegmentationModule(build_network("attention-unet", 1, 3, make_document()["card"]["network"]["arguments"]), recipe, 3, steps=100)

    def test_the_rate_rises_then_falls_to_zero(self, module):
        optimizer = module.configure_optimizers()["lr_scheduler"]["scheduler"]
        rates = []
        for _ in range(100):
            rates.append(optimizer.get_last_lr()[0])
            optimizer.optimizer.step()
            optimizer.step()
        assert rates[0] < rates[1] < max(rates) == pytest.approx(0.01)
        assert rates[3:] == sorted(rates[3:], reverse=True)
        assert optimizer.get_last_lr()[0] == pytest.approx(0, abs=1e-9)

    def test_a_label_that_no_validation_case_has_does_not_spoil_the_choice(self, module, monkeypatch):
        logged = {}
        monkeypatch.setattr(module, "log", lambda name, value, **_options: logged.update({name: float(value)}))
        module.dice = [torch.tensor([0.5, float("nan")]), torch.tensor([0.7, float("nan")])]
        module.on_validation_epoch_end()
        assert logged["val_dice"] == pytest.approx(0.6)
        assert module.dice == []


def test_a_card_with_a_network_that_is_not_there_is_refused(tmp_path):
    recipe = Recipe.load(write_recipe(tmp_path, make_document(card={"network": {"name": "attention-unet", "arguments": {"spatial_dims": 5}}})))
    cases = find_cases(tmp_path / "images", tmp_path / "labels", write_cases(tmp_path))
    with pytest.raises(InputError, match=r"^The network 'attention-unet' cannot be built [^\n]+\.$"):
        train(recipe, recipe.draft_card(), cases, tmp_path / "work", "cpu")
