"""OpenVINO in place of torch: the same numbers, converted once, and one exception when it cannot."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar, NamedTuple

import pytest
import torch
from AttentionSegLib.inference.openvino_cache import read_entry
from AttentionSegLib.inference.openvino_network import OpenVinoFailed, OpenVinoNetwork, openvino_available, openvino_network
from AttentionSegLib.networks import NetworkOutput, build_network
from torch import Tensor, nn
from torch.testing import assert_close

pytestmark = pytest.mark.skipif(not openvino_available(), reason="OpenVINO is not installed")

SMALL_GUIDED = {"backbone": 10, "backbone_width": 0.0625, "stem_stride": 2, "width": 8, "steps": 1}
# Patches that are no multiples of the stride have maps that are cut off; axes of different sizes show when two are exchanged.
CASES = {
    "unet 3D": ("attention-unet", {"spatial_dims": 3, "channels": [2, 4, 4], "strides": [[2, 2, 1], 2], "deep_supervision": True}, (8, 12, 10)),
    "unet 3D, instance norm": ("attention-unet", {"spatial_dims": 3, "channels": [2, 4, 4], "norm": "instance", "gate": "full"}, (8, 12, 9)),
    "guided 2D": ("guided-attention", {"spatial_dims": 2, "norm": "instance", **SMALL_GUIDED}, (24, 40)),
    "guided 3D": ("guided-attention", {"spatial_dims": 3, **SMALL_GUIDED}, (16, 12, 32)),
}
TINY = {"spatial_dims": 2, "channels": [2, 3, 4]}


class Case(NamedTuple):
    network: nn.Module
    converted: OpenVinoNetwork
    patch: tuple[int, ...]

    def pictures(self, count: int = 1) -> Tensor:
        return torch.randn((count, 2, *self.patch), generator=torch.Generator().manual_seed(3))


def made(name: str, arguments: dict, in_channels: int = 1) -> nn.Module:
    """With weights and statistics that let every part show in the result."""
    torch.manual_seed(1)
    network = build_network(name, in_channels, 3, arguments).eval()
    for key, values in network.state_dict().items():
        if key.endswith(("gamma", "running_mean", "bias")):
            values.uniform_(-0.5, 0.5)
        elif key.endswith("running_var"):
            values.uniform_(0.5, 1.5)
    return network


def tiny() -> nn.Module:
    return made("attention-unet", TINY)


def convert(network: nn.Module, cache: Path, sha256: str = "a", patch: tuple[int, ...] = (8, 8), in_channels: int = 1) -> OpenVinoNetwork:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return openvino_network(network, sha256, patch, in_channels, cache)


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(3))


def run(network, x: Tensor, wanted=False):
    with torch.inference_mode():
        return network(x, return_attention=wanted)


def check_alike(found: NetworkOutput | Tensor, expected: NetworkOutput | Tensor) -> None:
    if isinstance(expected, Tensor):
        assert_close(found, expected, atol=2e-4, rtol=2e-4)
        return
    check_alike(found.logits, expected.logits)
    assert found.attention.keys() == expected.attention.keys()
    for name, values in expected.attention.items():
        check_alike(found.attention[name], values)
    assert (found.uncertainty is None) == (expected.uncertainty is None)
    if expected.uncertainty is not None:
        check_alike(found.uncertainty, expected.uncertainty)
    assert found.positions.keys() == expected.positions.keys()
    for name, features in expected.positions.items():
        assert found.positions[name].size == tuple(features.size)
        check_alike(found.positions[name].queries, features.queries)
        check_alike(found.positions[name].keys, features.keys)


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module", params=CASES)
def case(request, cache) -> Case:
    name, arguments, patch = CASES[request.param]
    network = made(name, arguments, in_channels=2)
    return Case(network, convert(network, cache, "a", patch, 2), patch)


class TestNumbers:
    @pytest.mark.parametrize("wanted", [True, False, ()])
    def test_are_those_of_torch(self, case, wanted):
        x = case.pictures()
        check_alike(run(case.converted, x, wanted), run(case.network, x, wanted))

    def test_for_some_of_the_maps(self, case):
        x = case.pictures()
        names = list(case.network.attention_strides)
        for wanted in (names[:1], names[-1:], [names[-1], names[0]]):
            check_alike(run(case.converted, x, iter(wanted)), run(case.network, x, wanted))

    def test_of_several_pictures_at_a_time(self, case):
        x = case.pictures(3)
        check_alike(run(case.converted, x, True), run(case.network, x, True))

    def test_stay_when_the_network_runs_again(self, case):
        first = run(case.converted, case.pictures(), True)
        before = first.logits.clone()
        run(case.converted, case.pictures() * 2 + 1, True)
        assert_close(first.logits, before, atol=0, rtol=0)

    def test_of_several_threads_at_a_time(self, case):
        pictures = [case.pictures() + i for i in range(6)]
        with ThreadPoolExecutor(3) as threads:
            found = list(threads.map(case.converted, pictures))
        for x, logits in zip(pictures, found):
            check_alike(logits, run(case.network, x))

    def test_of_an_input_in_another_layout_and_type(self, case):
        x = case.pictures().transpose(-1, -2).contiguous().transpose(-1, -2).double()
        check_alike(run(case.converted, x), run(case.network, x.float()))


class TestFace:
    def test_strides_and_whatever_else_the_network_has(self, case):
        assert case.converted.total_stride == case.network.total_stride
        assert case.converted.attention_strides == case.network.attention_strides
        assert case.converted.spatial_dims == len(case.patch)
        with pytest.raises(AttributeError, match="no_such_thing"):
            _ = case.converted.no_such_thing

    def test_the_probe(self, case):
        x = case.pictures()
        found, expected = run(case.converted, x, True).positions, run(case.network, x, True).positions
        place = tuple(range(1, 1 + len(case.patch)))
        for name in expected:
            check_alike(found[name].row(place), expected[name].row(place))

    def test_a_map_of_another_name(self, case):
        with pytest.raises(ValueError, match="There is no attention map 'gate_9'; the network has"):
            case.converted(case.pictures(), ["gate_9"])

    @pytest.mark.parametrize("change", [lambda x: x[..., 1:], lambda x: x[:, :1], lambda x: x[0]], ids=["size", "channels", "axes"])
    def test_an_input_of_another_shape(self, case, change):
        with pytest.raises(ValueError, match=r"this network was converted for \['B', 2, "):
            case.converted(change(case.pictures()))


class TestCache:
    def test_a_second_start_does_not_convert(self, tmp_path):
        x = noise(1, 1, 8, 8)
        network = tiny()
        expected = run(network, x, True)
        check_alike(run(convert(network, tmp_path), x, True), expected)
        for values in network.parameters():
            values.data.zero_()
        check_alike(run(convert(network, tmp_path), x, True), expected)

    def test_other_weights_another_patch_other_channels_and_another_network_are_converted_anew(self, tmp_path):
        others = [
            (tiny(), {}),
            (tiny(), {"sha256": "b"}),
            (tiny(), {"patch": (8, 12)}),
            (made("attention-unet", TINY, 2), {"in_channels": 2}),
            (made("attention-unet", {**TINY, "strides": [1, 2]}), {}),
        ]
        for count, (network, changes) in enumerate(others, start=1):
            converted = convert(network, tmp_path, **changes)
            x = noise(1, changes.get("in_channels", 1), *changes.get("patch", (8, 8)))
            check_alike(run(converted, x, True), run(network, x, True))
            assert len(list(tmp_path.iterdir())) == count

    def test_a_damaged_entry_is_converted_again_and_replaced(self, tmp_path):
        network, x = tiny(), noise(1, 1, 8, 8)
        convert(network, tmp_path)
        (entry,) = tmp_path.iterdir()
        whole = entry.read_bytes()
        entry.write_bytes(whole[:-1] + b"?")
        check_alike(run(convert(network, tmp_path), x), run(network, x))
        assert list(tmp_path.iterdir()) == [entry]
        assert read_entry(tmp_path, entry.stem) is not None

    def test_a_cache_that_cannot_be_written_stops_nothing(self, tmp_path, caplog):
        (tmp_path / "file").touch()
        network, x = tiny(), noise(1, 1, 8, 8)
        check_alike(run(convert(network, tmp_path / "file"), x), run(network, x))
        assert f"cannot be kept in {tmp_path / 'file'}" in caplog.text

    def test_the_users_own_is_used_when_none_is_given(self, tmp_path, monkeypatch):
        monkeypatch.setenv("ATTENTIONSEG_CACHE", str(tmp_path))
        openvino_network(tiny(), "a", (8, 8), 1)
        assert len(list((tmp_path / "openvino").iterdir())) == 1


class Pointwise(nn.Module):
    """A network of one operation, without maps."""

    attention_strides: ClassVar = {}
    total_stride = (1, 1)

    def __init__(self, operation) -> None:
        super().__init__()
        self.operation = operation

    def forward(self, x: Tensor, return_attention: bool = False) -> NetworkOutput:
        return NetworkOutput(self.operation(x))


class TestFailure:
    @pytest.mark.parametrize(
        ("operation", "reason"),
        [
            (torch.special.bessel_j0, "bessel_j0"),
            (lambda x: torch.stack([x])[3], "index 3"),
            (lambda x: x @ x[:, :, :3], "1, 8"),
            (lambda x: x + torch.rand_like(x), "OpenVINO gives other logits than PyTorch"),
        ],
        ids=["unknown to OpenVINO", "index", "shape", "random"],
    )
    def test_is_one_exception_with_one_sentence_and_leaves_nothing(self, tmp_path, operation, reason):
        with pytest.raises(OpenVinoFailed, match=reason) as caught:
            convert(Pointwise(operation), tmp_path)
        assert re.fullmatch(r"OpenVINO [^\n]+\.", str(caught.value))
        assert list(tmp_path.iterdir()) == []

    def test_without_openvino(self, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "openvino", None)
        assert not openvino_available()
        with pytest.raises(OpenVinoFailed, match=r"^OpenVINO cannot be loaded \([^\n]+\)\.$"):
            convert(tiny(), tmp_path)


CONVERTING = f"""
import sys
from pathlib import Path
from AttentionSegLib.inference.openvino_network import openvino_network
from AttentionSegLib.networks import build_network
openvino_network(build_network("attention-unet", 1, 3, {TINY}), "a", (8, 8), 1, Path(sys.argv[1]))
print("openvino" in sys.modules, sys.modules["openvino_telemetry"])
"""


def test_openvino_reports_no_use(tmp_path):
    """Its telemetry would send a message from a computer with patients' scans. In a process of its own, where nothing has imported OpenVINO yet."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", CONVERTING, str(tmp_path)], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "None"]
