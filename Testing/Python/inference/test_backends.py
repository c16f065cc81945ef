"""Which back end computes a network, what is said of it, and that the answer does not depend on it."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from AttentionSegLib.errors import InputError
from AttentionSegLib.image import Image
from AttentionSegLib.inference import Predictor, backends
from AttentionSegLib.inference.backends import BACKEND_VARIABLE, choose_backend, weights_sha256
from AttentionSegLib.inference.openvino_network import OpenVinoFailed, OpenVinoNetwork, openvino_available
from AttentionSegLib.models import load_model
from tiny_models import save_unet

CPU, GPU = torch.device("cpu"), torch.device("cuda:0")


@pytest.fixture
def image() -> Image:
    voxels = np.random.default_rng(2).normal(size=(1, 20, 18, 17)).astype(np.float32)
    return Image(voxels, np.diag([-1.0, 1.0, 1.0, 1.0]), "scan")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ATTENTIONSEG_CACHE", str(tmp_path / "cache"))


class TestChoice:
    @pytest.mark.parametrize(
        ("name", "device", "installed", "chosen"),
        [
            ("auto", CPU, True, "openvino"),
            ("auto", CPU, False, "torch"),
            ("auto", GPU, True, "torch"),
            ("torch", CPU, True, "torch"),
            ("openvino", CPU, True, "openvino"),
        ],
    )
    def test_openvino_where_it_can_run(self, monkeypatch, name, device, installed, chosen):
        monkeypatch.delenv(BACKEND_VARIABLE)
        monkeypatch.setattr(backends, "openvino_available", lambda: installed)
        assert choose_backend(name, device) == chosen

    @pytest.mark.parametrize("wished", ["torch", "openvino"])
    def test_the_environment_decides_for_auto_alone(self, monkeypatch, wished):
        monkeypatch.setenv(BACKEND_VARIABLE, wished)
        monkeypatch.setattr(backends, "openvino_available", lambda: True)
        assert choose_backend("auto", CPU) == wished
        assert choose_backend("torch", CPU) == "torch"

    @pytest.mark.parametrize(
        ("name", "device", "installed", "said"),
        [
            ("openvino", CPU, False, "is not installed; run pip install openvino"),
            ("openvino", GPU, True, "not on cuda:0; choose cpu"),
            ("onnx", CPU, True, "choose one of auto, torch, openvino"),
        ],
    )
    def test_what_cannot_be_is_refused_in_a_sentence(self, monkeypatch, name, device, installed, said):
        monkeypatch.setattr(backends, "openvino_available", lambda: installed)
        with pytest.raises(InputError, match=re.escape(said)) as caught:
            choose_backend(name, device)
        assert str(caught.value).endswith(".")

    def test_the_predictor_refuses_it_before_it_reads_a_model(self, tmp_path):
        with pytest.raises(InputError, match="no back end 'onnx'"):
            Predictor(tmp_path / "nowhere", "cpu", "onnx")


class TestWeights:
    def test_their_digest_changes_with_any_of_them(self, tmp_path):
        model = load_model(save_unet(tmp_path / "model"))
        before = weights_sha256(model.network)
        assert weights_sha256(load_model(tmp_path / "model").network) == before
        next(model.network.parameters()).data.view(-1)[0] += 1e-3
        assert weights_sha256(model.network) != before


class TestOpenVino:
    def test_gives_what_torch_gives_and_is_named(self, tmp_path, image):
        _need_openvino()
        folder = save_unet(tmp_path / "model")
        ours, other = Predictor(folder, "cpu", "openvino")(image), Predictor(folder, "cpu", "torch")(image)
        assert (ours.backend, other.backend) == ("openvino", "torch")
        assert ours.computed_on == "cpu with OpenVINO"
        assert ours.notes == ()
        assert (ours.labels.voxels == other.labels.voxels).mean() > 0.999
        assert ours.attention.keys() == other.attention.keys() == {"gate_2", "gate_3"}
        for name, values in other.attention.items():
            np.testing.assert_allclose(ours.attention[name].voxels, values.voxels, atol=1e-4)
            np.testing.assert_array_equal(ours.attention[name].affine, values.affine)
        np.testing.assert_allclose(ours.uncertainty.voxels, other.uncertainty.voxels, atol=1e-3)

    def test_when_it_cannot_take_the_network_torch_does_and_a_note_says_so(self, tmp_path, image, monkeypatch):
        def refuse(*_: object) -> None:
            raise OpenVinoFailed("OpenVINO cannot run this network (no such operation).")

        monkeypatch.setattr(backends, "openvino_available", lambda: True)
        monkeypatch.setattr(backends, "openvino_network", refuse)
        prediction = Predictor(save_unet(tmp_path / "model"), "cpu", "openvino")(image)
        assert prediction.backend == "torch"
        assert prediction.notes == ("OpenVINO cannot run this network (no such operation). Torch was used instead.",)

    def test_when_it_stops_in_the_middle_torch_starts_again(self, tmp_path, image, monkeypatch):
        _need_openvino()
        folder = save_unet(tmp_path / "model")
        predictor = Predictor(folder, "cpu", "openvino")

        def stop(*_: object) -> None:
            raise OpenVinoFailed("OpenVINO stopped while the network ran (no memory).")

        with monkeypatch.context() as patched:
            patched.setattr(OpenVinoNetwork, "outputs", stop)
            patched.setattr(backends, "openvino_network", lambda network, *_: _unchecked(network))
            prediction = predictor(image)
        assert prediction.backend == "torch"
        assert prediction.notes == ("OpenVINO stopped while the network ran (no memory). Torch was used instead.",)
        np.testing.assert_array_equal(prediction.labels.voxels, Predictor(folder, "cpu", "torch")(image).labels.voxels)


def _need_openvino() -> None:
    # Not by importing it: its telemetry would report that.
    if not openvino_available():
        pytest.skip("openvino is not installed")


def _unchecked(network: torch.nn.Module) -> OpenVinoNetwork:
    """A converted network whose conversion was not compared with the original."""
    from AttentionSegLib.inference.openvino_graph import compile_graph, convert

    return OpenVinoNetwork(network, compile_graph(convert(network, (1, 1, 16, 16, 16))[0]))
