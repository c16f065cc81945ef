"""From what a survey found to a recipe: what the plan says, and how it is to be trained."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from math import prod

import numpy as np
import pytest
import torch
from AttentionSegLib.errors import InputError
from AttentionSegLib.models.titles import title_of
from AttentionSegLib.networks import build_network
from AttentionSegLib.planning.budget import Budget, NetworkSpec
from AttentionSegLib.planning.grid import foreground_share
from AttentionSegLib.planning.labels import label_entries, plan_postprocessing, plan_weights
from AttentionSegLib.planning.plan import write_plan
from AttentionSegLib.planning.synthesis import plan_synthesis
from AttentionSegLib.training.recipe import Recipe
from AttentionSegLib.training.synthesis.settings import Synthesis
from planning_surveys import CPU, GPU, crops, make_label, make_survey, plan, refused


class TestRecipe:
    @pytest.mark.parametrize(
        ("network", "data", "budget"),
        [
            ("attention-unet", "whole", CPU),
            ("attention-unet", "whole", GPU),
            ("attention-unet", "crops", CPU),
            ("attention-unet", "thick", GPU),
            ("guided-attention", "thick", CPU),
            ("guided-attention", "crops", GPU),
        ],
        ids=lambda value: value.kind if isinstance(value, Budget) else value,
    )
    def test_it_can_be_trained(self, tmp_path, network, data, budget):
        survey = {"whole": make_survey(), "crops": crops(), "thick": make_survey(shape=(320, 320, 24), spacing=(0.6, 0.6, 5))}[data]
        write_plan(plan(survey, network, budget), tmp_path / "plan.json")
        recipe = Recipe.load(tmp_path / "plan.json")
        card = recipe.draft_card()
        with torch.device("meta"):
            built = build_network(card.network, 1, 2, card.network_arguments)
        assert recipe.patch_size == card.patch_size
        assert all(size % stride == 0 for size, stride in zip(recipe.patch_size, built.total_stride))
        step = NetworkSpec(network, 1, 2).cost(card.network_arguments)
        assert step.step_bytes(prod(recipe.patch_size), recipe.batch_size) < budget.memory_bytes
        steps = recipe.epochs * (recipe.steps_per_epoch or 40 // recipe.batch_size)
        assert budget.seconds(step.step_flops(prod(recipe.patch_size), recipe.batch_size)) * steps < 3 * 3600

    def test_every_note_is_a_sentence(self):
        notes = plan(make_survey(notes=("The split says it.",)))["notes"]
        assert notes[0] == "The split says it."
        assert all(re.fullmatch(r"[A-Z0-9'][^\n]+\.", sentence) for sentence in notes)

    def test_a_change_by_hand_is_checked(self, tmp_path):
        document = plan(make_survey())
        document["training"]["epochs"] = -1
        write_plan(document, tmp_path / "plan.json")
        with pytest.raises(InputError, match="epochs"):
            Recipe.load(tmp_path / "plan.json")

    def test_names_beyond_ascii_stay_readable(self, tmp_path):
        write_plan(plan(make_survey(names={1: "Région"})), tmp_path / "plan.json")
        assert "Région" in (tmp_path / "plan.json").read_text(encoding="utf-8")
        assert [path.name for path in tmp_path.iterdir()] == ["plan.json"]

    def test_settings_of_the_caller(self):
        document = plan(make_survey(ignored_label=7), title="Some organ (MR)", seed=11)
        assert (document["card"]["title"], document["training"]["seed"], document["training"]["ignored_label"]) == ("Some organ (MR)", 11, 7)

    def test_labels_of_the_caller(self):
        labels = [{**label_entries({1: "Milz"})[0], "color": [1, 2, 3]}]
        assert plan(make_survey(), labels=labels)["card"]["labels"] == labels

    def test_what_the_data_says_of_itself(self):
        about = {"name": "Task04", "license": "CC0", "citation": "A. Body, 2020", "description": "Organs."}
        card = plan(make_survey(about=about))["card"]
        assert card["training_data"] == [{"name": "Task04", "cases": 40, "license": "CC0", "citation": "A. Body, 2020"}]
        assert card["description"] == "Organs."

    @pytest.mark.parametrize(
        ("more", "sentence"),
        [
            ({"network": "transformer"}, "There is no network 'transformer'"),
            ({"modality": "XR"}, "the card of the plan breaks the schema of model cards at inputs.0.modality"),
            ({"labels": []}, "The labels given have the values [], but the cases [1]"),
        ],
        ids=["network", "modality", "labels"],
    )
    def test_what_cannot_be_planned(self, more, sentence):
        assert sentence in refused(make_survey(), **more)


class TestTitle:
    def test_is_made_of_the_labels(self):
        assert plan(crops(), title=None)["card"]["title"] == ", ".join(entry["name"] for entry in plan(crops())["card"]["labels"])
        assert title_of(["Liver", "Spleen"]) == "Liver, Spleen"
        assert title_of(["A", "B", "C", "D", "E"]) == "A, B, C and 2 more"

    def test_the_license_is_that_which_was_given(self):
        document = plan(crops(), license="CC-BY-4.0")
        assert document["card"]["weights"]["license"] == "CC-BY-4.0"
        assert plan(crops())["card"]["weights"]["license"] == "unstated"


class TestSettings:
    def test_half_the_time_is_half_the_steps(self):
        def steps(hours: float) -> int:
            training = plan(crops(), budget=replace(CPU, hours=hours))["training"]
            return training["epochs"] * (training["steps_per_epoch"] or 80)

        assert steps(6) == pytest.approx(2 * steps(3), rel=0.05)

    def test_an_epoch_is_a_pass_unless_that_is_too_short(self):
        assert plan(crops())["training"]["steps_per_epoch"] is None
        few = plan(make_survey(cases=4, validated=1))["training"]
        assert few["steps_per_epoch"] >= 25
        assert few["augmentation"] == "strong"

    def test_a_single_case_to_learn_from(self):
        assert plan(make_survey(cases=1, validated=1))["training"]["batch_size"] == 1

    def test_validation_of_large_scans_is_rarer(self):
        many = plan(make_survey(shape=(400, 400, 400), validated=40))["training"]
        assert many["validate_every"] > plan(crops())["training"]["validate_every"]

    def test_small_parts_of_a_scan_are_looked_for(self):
        small, large = (plan(make_survey(shape=shape))["training"]["foreground_share"] for shape in ((200, 200, 200), (64, 64, 64)))
        assert small > large
        assert plan(crops())["training"]["foreground_share"] == 0

    def test_patches_that_hide_much_of_a_region_are_taken_from_all_of_it(self):
        field, spacing = np.array([36, 50, 36]), np.ones(3)
        shares = [foreground_share(crops().train, patch, field, spacing, True)[0] for patch in ((32, 40, 32), (16, 24, 24))]
        assert shares == [0, 0.5]

    def test_weights_against_strong_imbalance_alone(self):
        even, uneven = (make_survey({1: make_label(voxels=many), 2: make_label(voxels=900)}) for many in (9000, 90000))
        assert plan_weights(label_entries(even.label_names), even.train)[0] is None
        background, large, small = plan_weights(label_entries(uneven.label_names), uneven.train)[0]
        assert large < background < small

    def test_postprocessing_is_what_the_labels_are(self):
        labels = {1: make_label(), 2: make_label(components=2), 3: make_label(hole_voxels=400), 4: make_label(hole_voxels=1)}
        survey = make_survey(labels)
        found, sentence = plan_postprocessing(label_entries(survey.label_names), survey.train)
        assert found == {"largest_component": [1, 3, 4], "fill_holes": [1, 2, 4]}
        assert "kept of Label 1, Label 3, Label 4; holes are filled in Label 1, Label 2, Label 4." in sentence


class TestRealData:
    """What a person expects of data that people know."""

    def plan(self, folder, names=None):
        from AttentionSegLib.datasets import survey
        from AttentionSegLib.datasets.case_set import folder_cases

        case_set = folder_cases(folder / "images", folder / "labels", folder / "split.csv", names)
        few = {role: cases[: 6 if role == "train" else 1] for role, cases in case_set.roles.items()}
        return plan(survey.make_survey(replace(case_set, roles=few)))

    def test_hippocampus(self, data_folder):
        document = self.plan(data_folder / "hippocampus")
        card = document["card"]
        assert card["field_of_view"]["kind"] == "region"
        assert card["spacing_mm"] == [1, 1, 1]
        assert card["inputs"][0]["modality"] == "MR"
        assert document["training"]["mirror_axes"] == [0]

    def test_head_and_neck(self, data_folder):
        names = {1: "Brainstem", 2: "SpinalCord", 3: "RightParotid", 4: "LeftParotid", 5: "Mandible"}
        document = self.plan(data_folder / "hn_ct_oar", names)
        card = document["card"]
        assert card["field_of_view"]["kind"] == "whole"
        assert all(2 <= spacing <= 5 for spacing in card["spacing_mm"])
        assert card["inputs"][0]["modality"] == "CT"
        assert document["training"]["mirror_swaps"] == [[4, 3]]
        assert document["training"]["foreground_share"] > 0.5
        assert json.loads(json.dumps(document)) == document


class TestSynthesis:
    @pytest.mark.parametrize(("tissues", "apart"), [({1: 1, 2: 1}, None), ({1: 1, 2: 2}, 15), ({n: n for n in range(1, 12)}, 10)])
    def test_it_says_how_far_apart_tissues_are(self, tissues, apart):
        settings = Synthesis(learned_as=dict.fromkeys(range(3, 12), 0), tissues=tissues).document
        _entry, sentence = plan_synthesis(settings, make_survey().train, np.ones(3))
        said = f"{len(set(tissues.values()))} tissue(s) and at least {apart} % of the range of intensities between two, deformation"
        assert (said in sentence) if apart else ("between two" not in sentence)
