"""From what a survey found to a recipe: each choice where the data or the computer ask for it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from math import prod

import numpy as np
import pytest
import torch
from AttentionSegLib.datasets.case_statistics import IntensityStatistics
from AttentionSegLib.datasets.survey import Survey
from AttentionSegLib.errors import InputError
from AttentionSegLib.inference.fit import STORED_HU
from AttentionSegLib.models import Card
from AttentionSegLib.models.card import with_weights
from AttentionSegLib.models.titles import title_of
from AttentionSegLib.networks import build_network
from AttentionSegLib.planning.budget import Budget, NetworkSpec
from AttentionSegLib.planning.grid import coarser_spacing, foreground_share, median_spacing, region_size
from AttentionSegLib.planning.inputs import plan_inputs
from AttentionSegLib.planning.labels import label_entries, plan_postprocessing, plan_weights
from AttentionSegLib.planning.plan import write_plan
from AttentionSegLib.training.recipe import Recipe
from planning_surveys import CPU, CT, GPU, MR, crops, make_label, make_survey, note, plan, refused


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


class TestInputs:
    def test_ct_by_its_intensities(self):
        document = plan(make_survey(intensities=CT))
        normalization = {"kind": "window", "window": [-100.4, 300.3], "mean": 50.12, "std": 80.5}
        assert document["card"]["inputs"] == [{"name": "CT", "modality": "CT", "normalization": normalization}]
        assert "cut off at -100.4 and 300.3 HU" in note(document, "Input CT: CT, by its intensities")

    def test_anything_else_is_normalized_scan_by_scan(self):
        assert plan(make_survey())["card"]["inputs"] == [
            {"name": "MR", "modality": "MR", "normalization": {"kind": "z-score", "percentiles": [0.5, 99.5]}}
        ]

    @pytest.mark.parametrize(
        ("name", "modality"),
        [("CT", "CT"), ("T1w", "MR"), ("FLAIR", "MR"), ("MRI", "MR"), ("FDG-PET", "PT"), ("US", "US"), ("contrast", "MR"), ("ultrasound", "US")],
    )
    def test_by_name(self, name, modality):
        found = plan(make_survey(channel_names=(name,)))["card"]["inputs"][0]
        assert (found["name"], found["modality"]) == (name, modality)

    def test_as_told(self):
        found = plan(make_survey(intensities=CT), modality="MR")["card"]["inputs"][0]
        assert (found["modality"], found["normalization"]["kind"]) == ("MR", "z-score")

    def mixed(self, ct: int, of: int = 10) -> Survey:
        """Scans in HU, and others that were stored with an offset."""
        survey = make_survey(intensities=CT, cases=of - 1, validated=1)
        stored = IntensityStatistics(0, 24, 224, 1624, 3024, 0.4, STORED_HU)
        return replace(survey, cases=tuple(replace(case, intensities=(CT if n < ct else stored,)) for n, case in enumerate(survey.cases)))

    def test_a_few_scans_that_are_not_in_hu_are_named(self):
        inputs, notes = plan_inputs(self.mixed(9), None)
        assert inputs[0]["modality"] == "CT"
        assert "1 of 10 cases do not have the intensities of CT in HU: case_9 (0 to 1624, perhaps HU + 1024, see --rescale)" in notes[-1]

    def test_scans_of_which_some_are_in_hu_are_no_mr(self):
        text = refused(self.mixed(8))
        assert "case_8 (0 to 1624, perhaps HU + 1024, see --rescale), case_9 (0 to 1624, perhaps HU + 1024, see --rescale)" in text
        assert plan_inputs(self.mixed(8), "CT")[0][0]["modality"] == "CT"
        inputs, notes = plan_inputs(self.mixed(0), None)
        assert inputs[0]["modality"] == "MR"
        assert "10 of 10 cases look like CT: case_0 (0 to 1624, perhaps HU + 1024, see --rescale)" in notes[-1]

    def test_two_channels(self):
        one = make_survey(channel_names=("T1", "T2"))
        survey = replace(one, foreground=one.foreground * 2, cases=tuple(replace(case, intensities=(MR, MR)) for case in one.cases))
        assert [entry["name"] for entry in plan_inputs(survey, None)[0]] == ["T1", "T2"]


class TestGrid:
    def test_crops_make_a_region(self):
        card = plan(crops())["card"]
        assert card["field_of_view"] == {"kind": "region", "size_mm": [35, 51, 36]}
        assert (card["spacing_mm"], card["patch_size"]) == ([1, 1, 1], [32, 48, 32])

    def test_whole_scans(self):
        assert plan(make_survey())["card"]["field_of_view"] == {"kind": "whole"}

    def test_labels_that_fill_a_whole_scan_make_no_region(self):
        survey = make_survey({1: make_label((150, 180, 150), 10**6)}, shape=(200, 220, 180))
        assert region_size(survey.cases) is None

    def test_as_told(self):
        assert plan(crops(), region=False)["card"]["field_of_view"] == {"kind": "whole"}
        assert plan(make_survey(), region=True)["card"]["field_of_view"] == {"kind": "region", "size_mm": [160, 160, 120]}

    def test_a_region_for_scans_of_many_sizes(self):
        survey = crops()
        large = replace(survey.cases[-1], shape=(200, 200, 200))
        assert plan(replace(survey, cases=(*survey.cases[:-1], large)))["card"]["field_of_view"] == {"kind": "whole"}
        assert "such as case_199; crop all cases alike" in refused(replace(survey, cases=(*survey.cases[:-1], large)), region=True)

    def test_spacing_is_that_of_a_case(self):
        survey = make_survey()
        odd = tuple(replace(case, spacing_mm=(0.9, 0.9, (2.0, 2.5, 3.0)[n % 3])) for n, case in enumerate(survey.cases))
        assert median_spacing(odd).tolist() == [0.9, 0.9, 2.5]

    def test_thick_slices_stay_thick(self):
        card = plan(make_survey(shape=(320, 320, 24), spacing=(0.6, 0.6, 5)), budget=GPU, slices="none")["card"]
        assert card["spacing_mm"] == [0.6, 0.6, 5]
        assert card["patch_size"][2] < card["patch_size"][0]
        # As long as the voxels are flat, levels are halved in plane alone.
        assert card["network"]["arguments"]["strides"][0] == [2, 2, 1]

    def test_a_finer_grid_than_patches_can_use_is_made_coarser(self):
        large = {1: make_label((250, 200, 200), 3 * 10**6)}
        document = plan(make_survey(large, shape=(512, 512, 512), spacing=(0.8, 0.8, 0.8), intensities=CT))
        spacing, patch = (np.array(document["card"][key]) for key in ("spacing_mm", "patch_size"))
        assert (spacing > 1.2).all()
        assert (spacing * patch >= (125, 100, 100)).all()
        assert "coarser than the median of 40 cases (0.8 x 0.8 x 0.8 mm)" in note(document, "Spacing")

    def test_but_not_for_small_labels(self):
        labels = {1: make_label((250, 200, 200), 3 * 10**6), 2: make_label((5, 5, 5), 200)}
        survey = make_survey(labels, shape=(512, 512, 512), spacing=(0.8, 0.8, 0.8))
        assert coarser_spacing(survey.train, np.array([0.8, 0.8, 0.8]), (32, 32, 32)) is None


class TestSlices:
    THICK = make_survey(shape=(24, 320, 320), spacing=(5, 0.6, 0.6))

    @pytest.mark.parametrize("network", ["attention-unet", "guided-attention"])
    def test_slices_that_lie_far_apart_are_learned_one_by_one(self, network):
        document = plan(self.THICK, network)
        card = document["card"]
        assert (card["slices"], card["context"], card["patch_size"][0], card["network"]["arguments"]["spatial_dims"]) == ("sagittal", 0, 1, 2)
        assert min(card["patch_size"][1:]) >= 64
        assert "5 mm apart, 8.33 times the 0.6 mm" in note(document, "A 2D network on sagittal slices")
        assert document["training"]["batch_size"] == 8
        # A sagittal slice is its own mirror image.
        assert document["training"]["mirror_axes"] == []

    def test_not_where_the_user_wants_volumes_or_they_lie_close(self):
        assert "slices" not in plan(self.THICK, slices="none")["card"]
        assert "slices" not in plan(make_survey(shape=(320, 320, 48), spacing=(0.6, 0.6, 2.4)))["card"]

    def test_single_slices(self):
        document = plan(make_survey(shape=(320, 320, 1)))
        assert document["card"]["slices"] == "axial"
        assert "the cases are single slices" in note(document, "A 2D network")
        assert "These cases are single axial slices, not coronal slices: case_0" in refused(make_survey(shape=(320, 320, 1)), slices="coronal")

    def test_neighbors_are_further_inputs(self):
        card = Card.from_document(with_weights(plan(make_survey(), slices="coronal", context=2)["card"], "0" * 64, 1))
        assert (card.slices, card.context, card.in_channels, card.slice_axis) == ("coronal", 2, 5, 1)
        assert "for 2D networks" in refused(make_survey(), context=1)

    def test_a_patch_is_as_large_as_memory_allows(self):
        flat = make_survey(shape=(512, 512, 200), intensities=CT)
        small, large = (plan(flat, "guided-attention", budget, slices="axial")["card"] for budget in (CPU, GPU))
        assert prod(small["patch_size"]) < 256**2 <= prod(large["patch_size"])

    def test_there_is_time_to_learn_beside_a_long_validation(self):
        document = plan(make_survey(shape=(512, 512, 200), intensities=CT), "guided-attention", GPU, slices="axial")
        assert document["training"]["epochs"] * document["training"]["steps_per_epoch"] > 1000

    def test_a_model_to_start_from_says_them(self):
        start = Card.from_document(with_weights(plan(self.THICK)["card"], "0" * 64, 1))
        assert plan(make_survey(), start_from=start)["card"]["slices"] == "sagittal"
        assert "works on sagittal slices with 0 neighbors" in refused(make_survey(), start_from=start, slices="axial")


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
