"""Recipes: what a training is given, checked before it starts."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path
from unittest.mock import Mock

import pytest
from AttentionSegLib.cli import main
from AttentionSegLib.datasets.cases import find_cases
from AttentionSegLib.errors import InputError
from AttentionSegLib.models import Card, find_model
from AttentionSegLib.networks import build_network
from AttentionSegLib.training.recipe import Recipe
from tiny_training import ROLES, make_document, write_cases, write_recipe, write_split

REPOSITORY = Path(__file__).resolve().parents[3]
SHIPPED = sorted((REPOSITORY / "AttentionSeg" / "AttentionSegLib" / "training" / "recipes").glob("*.json"))


def load(folder, document) -> Recipe:
    return Recipe.load(write_recipe(folder, document))


class TestShippedRecipes:
    def test_there_is_one_to_start_from(self):
        assert SHIPPED

    @pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
    def test_its_card_is_valid_and_its_network_can_be_built(self, path):
        recipe = Recipe.load(path)
        card = recipe.draft_card()
        network = build_network(card.network, len(card.inputs), len(card.labels) + 1, card.network_arguments)
        assert path.stem == card.id
        # The network pads patches to a multiple of its stride: those of the training are then as large as those of a run.
        assert tuple(-(-size // stride) * stride for size, stride in zip(recipe.patch_size, network.total_stride)) == card.patch_size

    @pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
    def test_the_command_in_the_card_of_its_model_begins_the_training(self, path, tmp_path, monkeypatch, capsys):
        command = Card.load(find_model(path.stem) / "model.json").raw["training"]["command"]
        shutil.copy(path, tmp_path)
        write_split(tmp_path, ROLES)
        validated = ["head"] if "--synthesize" in command else ROLES
        for kind, cases in {"images": validated, "labels": ROLES, "references": validated}.items():
            (tmp_path / kind).mkdir()
            for case in cases:
                (tmp_path / kind / f"{case}.nii.gz").touch()
        begin = Mock(side_effect=InputError("it begins"))
        monkeypatch.setattr("AttentionSegLib.training.trainer.train", begin)
        monkeypatch.chdir(tmp_path)
        assert main([*shlex.split(command)[1:], "--output", "model"]) == InputError.exit_code
        assert capsys.readouterr().err.endswith("attentionseg: it begins\n")
        assert begin.call_args.args[0] == Recipe.load(path)


class TestRecipe:
    def test_settings(self, tmp_path):
        recipe = load(tmp_path, make_document(epochs=7, mirror_axes=[0, 2]))
        assert (recipe.epochs, recipe.mirror_axes, recipe.patch_size) == (7, (0, 2), (16, 16, 16))
        assert (recipe.class_weights, recipe.dice_weight) == (None, 1.0)
        assert (recipe.steps_per_epoch, recipe.schedule, recipe.gradient_clip, recipe.augmentation) == (None, "cosine", 1.0, "default")
        assert (recipe.mirror_swaps, recipe.ignored_label, recipe.foreground_share) == ((), None, 0.5)
        assert (recipe.validate_every, recipe.patience) == (5, None)
        assert recipe.draft_card().id == "boxes"

    def test_sides_are_separated_by_the_pairs_of_the_training(self, tmp_path):
        document = make_document(mirror_axes=[0], mirror_swaps=[[1, 2]])
        document["card"]["postprocessing"] = {"separate_sides": True}
        labels = document["card"]["labels"]
        document["card"]["labels"] = [{**labels[0], "value": value, "name": f"Part {value}"} for value in (1, 2)]
        assert load(tmp_path, document).draft_card().side_pairs == ((1, 2),)

    def test_a_plan_with_everything_in_it(self, tmp_path):
        settings = {
            "steps_per_epoch": 250,
            "schedule": "polynomial",
            "gradient_clip": None,
            "mirror_swaps": [[1, 2]],
            "ignored_label": 255,
            "foreground_share": 0.33,
            "augmentation": "strong",
            "validate_every": 10,
            "patience": 50,
        }
        document = {**make_document(**settings), "notes": ["The labels 1 and 2 are the two sides of one organ."]}
        recipe = load(tmp_path, document)
        assert recipe.mirror_swaps == ((1, 2),)
        assert {name: getattr(recipe, name) for name in settings if name != "mirror_swaps"} == {
            name: value for name, value in settings.items() if name != "mirror_swaps"
        }

    @pytest.mark.parametrize("name", ["patch_size", "batch_size", "epochs", "learning_rate", "weight_decay", "average_decay", "mirror_axes", "seed"])
    def test_a_missing_setting_is_named(self, tmp_path, name):
        document = make_document()
        del document["training"][name]
        with pytest.raises(InputError, match=rf"^The recipe [^\n]+ cannot be used [^\n]*{name}[^\n]+\.$"):
            load(tmp_path, document)

    @pytest.mark.parametrize("name", ["card", "training"])
    def test_a_missing_part_is_named(self, tmp_path, name):
        document = make_document()
        del document[name]
        with pytest.raises(InputError, match=rf"^The recipe [^\n]+ cannot be used [^\n]*{name}"):
            load(tmp_path, document)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("patch_size", [16, 16]),
            ("patch_size", [16, 16, 0]),
            ("patch_size", [16, 16, 8.5]),
            ("batch_size", 0),
            ("epochs", "50"),
            ("epochs", 0),
            ("learning_rate", -1e-3),
            ("learning_rate", "fast"),
            ("learning_rate", float("nan")),
            ("weight_decay", -1),
            ("average_decay", 1),
            ("mirror_axes", [3]),
            ("mirror_axes", ["x"]),
            ("seed", -1),
            ("seed", 1.5),
            ("class_weights", [1, 0, 1]),
            ("class_weights", [1, "2", 1]),
            ("class_weights", 3),
            ("dice_weight", -1),
            ("dice_weight", None),
            ("dice_weight", True),
            ("mirror_axes", [0, 0]),
            ("steps_per_epoch", 0),
            ("schedule", "linear"),
            ("gradient_clip", 0),
            ("mirror_swaps", [[1, 2, 3]]),
            ("mirror_swaps", [[1, 2], [2, 3]]),
            ("mirror_swaps", [[0, 1]]),
            ("mirror_swaps", [1, 2]),
            ("ignored_label", "none"),
            ("foreground_share", 1.5),
            ("augmentation", "wild"),
            ("validate_every", 0),
            ("patience", 0),
            ("warm_up", 5),
            ("synthesis", {"tissue_contrast": 1.5}),
        ],
        ids=str,
    )
    def test_a_wrong_setting_is_named(self, tmp_path, name, value):
        with pytest.raises(InputError, match=rf"^The recipe [^\n]+ cannot be used [^\n]*{name}[^\n]+\.$"):
            load(tmp_path, make_document(**{name: value}))

    @pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"3"], ids=str)
    def test_a_file_that_is_no_recipe(self, tmp_path, content):
        (tmp_path / "recipe.json").write_bytes(content)
        with pytest.raises(
            InputError, match=r"^The recipe [^\n]+recipe\.json cannot be used [^\n]+; make a new plan [^\n]+ start from one of those in [^\n]+\.$"
        ):
            Recipe.load(tmp_path / "recipe.json")

    def test_a_missing_file(self, tmp_path):
        with pytest.raises(InputError, match=r"^The recipe [^\n]+nowhere\.json cannot be used"):
            Recipe.load(tmp_path / "nowhere.json")

    @pytest.mark.parametrize("change", [{"limits": []}, {"weights": {}}, {"weights": "CC0"}, {"orientation": "RAR"}], ids=str)
    def test_a_wrong_card_is_found_before_training(self, tmp_path, change):
        with pytest.raises(InputError, match=r"^the card of the recipe [^\n]+\.$"):
            load(tmp_path, make_document(card=change)).draft_card()

    def test_the_finished_card_tells_how_it_was_trained(self, tmp_path):
        cases = find_cases(tmp_path / "images", tmp_path / "labels", write_cases(tmp_path))
        training = load(tmp_path, make_document(seed=11)).finished_card(cases, "attentionseg train")["training"]
        assert training["seed"] == 11
        assert training["train_cases"] == ["case_1", "case_2"]
        assert training["val_cases"] == ["case_3"]
        assert json.loads(json.dumps(training))["patch_size"] == [16, 16, 16]
