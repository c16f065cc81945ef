"""A network over overlapping patches: nothing of the patches may show in what comes out."""

from __future__ import annotations

import re
from typing import ClassVar

import pytest
import torch
from AttentionSegLib.errors import Cancelled, OutOfMemory
from AttentionSegLib.inference.progress import Progress
from AttentionSegLib.inference.sliding_window import Placement, placements, run, run_with_fallback
from AttentionSegLib.networks import NetworkOutput, build_network
from tiny_models import UNET, IntensityNetwork
from torch import Tensor, nn
from torch.nn.functional import avg_pool3d

CPU = torch.device("cpu")
PLACE = Placement(CPU, CPU, 1)
NAMES = ["gate_2", "gate_3"]


class Recorder(IntensityNetwork):
    """Keeps the sizes of the batches it was given; fails as told for those above a limit."""

    def __init__(self, largest_batch: int = 99, error: type[Exception] = torch.cuda.OutOfMemoryError, text: str = "CUDA out of memory.") -> None:
        super().__init__()
        self.batches, self.asked = [], set()
        self._largest, self._error, self._text = largest_batch, error, text

    def forward(self, x: Tensor, return_attention: list[str]) -> Tensor | NetworkOutput:
        self.batches.append(len(x))
        self.asked.add(tuple(return_attention))
        if len(x) > self._largest:
            raise self._error(self._text)
        return super().forward(x, return_attention)


class Anisotropic(nn.Module):
    """Maps that are as fine as the input along some axes and coarser along others."""

    attention_strides: ClassVar = {"flat": (4, 4, 1), "fine": (1, 1, 1), "thick": (1, 2, 6)}
    total_stride = (4, 4, 6)

    def forward(self, x: Tensor, return_attention: list[str]) -> NetworkOutput:
        return NetworkOutput(x * 2, {name: avg_pool3d(x, stride) for name, stride in self.attention_strides.items()})


def volume_of(*shape: int) -> Tensor:
    return torch.rand((1, *shape), generator=torch.Generator().manual_seed(3)) * 150


def run_over(network, volume, patch, overlap=0.5, names=NAMES, place=PLACE, progress=None):
    output = run(network, volume, patch, overlap, names, place, progress or Progress())
    return output.logits, output.attention


class TestStitching:
    def test_a_single_patch_is_what_the_network_says(self):
        torch.manual_seed(0)
        network = build_network("attention-unet", 1, 3, UNET["arguments"]).eval()
        volume = volume_of(16, 24, 16) / 100
        with torch.inference_mode():
            direct = network(volume[None], return_attention=True)
        logits, maps = run_over(network, volume, (16, 24, 16))
        torch.testing.assert_close(logits, direct.logits[0], atol=1e-5, rtol=1e-5)
        assert maps.keys() == {"gate_2", "gate_3"}
        for name, values in maps.items():
            torch.testing.assert_close(values, direct.attention[name][0], atol=1e-6, rtol=1e-5)

    @pytest.mark.parametrize("batch", [1, 3])
    @pytest.mark.parametrize("overlap", [0, 0.25, 0.3, 0.5, 0.77, 0.9])
    @pytest.mark.parametrize(("shape", "patch"), [((28, 20, 16), (16, 16, 16)), ((12, 36, 8), (12, 8, 8)), ((16, 16, 44), (4, 16, 20))])
    def test_no_seam_whatever_the_patches(self, shape, patch, overlap, batch):
        volume = volume_of(*shape)
        logits, maps = run_over(IntensityNetwork(), volume, patch, overlap, place=Placement(CPU, CPU, batch))
        direct = IntensityNetwork()(volume[None], return_attention=True)
        torch.testing.assert_close(logits, direct.logits[0], atol=1e-4, rtol=1e-5)
        for name, stride in IntensityNetwork.attention_strides.items():
            assert maps[name].shape == (1, *(size // s for size, s in zip(shape, stride)))
            torch.testing.assert_close(maps[name], avg_pool3d(volume, stride), atol=1e-3, rtol=1e-5)

    def test_maps_of_any_stride_land_on_their_voxels(self):
        volume = volume_of(20, 28, 36)
        _, maps = run_over(Anisotropic(), volume, (8, 12, 18), 0.4, ["thick", "flat", "fine"])
        for name, stride in Anisotropic.attention_strides.items():
            torch.testing.assert_close(maps[name], avg_pool3d(volume, stride), atol=1e-3, rtol=1e-5)

    def test_only_the_maps_wanted_come_back(self):
        network = Recorder()
        assert run_over(network, volume_of(16, 16, 16), (16, 16, 16), names=["gate_3"])[1].keys() == {"gate_3"}
        assert run_over(network, volume_of(16, 16, 16), (16, 16, 16), names=[])[1] == {}
        assert network.asked == {("gate_3",), ()}

    def test_the_volume_is_not_changed(self):
        volume = volume_of(20, 16, 16)
        before = volume.clone()
        run_over(IntensityNetwork(), volume, (8, 8, 8))
        assert torch.equal(volume, before)

    def test_results_are_single_precision_and_have_no_gradient(self):
        network = build_network("attention-unet", 1, 3, UNET["arguments"]).eval()
        logits, maps = run_over(network, volume_of(16, 16, 16), (16, 16, 16))
        assert all(values.dtype == torch.float32 and not values.requires_grad for values in (logits, *maps.values()))


class TestProgress:
    @pytest.mark.parametrize(
        ("shape", "overlap", "patches"), [((16, 16, 16), 0.5, 1), ((24, 16, 32), 0.5, 6), ((32, 32, 16), 0, 4), ((20, 36, 16), 0.25, 6)]
    )
    def test_each_patch_is_run_once_and_told_about(self, shape, overlap, patches):
        network, told = Recorder(), []
        progress = Progress(lambda fraction, stage, left: told.append((fraction, stage)))
        progress.stage("network")
        told.clear()
        run_over(network, volume_of(*shape), (16, 16, 16), overlap, progress=progress)
        assert network.batches == [1] * patches
        assert [stage for _, stage in told] == ["network"] * patches
        assert [fraction for fraction, _ in told] == pytest.approx([0.8 * done / patches for done in range(patches)])

    def test_a_batch_that_is_not_full_is_not_filled(self):
        network = Recorder()
        run_over(network, volume_of(24, 16, 40), (16, 16, 16), place=Placement(CPU, CPU, 3))
        assert network.batches == [3, 3, 2]

    @pytest.mark.parametrize("patches", [0, 1, 4])
    def test_cancel_ends_the_run_between_two_patches(self, patches):
        network, started = Recorder(), []
        progress = Progress(cancel=lambda: bool(started) and len(network.batches) == patches)
        progress.stage("network")
        started.append(True)
        with pytest.raises(Cancelled, match="network"):
            run_over(network, volume_of(32, 32, 16), (16, 16, 16), progress=progress)
        assert len(network.batches) == patches


class TestMemory:
    TRIES = (Placement(CPU, CPU, 4), Placement(CPU, CPU, 2, "two at a time"), Placement(CPU, CPU, 1, "one at a time"))

    def fall_back(self, network, volume=None):
        volume = volume_of(24, 24, 16) if volume is None else volume
        output, place = run_with_fallback(network, volume, (16, 16, 16), 0.5, NAMES, self.TRIES, Progress())
        return output.logits, output.attention, place

    @pytest.mark.parametrize(
        ("largest", "batches", "note"), [(4, [4], ""), (3, [4, 2, 2], "two at a time"), (1, [4, 2, 1, 1, 1, 1], "one at a time")]
    )
    def test_the_first_placement_that_fits_is_taken(self, largest, batches, note):
        network = Recorder(largest)
        logits, maps, place = self.fall_back(network)
        assert place.note == note
        assert network.batches == batches
        direct = IntensityNetwork()(volume_of(24, 24, 16)[None], return_attention=True)
        torch.testing.assert_close(logits, direct.logits[0], atol=1e-4, rtol=1e-5)
        torch.testing.assert_close(maps["gate_2"], direct.attention["gate_2"][0], atol=1e-3, rtol=1e-5)

    def test_memory_of_a_mac_runs_out_in_other_words(self):
        text = "MPS backend out of memory (MPS allocated: 12.74 GB, max allowed: 18.13 GB). Tried to allocate 1.02 GB on private pool."
        assert self.fall_back(Recorder(1, RuntimeError, text))[2].note == "one at a time"

    def test_an_error_of_another_kind_is_not_taken_for_lack_of_memory(self):
        network = Recorder(3, RuntimeError, "mat1 and mat2 shapes cannot be multiplied")
        with pytest.raises(RuntimeError, match="mat1 and mat2"):
            self.fall_back(network)
        assert network.batches == [4]

    def test_the_cpu_runs_out_in_other_words_too(self):
        text = "[enforce fail at alloc_cpu.cpp:119] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."
        assert self.fall_back(Recorder(1, RuntimeError, text))[2].note == "one at a time"

    def test_when_nothing_fits_a_sentence_says_so(self):
        network = Recorder(0)
        with pytest.raises(OutOfMemory, match="not enough memory on cpu for a volume of 24 x 24 x 16 working voxels"):
            self.fall_back(network)
        assert network.batches == [4, 2, 1]

    @pytest.mark.parametrize(("name", "batch"), [("cuda:0", 4), ("cuda:1", 1), ("mps", 1)])
    def test_a_device_is_left_for_the_cpu_last_and_every_step_down_is_told(self, name, batch):
        tries = placements(torch.device(name), batch)
        assert (str(tries[0].device), tries[0].batch, tries[0].note) == (name, batch, "")
        assert (tries[-1].device, tries[-1].sum_device) == (CPU, CPU)
        assert all(re.fullmatch(rf"{name} ran out of memory.*\.", place.note) for place in tries[1:])
        assert len({(place.device, place.sum_device, place.batch) for place in tries}) == len(tries)

    def test_the_cpu_is_its_own_last_resort(self):
        assert placements(CPU, 1) == [PLACE]
