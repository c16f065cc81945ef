"""Recipes and splits: what a training is given, checked before it starts."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from pathlib import Path

import pytest
import SimpleITK
from AttentionSegLib.errors import InputError
from AttentionSegLib.networks import build_network
from AttentionSegLib.training.recipe import Recipe, find_cases
from tiny_training import make_document, make_volumes, write_cases, write_recipe, write_split

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
        assert all(size % stride == 0 for size, stride in zip(recipe.patch_size, network.total_stride))
        assert recipe.patch_size == card.patch_size


class TestRecipe:
    def test_settings(self, tmp_path):
        recipe = load(tmp_path, make_document(epochs=7, mirror_axes=[0, 2]))
        assert (recipe.epochs, recipe.mirror_axes, recipe.patch_size) == (7, (0, 2), (16, 16, 16))
        assert (recipe.class_weights, recipe.dice_weight) == (None, 1.0)
        assert recipe.draft_card().id == "boxes"

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
            ("warm_up", 5),
        ],
        ids=str,
    )
    def test_a_wrong_setting_is_named(self, tmp_path, name, value):
        with pytest.raises(InputError, match=rf"^The recipe [^\n]+ cannot be used [^\n]*{name}[^\n]+\.$"):
            load(tmp_path, make_document(**{name: value}))

    @pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"3"], ids=str)
    def test_a_file_that_is_no_recipe(self, tmp_path, content):
        (tmp_path / "recipe.json").write_bytes(content)
        with pytest.raises(InputError, match=r"^The recipe [^\n]+recipe\.json cannot be used [^\n]+; start from one of those in [^\n]+\.$"):
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
        training = load(tmp_path, make_document(seed=11)).finished_card(cases)["training"]
        assert training["seed"] == 11
        assert training["train_cases"] == ["case_1", "case_2"]
        assert training["val_cases"] == ["case_3"]
        assert json.loads(json.dumps(training))["patch_size"] == [16, 16, 16]


class TestCases:
    def find(self, folder, split):
        return find_cases(folder / "images", folder / "labels", split)

    def test_files_and_roles(self, tmp_path):
        cases = self.find(tmp_path, write_cases(tmp_path))
        assert {role: [case.id for case in found] for role, found in cases.items()} == {"train": ["case_1", "case_2"], "val": ["case_3"]}
        assert cases["val"][0].image == tmp_path / "images" / "case_3.nii.gz"
        assert cases["val"][0].label == tmp_path / "labels" / "case_3.nii.gz"

    def test_the_other_name_of_the_column_and_the_mark_of_a_spreadsheet(self, tmp_path):
        write_cases(tmp_path)
        split = write_split(tmp_path, {"case_1": "train", "case_2": "val"}, encoding="utf-8-sig", columns=("id", "dev_role"))
        assert [case.id for case in self.find(tmp_path, split)["val"]] == ["case_2"]

    def test_another_file_format(self, tmp_path):
        write_cases(tmp_path)
        (tmp_path / "images" / "case_1.nii.gz").unlink()
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(make_volumes(0)[0].transpose()), str(tmp_path / "images" / "case_1.nrrd"))
        assert self.find(tmp_path, tmp_path / "split.csv")["train"][0].image.suffix == ".nrrd"

    @pytest.mark.parametrize("folder", ["images", "labels"])
    def test_a_missing_scan_is_named(self, tmp_path, folder):
        split = write_cases(tmp_path)
        (tmp_path / folder / "case_2.nii.gz").unlink()
        with pytest.raises(InputError, match=rf"^There is no scan of case case_2 in [^\n]+{folder}; [^\n]+\.$"):
            self.find(tmp_path, split)

    @pytest.mark.parametrize("roles", [{"case_1": "train"}, {"case_1": "val"}, {"case_1": "training", "case_2": "val"}, {}], ids=str)
    def test_a_role_without_cases(self, tmp_path, roles):
        write_cases(tmp_path)
        with pytest.raises(InputError, match=r"^The split [^\n]+split\.csv has no case of the role '(train|val)'; [^\n]+\.$"):
            self.find(tmp_path, write_split(tmp_path, roles))

    def test_a_case_that_would_be_learned_from_and_checked_on(self, tmp_path):
        write_cases(tmp_path)
        split = write_split(tmp_path, [("case_1", "train"), ("case_2", "val"), ("case_1", "val")])
        with pytest.raises(InputError, match=r"^The split [^\n]+ names case case_1 more than once; [^\n]+\.$"):
            self.find(tmp_path, split)

    @pytest.mark.parametrize("content", [b"", b"case,part\n1,train\n", b"id;role\n1;train\n", b"\xff\xfe\x00", b"\x1f\x8b\x08"], ids=str)
    def test_a_file_that_is_no_split(self, tmp_path, content):
        write_cases(tmp_path)
        (tmp_path / "split.csv").write_bytes(content)
        with pytest.raises(InputError, match=r"^The split [^\n]+split\.csv (cannot be read|has no case)[^\n]+\.$"):
            self.find(tmp_path, tmp_path / "split.csv")

    def test_a_missing_split(self, tmp_path):
        with pytest.raises(InputError, match=r"^The split [^\n]+ cannot be read"):
            self.find(tmp_path, tmp_path / "nowhere.csv")


class TestRealSplit:
    def test_both_sides_of_a_subject_stay_in_one_role(self, data_folder):
        folder = data_folder / "hippocampus"
        cases = find_cases(folder / "images", folder / "labels", folder / "split.csv")
        with (folder / "split.csv").open(newline="") as stream:
            subject = {row["id"]: row["subject_guess"] for row in csv.DictReader(stream)}
        roles = defaultdict(set)
        for role, found in cases.items():
            for case in found:
                roles[subject[case.id]].add(role)
        assert all(len(of_subject) == 1 for of_subject in roles.values())
        assert len(cases["train"]) + len(cases["val"]) == len(subject)
