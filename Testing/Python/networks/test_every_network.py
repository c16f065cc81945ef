"""What every network promises, whatever a card asks of it: any size, channels, classes, precision and choice of maps."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest
import torch
from AttentionSegLib.networks import NETWORKS, NetworkOutput, network_class
from AttentionSegLib.networks.supervision import added
from network_cases import AnyRegion, Case, biases_before_norms, check_output, everything, make_input
from torch import Tensor, nn
from torch.nn import functional as F
from torch.testing import assert_close

UNET = {"channels": (4, 6, 8, 10)}
GUIDED = {"width": 8, "backbone": 10, "backbone_width": 0.125}
CONFIGURATIONS = {
    "attention-unet": {
        "grid": UNET,
        "full": {**UNET, "gate": "full", "norm": "instance"},
        "none": {**UNET, "gate": "none"},
        "deep supervision": {**UNET, "norm": "instance", "deep_supervision": True},
        "everything": {**UNET, "gate": "full", "gates_per_level": 3, "deep_supervision": True, "dropout": 0.1},
    },
    "guided-attention": {
        "ResNet-10": GUIDED,
        "ResNet-50": {**GUIDED, "backbone": 50, "steps": 1},
        "stride 2": {**GUIDED, "width": 4, "stem_stride": 2, "norm": "instance"},
        "stride 1": {**GUIDED, "width": 4, "stem_stride": 1, "position": False},
    },
}
MODES = ("eval", "train")


def planned(name: str) -> dict[str, Any]:
    """Its cheapest variant for a small patch, but for the number of dimensions."""
    arguments = network_class(name).variants("cpu")[-1].arguments((16, 16, 16), (1.0, 1.0, 1.0))
    return {key: value for key, value in arguments.items() if key != "spatial_dims"}


CASES = [
    pytest.param(Case(name, {"spatial_dims": dims, **arguments}), id=f"{name}, {label}, {dims}d")
    for name in NETWORKS
    for label, arguments in (CONFIGURATIONS.get(name) or {"planned": planned(name)}).items()
    for dims in network_class(name).dimensions
]


@pytest.fixture(scope="module", params=CASES)
def case(request) -> Case:
    return request.param


@pytest.fixture(scope="module")
def network(case) -> nn.Module:
    """Shared by the tests of a case; none may change it."""
    return case.build_trained()


@pytest.fixture(scope="module")
def modes(network) -> dict[str, nn.Module]:
    """The network as it segments, and a copy as it trains, whose running statistics say nothing."""
    return {"eval": network, "train": copy.deepcopy(network).train()}


@pytest.fixture(scope="module")
def x(case) -> Tensor:
    return case.image()


@pytest.fixture(scope="module")
def output(network, x) -> NetworkOutput:
    with torch.inference_mode():
        return network(x, return_attention=True)


class TestEveryNetwork:
    @pytest.mark.parametrize("mode", MODES)
    @pytest.mark.parametrize("size", [(17, 23, 19), (1, 1, 1)], ids=str)
    def test_any_size(self, case, modes, size, mode):
        with torch.inference_mode():
            check_output(modes[mode], make_input(1, 1, *size[: case.arguments["spatial_dims"]]))

    @pytest.mark.parametrize(("inputs", "classes"), [(2, 1), (3, 6), (4, 2)])
    def test_any_number_of_channels_and_classes(self, case, inputs, classes):
        with torch.inference_mode():
            check_output(case.build(inputs, classes).eval(), case.image(inputs), classes)

    def test_padding_equals_zeros_beside_the_image(self, network, x, output):
        size = x.shape[2:]
        beside = [amount for n, stride in zip(size[::-1], network.total_stride[::-1]) for amount in (0, -n % stride)]
        assert any(beside)
        with torch.inference_mode():
            padded = everything(network(F.pad(x, beside), return_attention=True))
        for key, values in everything(output).items():
            assert torch.equal(padded[key][(..., *(slice(n) for n in values.shape[2:]))], values)

    def test_asking_for_attention_does_not_change_the_logits(self, network, x, output):
        with torch.inference_mode():
            assert torch.equal(network(x), output.logits)

    def test_maps_asked_for_by_name_are_those_of_all(self, network, x, output):
        for wanted in (list(network.attention_strides)[::-2], []):
            with torch.inference_mode():
                some = network(x, return_attention=iter(wanted))
            assert list(some.attention) == wanted
            assert torch.equal(some.logits, output.logits)
            assert all(torch.equal(some.attention[key], output.attention[key]) for key in wanted)

    def test_a_gate_is_a_map_and_other_coefficients_change_the_logits(self, network, x, output):
        assert network.gates.keys() <= network.attention_strides.keys()
        for name, modules in network.gates.items():
            held = [module.register_forward_hook(lambda _module, _inputs, alpha: alpha * 0) for module in modules]
            with torch.inference_mode():
                closed = network(x, return_attention=[name])
            for hook in held:
                hook.remove()
            assert closed.attention[name].max() == 0
            assert not torch.equal(closed.logits, output.logits)

    def test_an_unknown_map_is_refused_by_name(self, network, x):
        sentence = f"There is no attention map 'gate_9'; the network has {', '.join(network.attention_strides) or 'none'}."
        with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
            network(x, return_attention=[*network.attention_strides, "gate_9"])

    def test_a_seed_gives_the_same_network_and_an_input_the_same_output(self, case, network, x, output):
        first, again, other = (case.build(seed=seed).state_dict() for seed in (3, 3, 4))
        assert all(torch.equal(again[key], values) for key, values in first.items())
        assert not all(torch.equal(other[key], values) for key, values in first.items())
        with torch.inference_mode():
            repeated = everything(network(x, return_attention=True))
        assert all(torch.equal(repeated[key], values) for key, values in everything(output).items())

    def test_weights_carry_over_to_another_network(self, case, network, x, tmp_path):
        first, second = copy.deepcopy(network).train(), case.build(seed=2).eval()
        with torch.inference_mode():
            first(x + 1)
            torch.save(first.state_dict(), tmp_path / "weights.pt")
            second.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
            expected, got = (everything(n(x, return_attention=True)) for n in (first.eval(), second))
        assert all(torch.equal(got[key], values) for key, values in expected.items())

    def test_each_image_of_a_batch_is_segmented_on_its_own(self, network, x, output):
        with torch.inference_mode():
            together = everything(network(torch.cat([x, 10 * x.flip(2) + 3]), return_attention=True))
        for key, alone in everything(output).items():
            assert_close(together[key][:1], alone, rtol=1e-4, atol=1e-4)

    def test_every_parameter_learns(self, modes, x):
        network = modes["train"]
        network.zero_grad()
        output = network(torch.cat([x, x.flip(2)]), return_attention=())
        added(network.loss_terms(output, AnyRegion()).values()).backward()
        parameters = dict(network.named_parameters())
        assert [key for key, parameter in parameters.items() if parameter.grad is None] == []
        # A softmax over keys does not see what is added to all of them.
        unseen = {key for key in parameters if key.endswith("key.bias")} | biases_before_norms(network)
        assert [key for key, parameter in parameters.items() if not parameter.grad.any() and key not in unseen] == []

    @pytest.mark.parametrize("mode", MODES)
    @pytest.mark.parametrize("value", [0.0, 5.0, -1e4])
    def test_a_constant_image_gives_numbers(self, modes, x, value, mode):
        with torch.inference_mode():
            check_output(modes[mode], torch.full_like(x, value))

    def test_double_precision_agrees(self, network, x, output):
        with torch.inference_mode():
            exact = everything(copy.deepcopy(network).double()(x.double(), return_attention=True))
        for key, values in everything(output).items():
            assert_close(values.double(), exact[key], rtol=1e-4, atol=1e-4)


# Of one configuration: many processors emulate bfloat16, slowly.
SMALLEST = {
    "attention-unet": {"channels": (2, 4, 6), "deep_supervision": True},
    "guided-attention": {**GUIDED, "width": 4, "stem_stride": 1, "steps": 1, "backbone_width": 1 / 32},
}


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize(("name", "arguments"), SMALLEST.items(), ids=SMALLEST)
def test_half_precision_on_the_cpu(name, arguments, dims):
    case = Case(name, {"spatial_dims": dims, **arguments})
    network, x = case.build_trained(), case.image()
    coarse = copy.deepcopy(network).bfloat16()
    with torch.inference_mode():
        exact = network(x)
        check_output(coarse, x.bfloat16())
        found = [coarse(x.bfloat16())]
        with torch.autocast("cpu", torch.bfloat16):
            check_output(network, x)
            found.append(network(x))
    for logits in found:
        assert (logits.float() - exact).abs().mean() < 0.1 * exact.std()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [(97, 31), (33, 17, 18)], ids=str)
@pytest.mark.parametrize(("name", "arguments"), {"attention-unet": UNET, "guided-attention": {**GUIDED, "steps": 1}}.items(), ids=str)
def test_larger_sizes(name, arguments, size, mode):
    network = Case(name, {"spatial_dims": len(size), **arguments}).build_trained().train(mode == "train")
    with torch.inference_mode():
        check_output(network, make_input(1, 1, *size))
