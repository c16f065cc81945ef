"""Which devices, precision and processes a training gets."""

from __future__ import annotations

import sys

import pytest
import torch
from AttentionSegLib.errors import InputError
from AttentionSegLib.training.hardware import chosen_devices, lightning_arguments, loader_arguments

GPUS = [torch.device("cuda", index) for index in range(2)]


class TestDevices:
    def test_of_this_computer(self):
        assert chosen_devices("cpu") == [torch.device("cpu")]
        assert len(chosen_devices("auto")) == 1

    def test_one_that_is_not_there(self):
        with pytest.raises(InputError, match=r"^There is no device 'cuda:99' on this computer; choose [^\n]+\.$"):
            chosen_devices("cuda:99")

    def test_several(self, monkeypatch):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
        assert chosen_devices("cuda:0,1") == GPUS
        assert chosen_devices("auto") == GPUS[:1]
        with pytest.raises(InputError, match="'cuda:2'"):
            chosen_devices("cuda:0,2")


class TestPrecision:
    def test_the_cpu_computes_in_full(self):
        assert lightning_arguments([torch.device("cpu")])["precision"] == "32-true"

    @pytest.mark.parametrize(("capability", "precision"), [((7, 5), "16-mixed"), ((8, 0), "bf16-mixed"), ((9, 0), "bf16-mixed")])
    def test_cuda_computes_in_half(self, monkeypatch, capability, precision):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _index: capability)
        arguments = lightning_arguments(GPUS[:1])
        assert (arguments["accelerator"], arguments["devices"], arguments["precision"]) == ("gpu", [0], precision)

    def test_several_gpus(self, monkeypatch):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index: (8 if index else 7, 0))
        arguments = lightning_arguments(GPUS)
        assert (arguments["devices"], arguments["strategy"], arguments["precision"]) == ([0, 1], "ddp", "16-mixed")


class TestProcesses:
    @pytest.fixture(autouse=True)
    def _outside_slicer(self, monkeypatch):
        monkeypatch.delenv("ATTENTIONSEG_WORKERS", raising=False)
        monkeypatch.delitem(sys.modules, "slicer", raising=False)

    @pytest.mark.parametrize(("cores", "count"), [(1, 0), (2, 0), (4, 2), (64, 4)])
    def test_by_cores(self, monkeypatch, cores, count):
        monkeypatch.setattr("os.sched_getaffinity", lambda _pid: set(range(cores)), raising=False)
        arguments = loader_arguments(torch.device("cpu"))
        assert (arguments["num_workers"], arguments["persistent_workers"]) == (count, count > 0)

    def test_none_within_slicer(self, monkeypatch):
        monkeypatch.setattr("os.sched_getaffinity", lambda _pid: set(range(64)), raising=False)
        monkeypatch.setitem(sys.modules, "slicer", sys)
        assert loader_arguments(torch.device("cpu"))["num_workers"] == 0

    def test_as_told(self, monkeypatch):
        monkeypatch.setenv("ATTENTIONSEG_WORKERS", "7")
        assert loader_arguments(torch.device("cpu"))["num_workers"] == 7
        monkeypatch.setenv("ATTENTIONSEG_WORKERS", "many")
        with pytest.raises(InputError, match=r"^ATTENTIONSEG_WORKERS is 'many'; [^\n]+\.$"):
            loader_arguments(torch.device("cpu"))
