"""The network that a plan takes for the memory and the hours of a computer."""

from __future__ import annotations

import time
from dataclasses import replace
from math import prod

import pytest
import torch
from AttentionSegLib.errors import Cancelled, InputError, OutOfMemory
from AttentionSegLib.networks import build_network
from AttentionSegLib.planning import plan as planned
from AttentionSegLib.planning import timing
from AttentionSegLib.planning.budget import Budget, NetworkSpec
from AttentionSegLib.planning.timing import OVERHEAD, PARALLEL, StepTime, measured_step
from planning_surveys import CPU, GPU, crops, make_survey, note, plan, refused
from tiny_models import guided
from torch.utils.flop_counter import FlopCounterMode


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
        assert note(document, "There is no time for 2500 steps even with small patches")
        assert document["card"]["patch_size"] == [32, 32, 32]

    @pytest.mark.parametrize("network", ["attention-unet", "guided-attention"])
    def test_more_time_never_makes_patches_smaller(self, network):
        """Neither where there is time for many steps of tiny patches only, nor where there is just time for many of larger ones."""
        plans = [plan(make_survey(), network, replace(CPU, hours=minutes / 60)) for minutes in (1, 3, 5, 12, 30, 60, 180)]
        sizes = [prod(document["card"]["patch_size"]) for document in plans]
        assert sizes == sorted(sizes)
        assert sizes[0] < 32**3 < sizes[-1]

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
        monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
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
