"""The limit on the memory of a GPU: in force for as long as a run takes, and no longer. The GPU is a double of torch.cuda."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from AttentionSegLib.errors import Cancelled, InputError
from AttentionSegLib.image import Image
from AttentionSegLib.inference import Predictor, predictor
from AttentionSegLib.inference.memory import limited_memory
from AttentionSegLib.inference.memory_estimate import estimated_bytes, estimated_gpu_bytes
from AttentionSegLib.inference.sliding_window import placements
from AttentionSegLib.models import Model
from AttentionSegLib.options import RunOptions
from AttentionSegLib.region import Region
from tiny_models import IntensityNetwork, make_card

CPU, GPU = torch.device("cpu"), torch.device("cuda:0")
TOTAL = 10e9


class GpuDouble:
    """Ten GB, of which a patch takes one. What torch calls of it is kept in order."""

    def __init__(self) -> None:
        self.fraction, self.calls, self.batches = 1.0, [], []
        self.error: Exception | None = None

    def set_per_process_memory_fraction(self, fraction: float, device: torch.device) -> None:
        assert (device, type(fraction)) == (GPU, float)
        self.fraction = fraction
        self.calls.append(fraction)

    def empty_cache(self) -> None:
        self.calls.append("empty")

    def compute(self, patches: int) -> None:
        self.batches.append(patches)
        if self.error is not None:
            raise self.error
        if patches * 1e9 > self.fraction * TOTAL:
            msg = "CUDA out of memory."
            raise torch.cuda.OutOfMemoryError(msg)


@pytest.fixture
def gpu(monkeypatch) -> GpuDouble:
    double = GpuDouble()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _device: SimpleNamespace(total_memory=int(TOTAL)))
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", double.set_per_process_memory_fraction)
    monkeypatch.setattr(torch.cuda, "empty_cache", double.empty_cache)
    # The numbers are computed on the CPU, with the batches and the notes of the GPU.
    on_cpu = lambda *arguments: [replace(place, device=CPU, sum_device=CPU) for place in placements(*arguments)]  # noqa: E731
    monkeypatch.setattr(predictor, "placements", on_cpu)
    return double


@pytest.fixture
def model(gpu) -> Model:
    class OnGpu(IntensityNetwork):
        def forward(self, x, return_attention=False):
            gpu.compute(len(x))
            return super().forward(x, return_attention)

    return Model(make_card(overlap=0), OnGpu().eval(), None)


@pytest.fixture
def image() -> Image:
    """Eight patches."""
    return Image(np.random.default_rng(0).uniform(0, 150, (1, 32, 32, 32)), np.eye(4), "scan")


class TestRun:
    def test_it_is_in_force_during_the_run_and_lifted_after_it(self, gpu, model, image):
        prediction = Predictor(model, "cuda", memory_limit_gb=5)(image)
        assert gpu.calls == [0.5, "empty", 1.0]
        assert gpu.batches == [4, 4]
        assert prediction.notes == ()

    def test_what_does_not_fit_is_computed_with_less_at_a_time_and_told(self, gpu, model, image):
        prediction = Predictor(model, "cuda", memory_limit_gb=2.5)(image)
        assert gpu.batches == [4] + 8 * [1]
        assert prediction.notes == ("cuda:0 ran out of memory (limit 2.5 GB) with 4 patches at a time; one at a time was used instead.",)
        assert gpu.fraction == 1
        np.testing.assert_array_equal(prediction.labels.voxels, Predictor(model, "cpu")(image).labels.voxels)

    def test_the_next_run_is_limited_again(self, gpu, model, image):
        limited = Predictor(model, "cuda", memory_limit_gb=5)
        limited(image)
        limited(image)
        assert gpu.calls == 2 * [0.5, "empty", 1.0]

    @pytest.mark.parametrize("error", [RuntimeError("mat1 and mat2 shapes cannot be multiplied"), Cancelled("stop"), KeyboardInterrupt()], ids=repr)
    def test_it_is_lifted_after_an_error(self, gpu, model, image, error):
        gpu.error = error
        with pytest.raises(type(error)):
            Predictor(model, "cuda", memory_limit_gb=5)(image)
        assert gpu.calls == [0.5, "empty", 1.0]

    def test_without_a_limit_nothing_is_touched(self, gpu, model, image):
        Predictor(model, "cuda")(image)
        assert gpu.calls == []

    def test_on_the_cpu_it_is_compared_with_an_estimate(self, gpu, model, image):
        prediction = Predictor(model, "cpu", memory_limit_gb=1)(image)
        assert gpu.calls == []
        assert (prediction.device, prediction.notes) == ("cpu", ())

    def test_what_does_not_fit_on_the_cpu_is_refused_with_the_figure(self, gpu, model, image):
        with pytest.raises(InputError, match=r"scan by the model .* takes about 0\.\d+ GB on the CPU, and the limit is 0\.1 GB"):
            Predictor(model, "cpu", memory_limit_gb=0.1)(image)
        assert gpu.batches == []


class TestEstimate:
    def test_a_region_takes_less_than_the_whole_scan(self):
        card, shape, spacing = make_card(), (512, 512, 100), (0.8, 0.8, 1.0)
        region = Region((0, 0, 0), (40, 40, 40))
        assert estimated_bytes(card, shape, spacing, RunOptions(), region) < 0.9 * estimated_bytes(card, shape, spacing, RunOptions())

    def test_probabilities_take_two_bytes_per_voxel_and_class(self):
        card, shape, spacing = make_card(spacing_mm=[8.0, 8.0, 8.0]), (512, 512, 400), (1.0, 1.0, 1.0)
        with_them, without = (estimated_bytes(card, shape, spacing, RunOptions(probabilities=given)) for given in (True, False))
        assert with_them - without == pytest.approx(2 * 3 * 512 * 512 * 400, rel=0.1)

    def test_maps_on_the_grid_of_the_scan_take_four_bytes_per_voxel(self):
        card, shape, spacing = make_card(spacing_mm=[8.0, 8.0, 8.0]), (512, 512, 400), (1.0, 1.0, 1.0)
        on_scan, own, none = (
            estimated_bytes(card, shape, spacing, RunOptions(attention_grid=grid), maps=maps)
            for grid, maps in (("input", [(2, 2, 2)] * 3), ("network", [(2, 2, 2)] * 3), ("network", []))
        )
        assert on_scan - own == pytest.approx(3 * 4 * 512 * 512 * 400, rel=0.01)
        assert own - none == pytest.approx(3 * 4 * 64 * 64 * 50 / 8, rel=0.01)

    def test_a_pair_of_regions_takes_more_than_one(self):
        found_by = {"kind": "model", "model": "coarse", "labels": {"right": "Right", "left": "Left"}}
        card = make_card(field_of_view={"kind": "region", "size_mm": [80.0, 80.0, 80.0]}, found_by=found_by)
        shape, spacing = (512, 512, 400), (0.8, 0.8, 1.0)
        one, pair = (estimated_bytes(card, shape, spacing, RunOptions(), region) for region in (Region((0, 0, 0), (80, 80, 80)), None))
        assert pair - one == pytest.approx(5 * 100 * 100 * 80, rel=0.01)


class TestEstimateOfGpu:
    def test_of_a_large_scan_the_sums_over_the_patches_grow_with_the_working_grid(self):
        card, spacing = make_card(spacing_mm=[2.0, 2.0, 2.0]), (1.0, 1.0, 1.0)
        half, whole = (estimated_gpu_bytes(card, (512, 512, slices), spacing) for slices in (400, 800))
        # The logits of two labels and background, and the weights, of 4 bytes each.
        assert whole - half == pytest.approx(4 * 4 * 256 * 256 * 200)

    def test_a_batch_of_patches_lies_beside_the_weights(self):
        card = replace(make_card(), patch_size=(32, 32, 32), weights_bytes=0)
        cards = card, replace(card, patch_size=(32, 32, 64)), replace(card, weights_bytes=10**9)
        small, twice, heavy = (estimated_gpu_bytes(one, (32, 32, 64), (1.0, 1.0, 1.0)) for one in cards)
        # Four patches, each with 64 features and three copies of the logits of three classes per voxel.
        assert twice - small == pytest.approx(4 * 4 * 32**3 * (64 + 9))
        assert heavy - small == pytest.approx(2e9)

    def test_the_results_stay_in_main_memory(self):
        """A working grid of 8 mm: what lies on the GPU does not grow with the slices of the scan."""
        card, shape = make_card(spacing_mm=[8.0, 8.0, 8.0]), (512, 512, 800)
        on_gpu, main = estimated_gpu_bytes(card, shape, (1.0, 1.0, 1.0)), estimated_bytes(card, shape, (1.0, 1.0, 1.0), RunOptions())
        assert on_gpu < 5 * 512 * 512 * 800 < main


class TestLimit:
    def test_more_than_there_is_is_all_there_is(self, gpu):
        with limited_memory(GPU, 64):
            assert gpu.fraction == 1

    def test_the_end_of_one_run_leaves_the_limit_of_another(self, gpu):
        with limited_memory(GPU, 2):
            with limited_memory(GPU, 5):
                assert gpu.fraction == 0.2
            assert gpu.fraction == 0.2
        assert gpu.fraction == 1

    def test_runs_may_end_in_any_order(self, gpu):
        first, second = limited_memory(GPU, 2), limited_memory(GPU, 5)
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert gpu.fraction == 0.5
        second.__exit__(None, None, None)
        assert gpu.fraction == 1

    @pytest.mark.parametrize("wrong", [0, -1.0, float("nan"), float("inf")])
    def test_what_is_no_limit_is_refused_before_anything_is_loaded(self, wrong):
        with pytest.raises(InputError, match=rf"^The memory limit is {wrong:g} GB; give a number above 0, or none for no limit\.$"):
            Predictor("no such model", memory_limit_gb=wrong)

    @pytest.mark.parametrize("device", ["cuda:0", "cuda:1"])
    def test_every_step_down_names_it(self, device):
        for place in placements(torch.device(device), 4, 1.5)[1:]:
            assert place.note.startswith(f"{device} ran out of memory (limit 1.5 GB)")
