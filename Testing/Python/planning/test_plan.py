"""From what a survey found to a recipe: each choice where the data or the computer ask for it."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
import pytest
import torch
from AttentionSegLib.datasets.case_statistics import CaseStatistics, IntensityStatistics, LabelStatistics
from AttentionSegLib.datasets.sides import left_right_pairs, side_of
from AttentionSegLib.datasets.survey import Foreground, Survey
from AttentionSegLib.errors import Cancelled, InputError, OutOfMemory
from AttentionSegLib.inference.fit import STORED_HU
from AttentionSegLib.inference.progress import Cancel
from AttentionSegLib.models import Card
from AttentionSegLib.models.card import with_weights
from AttentionSegLib.models.titles import title_of
from AttentionSegLib.networks import build_network
from AttentionSegLib.planning import plan as planned
from AttentionSegLib.planning import timing
from AttentionSegLib.planning.budget import Budget, NetworkSpec
from AttentionSegLib.planning.grid import coarser_spacing, foreground_share, median_spacing, region_size
from AttentionSegLib.planning.inputs import plan_inputs
from AttentionSegLib.planning.labels import label_entries, plan_mirroring, plan_postprocessing, plan_weights
from AttentionSegLib.planning.plan import PlanOptions, make_plan, write_plan
from AttentionSegLib.planning.timing import OVERHEAD, PARALLEL, StepTime, measured_step
from AttentionSegLib.training.recipe import Recipe
from builders import make_card_document
from tiny_models import guided
from torch.utils.flop_counter import FlopCounterMode

CPU = Budget("cpu", 16 * 2**30, 8e10)
GPU = Budget("gpu", 24 * 2**30, 2e13)
MR = IntensityStatistics(0, 2, 60, 110, 130, 0.01)
CT = IntensityStatistics(-1000, -1000, -800, 600, 2000, 0.4)
OFF_CENTER = (30.0, 0.0, 0.0)


def make_label(box: tuple[float, float, float] = (30, 30, 30), voxels: int = 9000, center=(0.0, 0.0, 0.0), **more: Any) -> LabelStatistics:
    return LabelStatistics(**{"voxels": voxels, "box_mm": box, "center_mm": center, "components": 1, "hole_voxels": 0, "at_edge": False, **more})


def make_survey(
    labels: dict[int, LabelStatistics] | None = None,
    names: dict[int, str] | None = None,
    shape: tuple[int, int, int] = (160, 160, 120),
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
    intensities: IntensityStatistics = MR,
    cases: int = 40,
    validated: int = 10,
    **more: Any,
) -> Survey:
    """Cases all alike."""
    labels = labels or {1: make_label()}
    box = tuple(np.max([label.box_mm for label in labels.values()], axis=0))
    found = tuple(
        CaseStatistics(f"case_{n}", "train" if n < cases else "val", shape, spacing, "RAS", 0.0, (intensities,), labels, box, str(n))
        for n in range(cases + validated)
    )
    foreground = (Foreground(-100.4, 300.26, 50.123, 80.5),)
    names = names or {value: f"Label {value}" for value in labels}
    return Survey(
        found, **{"channel_names": (), "ignored_label": None, "foreground": foreground, "about": {}, "notes": (), **more}, label_names=names
    )


def crops() -> Survey:
    return make_survey({1: make_label((24, 38, 26))}, shape=(35, 51, 36), cases=160, validated=40)


def plan(survey: Survey, network: str = "attention-unet", budget: Budget = CPU, cancel: Cancel | None = None, **options: Any) -> dict[str, Any]:
    return make_plan(survey, network, "some-organ", budget, PlanOptions(**options), cancel)


def note(document: dict[str, Any], beginning: str) -> str:
    return next(sentence for sentence in document["notes"] if sentence.startswith(beginning))


def refused(survey: Survey, **more: Any) -> str:
    with pytest.raises(InputError) as raised:
        plan(survey, **more)
    return str(raised.value)


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


class TestBackbone:
    def test_it_makes_the_network_that_was_published(self):
        card = plan(make_survey(), "guided-attention", GPU, slices="axial", backbone="resnet101")["card"]
        wanted = {"spatial_dims": 2, "backbone": 101, "backbone_width": 1.0, "stem_stride": 4, "width": 64, "norm": "batch"}
        assert card["network"]["arguments"] == wanted
        with torch.device("meta"):
            network = build_network("guided-attention", 1, 2, wanted)
        assert (len(network.heads), len(network.steps), network.backbone.channels) == (4, 2, (256, 512, 1024, 2048))

    def test_only_of_a_network_that_has_it(self):
        assert "choose one of resnet10, " in refused(make_survey(), network="guided-attention", backbone="vgg16")
        assert "it has none" in refused(make_survey(), backbone="resnet18")


class TestNetwork:
    def test_more_memory_and_speed_make_more_of_it(self):
        small, large = (plan(make_survey(), budget=budget)["card"] for budget in (CPU, GPU))
        assert prod(large["patch_size"]) > 4 * prod(small["patch_size"])
        assert large["network"]["arguments"]["channels"][0] > small["network"]["arguments"]["channels"][0]

    def test_a_slow_computer_sees_the_whole_crop_through_a_narrower_network(self):
        card = plan(crops(), budget=replace(CPU, flops_per_second=3e10))["card"]
        assert card["patch_size"] == [32, 48, 32]
        assert card["network"]["arguments"]["channels"] == [8, 16, 32, 64]

    def test_little_memory_makes_small_patches(self):
        tight = plan(make_survey(), budget=replace(GPU, memory_bytes=2**30))["card"]
        assert prod(tight["patch_size"]) < prod(plan(make_survey(), budget=GPU)["card"]["patch_size"]) / 4

    def test_a_computer_that_is_too_slow_is_said(self):
        document = plan(crops(), "guided-attention", replace(CPU, flops_per_second=1e8))
        assert note(document, "Even the smallest patches are too much")
        assert "are few for a training from scratch" in "".join(document["notes"])

    def test_too_little_time_for_many_steps_makes_fewer_of_large_patches(self):
        document = plan(crops(), "guided-attention", replace(CPU, flops_per_second=1.3e11, hours=1 / 12))
        assert note(document, "There is no time for 2500 steps even with the smallest patches")
        assert document["card"]["patch_size"] == [32, 32, 32]

    def test_guided_attention_for_small_patches_has_a_fine_grid_on_a_fast_computer(self):
        fast, slow = (plan(crops(), "guided-attention", budget)["card"]["network"]["arguments"] for budget in (GPU, CPU))
        assert (fast["stem_stride"], slow["stem_stride"]) == (2, 4)
        assert fast["width"] > slow["width"]

    @pytest.mark.parametrize(
        ("name", "arguments"),
        [
            ("attention-unet", {"spatial_dims": 3, "channels": [4, 8], "norm": "instance"}),
            (
                "guided-attention",
                {"spatial_dims": 3, "backbone": 10, "backbone_width": 0.05, "stem_stride": 2, "width": 8, "steps": 1, "norm": "instance"},
            ),
        ],
    )
    def test_cost_of_a_patch_as_counted_on_it(self, name, arguments):
        shape = (24, 32, 48)
        with torch.device("meta"):
            network = build_network(name, 1, 3, arguments)
            with FlopCounterMode(display=False) as counter:
                network(torch.zeros(1, 1, *shape), return_attention=())
        cost = NetworkSpec(name, 1, 3).cost(arguments)
        assert cost.forward_flops(prod(shape)) == pytest.approx(counter.get_total_flops(), rel=0.1)
        assert (cost.quadratic > 0) == (name == "guided-attention")

    def test_budget_of_this_computer(self):
        budget = Budget.measure("cpu", hours=2)
        assert (budget.kind, budget.hours, budget.device) == ("cpu", 2, torch.device("cpu"))
        assert 2**28 < budget.memory_bytes < 2**50
        assert 1e8 < budget.flops_per_second < 1e15

    def test_the_speed_of_a_cpu_is_that_of_one_thread_times_their_number(self, monkeypatch):
        """Several threads wait for each other, on a busy computer twenty times as long as they compute."""
        threads = []
        monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
        monkeypatch.setattr(torch, "set_num_threads", threads.append)
        alone = Budget.measure("cpu").flops_per_second
        monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
        assert alone == pytest.approx(4 * Budget.measure("cpu").flops_per_second, rel=0.7)
        assert threads[:2] == [1, 4]


class TestTriedOut:
    """With a device to try a step on, its seconds say how many steps there is time for."""

    BUDGET = replace(CPU, hours=1, device=torch.device("cpu"))

    def test_the_steps_fill_the_time(self, monkeypatch):
        monkeypatch.setattr(planned, "measured_step", lambda *_: StepTime(0.5))
        document = plan(crops(), budget=self.BUDGET)
        assert 80 * document["training"]["epochs"] == pytest.approx(self.BUDGET.training_seconds / 0.5, abs=80)
        assert "at 0.5 s a step, as measured" in note(document, str(document["training"]["epochs"]))

    def test_the_time_for_making_patches_counts(self, monkeypatch):
        steps = []
        for step in (StepTime(0.5), StepTime(0.25, waiting=0.25), StepTime(0.5, waiting=0.5)):
            monkeypatch.setattr(planned, "measured_step", lambda *_, step=step: step)
            steps.append(80 * plan(crops(), budget=self.BUDGET)["training"]["epochs"])
        assert steps[0] == steps[1] == pytest.approx(2 * steps[2], abs=160)

    @pytest.mark.parametrize(("workers", "waits"), [("0", True), ("2", False)])
    def test_a_step_waits_for_its_patches_if_no_other_process_makes_them(self, monkeypatch, workers, waits):
        monkeypatch.setenv("ATTENTIONSEG_WORKERS", workers)
        monkeypatch.setattr(timing, "_patch_seconds", lambda: 3.0)
        assert self.of_a_step("attention-unet", {"channels": [4, 8]}).waiting == (2 * 3 if waits else 0)

    def test_hours_that_are_too_few_for_any_training_are_refused(self, monkeypatch):
        monkeypatch.setattr(planned, "measured_step", lambda *_: StepTime(30))
        survey = crops()
        with pytest.raises(InputError, match=r"A training takes at least [0-9.]+ hours here .* and 0\.1 were given; give more hours") as refused:
            plan(survey, budget=replace(self.BUDGET, hours=0.1))
        told = float(str(refused.value).split("at least ")[1].split()[0])
        training = plan(survey, budget=replace(self.BUDGET, hours=told))["training"]
        assert 50 * 30 <= 30 * training["epochs"] * (training["steps_per_epoch"] or 80) <= 3600 * told

    def test_the_step_is_that_of_the_plan(self, monkeypatch):
        asked = []
        monkeypatch.setattr(planned, "measured_step", lambda *step: asked.append(step) or StepTime(1))
        document = plan(crops(), budget=self.BUDGET)
        network, patch = document["card"]["network"], tuple(document["training"]["patch_size"])
        assert asked == [(NetworkSpec(network["name"], 1, 2), network["arguments"], patch, 2, self.BUDGET.device, None)]

    @pytest.mark.parametrize("name", ["attention-unet", "guided-attention"])
    def test_a_step_of_a_network(self, name):
        arguments = {"attention-unet": {"channels": [4, 8], "deep_supervision": True}, "guided-attention": guided()["arguments"]}[name]
        assert self.of_a_step(name, arguments).seconds > 0

    @pytest.mark.parametrize(("load", "seconds", "said"), [(0.9, 8.0, ""), (5.0, 3 / (2 * PARALLEL), "load 4.0 on 2 processors")])
    def test_what_others_take_of_the_processors_is_left_out_and_told(self, monkeypatch, load, seconds, said):
        """8 s a step by the clock, in which a thread works for 3 s."""
        monkeypatch.setattr(timing, "_mean", lambda _step, clock: {time.monotonic: 8.0, time.thread_time: 3.0}[clock])
        monkeypatch.setattr(timing.os, "getloadavg", lambda: (load, 0.0, 0.0), raising=False)
        monkeypatch.setattr(timing, "processors", lambda: 2)
        monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
        found = self.of_a_step("attention-unet", {"channels": [4, 8]})
        assert found.seconds == pytest.approx(OVERHEAD * seconds)
        assert said in found.note
        assert bool(said) == bool(found.note)

    def of_a_step(self, name, arguments):
        arguments = {"spatial_dims": 3, "norm": "instance", **arguments}
        return measured_step(NetworkSpec(name, 1, 2), arguments, (16, 16, 16), 2, torch.device("cpu"))

    def test_a_planning_is_cancelled_between_two_steps(self, monkeypatch):
        steps = []
        monkeypatch.setattr(timing, "_step", lambda *_: steps.append(1))
        with pytest.raises(Cancelled, match="planning"):
            plan(crops(), budget=self.BUDGET, cancel=lambda: len(steps) == 1)
        assert len(steps) == 1

    def test_no_memory_is_said(self, monkeypatch):
        def full(*_: object) -> None:
            msg = "DefaultCPUAllocator: can't allocate memory"
            raise RuntimeError(msg)

        monkeypatch.setattr(timing, "_step", full)
        with pytest.raises(OutOfMemory, match="not enough memory for a training step on cpu"):
            plan(crops(), budget=self.BUDGET)


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


class TestSides:
    @pytest.mark.parametrize(
        ("name", "side", "structure"),
        [
            ("Left-Hippocampus", "left", ("hippocampus",)),
            ("kidney_right", "right", ("kidney",)),
            ("RightParotid", "right", ("parotid",)),
            ("LParotid", "left", ("parotid",)),
            ("Parotid gland, left", "left", ("parotid", "gland")),
            ("lung_upper_lobe_L", "left", ("lung", "upper", "lobe")),
            ("lh.cortex", "left", ("cortex",)),
        ],
    )
    def test_of_a_name(self, name, side, structure):
        assert side_of(name)[:2] == (side, structure)

    @pytest.mark.parametrize("name", ["Liver", "vertebra L4", "L4", "T12", "Bright spot", "Cleft", "Leber", "left right shunt"])
    def test_names_without_one(self, name):
        assert side_of(name) is None

    def test_pairs(self):
        names = {1: "Liver", 2: "kidney_left", 3: "Lung R", 4: "kidney_right", 5: "Lung L", 6: "left adrenal"}
        assert left_right_pairs(names) == [(2, 4), (5, 3)]

    def mirroring(self, survey: Survey, labels: list[dict] | None = None, is_region: bool = False) -> tuple[list[int], list[list[int]], str]:
        return plan_mirroring(labels or label_entries(survey.label_names), survey.train, is_region)

    def test_pairs_are_exchanged(self):
        survey = make_survey({1: make_label(center=OFF_CENTER), 2: make_label()}, {1: "RightParotid", 2: "LeftParotid"})
        axes, swaps, sentence = self.mirroring(survey)
        assert (axes, swaps) == ([0], [[2, 1]])
        assert sentence.endswith("which exchanges 'LeftParotid' with 'RightParotid'.")
        assert [entry["terminology"]["modifier"]["meaning"] for entry in label_entries(survey.label_names)] == ["Right", "Left"]

    def test_pairs_by_their_terms(self):
        parotid = {"scheme": "SCT", "value": "45289007", "meaning": "Parotid gland"}
        sides = ({"scheme": "SCT", "value": "7771000", "meaning": "Left"}, {"scheme": "SCT", "value": "24028007", "meaning": "Right"})
        labels = [
            {"value": value, "name": name, "color": [1, 2, 3], "terminology": {"category": parotid, "type": parotid, "modifier": side}}
            for value, name, side in zip((1, 2), ("Parotis links", "Parotis rechts"), sides)
        ]
        survey = make_survey({1: make_label(center=OFF_CENTER), 2: make_label()})
        assert self.mirroring(survey, labels)[:2] == ([0], [[1, 2]])
        assert self.mirroring(survey, [{**labels[0], "name": "Parotis"}, label_entries({2: "Tumor"})[0]])[:2] == ([], [])

    def test_one_of_a_pair_alone_forbids_mirroring(self):
        document = plan(make_survey(names={1: "Left kidney"}))
        assert document["training"]["mirror_axes"] == []
        assert "'Left kidney' is on one side by its name" in note(document, "No mirroring")

    def test_a_label_on_one_side_forbids_mirroring(self):
        axes, _, sentence = self.mirroring(make_survey({1: make_label(), 2: make_label(center=OFF_CENTER)}))
        assert axes == []
        assert "'Label 2' lies on one side in the cases" in sentence

    def test_a_label_on_either_side_does_not(self):
        survey = make_survey()
        other = {1: make_label(center=(-30.0, 0.0, 0.0))}
        cases = tuple(replace(case, labels=other if n % 2 else {1: make_label(center=OFF_CENTER)}) for n, case in enumerate(survey.cases))
        assert self.mirroring(replace(survey, cases=cases))[0] == [0]

    def test_the_middle_of_a_crop_tells_no_side(self):
        survey = make_survey({1: make_label(center=OFF_CENTER)})
        assert self.mirroring(survey, is_region=True)[0] == [0]
        assert self.mirroring(survey)[0] == []


class TestLabels:
    def test_they_are_valid_for_many(self):
        names = {value: f"Label {value}" for value in range(1, 31)}
        card = Card.from_document(make_card_document(labels=label_entries(names)))
        assert [label.name for label in card.labels] == list(names.values())
        assert len({label.color for label in card.labels[:20]}) == 20
        assert card.labels[0].terminology_entry.startswith("Segmentation category and type - 3D Slicer General Anatomy list~SCT^85756007^Tissue~")


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
