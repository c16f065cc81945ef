"""The arguments of the guided-attention network: what they switch off, and which are refused."""

from __future__ import annotations

from typing import Any

import pytest
from AttentionSegLib.errors import InputError
from AttentionSegLib.networks import GuidedAttention, NetworkOutput, build_network
from guided_networks import SMALL, make_input, make_network


class TestSwitches:
    def run(self, **arguments: Any) -> tuple[set[str], set[str], NetworkOutput]:
        """Parts that have parameters, the maps, and the output while training."""
        network = make_network(**arguments).train()
        output = network(make_input(1, 1, 32, 64), return_attention=True)
        output.logits.square().sum().backward()
        assert [name for name, parameter in network.named_parameters() if parameter.grad is None] == []
        names = ("position_attention", "channel_attention", "semantic", "guide", "steps.0", "steps.1")
        found = {name for name in names for parameter, _ in network.named_parameters() if f".{name}." in f".{parameter}."}
        assert output.attention.keys() == network.attention_strides.keys()
        return found, set(output.attention), output

    def maps(self, kinds: tuple[str, ...] = ("guided", "position"), steps: tuple[int, ...] = (1, 2)) -> set[str]:
        return {f"{kind}_scale{scale}_step{step}" for kind in kinds for scale in (1, 2, 3, 4) for step in steps}

    def test_everything(self):
        parts, maps, _ = self.run()
        assert parts == {"position_attention", "channel_attention", "semantic", "guide", "steps.0", "steps.1"}
        assert maps == self.maps()

    def test_without_position_attention(self):
        parts, maps, output = self.run(position=False)
        assert parts == {"channel_attention", "semantic", "guide", "steps.0", "steps.1"}
        assert maps == self.maps(("guided",))
        assert output.positions == {}

    def test_without_channel_attention(self):
        parts, maps, _ = self.run(channel=False)
        assert parts == {"position_attention", "semantic", "guide", "steps.0", "steps.1"}
        assert maps == self.maps()

    def test_without_guidance(self):
        parts, maps, output = self.run(guided=False)
        assert parts == {"position_attention", "channel_attention", "steps.0", "steps.1"}
        assert maps == self.maps()
        assert output.compared == {"guided": [], "reconstruction": []}

    def test_without_refinement(self):
        parts, maps, output = self.run(steps=1)
        assert parts == {"position_attention", "channel_attention", "semantic", "guide", "steps.0"}
        assert maps == self.maps(steps=(1,))
        assert output.compared["guided"] == []


BAD_ARGUMENTS = [
    ({"spatial_dims": 4}, "spatial_dims is 4"),
    ({"spatial_dims": "3"}, "spatial_dims is 3"),
    ({"width": 0}, "width is 0"),
    ({"width": 8.5}, "width is 8.5"),
    ({"width": "64"}, "width is 64"),
    ({"width": True}, "width is True"),
    ({"steps": 0}, "steps is 0"),
    ({"steps": 1.5}, "steps is 1.5"),
    ({"backbone": 20}, "no ResNet of depth 20"),
    ({"backbone": "resnet18"}, "no ResNet of depth resnet18"),
    ({"backbone": [18]}, "no ResNet of depth [18]"),
    ({"stem_stride": 3}, "stem_stride is 3"),
    ({"stem_stride": None}, "stem_stride is None"),
    ({"stem_stride": 4.0}, "stem_stride is 4.0"),
    ({"backbone_width": 0}, "width is 0"),
    ({"backbone_width": -1}, "width is -1"),
    ({"norm": "layer"}, "no norm 'layer'"),
    ({"query_channels": 0}, "query_channels is 0"),
    ({"query_channels": "8"}, "query_channels is 8"),
    ({"query_channels": SMALL["width"] + 1}, f"from 1 to the width, {SMALL['width']}"),
    ({"similarity": "euclidean"}, "no similarity 'euclidean'"),
]


@pytest.mark.parametrize(("wrong", "said"), BAD_ARGUMENTS, ids=[str(wrong) for wrong, _ in BAD_ARGUMENTS])
class TestBadArguments:
    def test_the_network_says_what_is_wrong_in_one_sentence(self, wrong, said):
        with pytest.raises(ValueError, match=r"^[^\n]+[^.]\.$") as caught:
            GuidedAttention(**{"spatial_dims": 2, "in_channels": 1, "out_channels": 2, **SMALL, **wrong})
        assert said in str(caught.value)

    def test_a_card_with_them_is_refused_by_name(self, wrong, said):
        with pytest.raises(InputError, match=r"^The network 'guided-attention' cannot be built with [^\n]+[^.]\.$") as caught:
            build_network("guided-attention", 1, 2, {"spatial_dims": 2, **SMALL, **wrong})
        assert said in str(caught.value)


def test_a_card_reaches_the_network():
    arguments = {"spatial_dims": 3, "backbone": 50, "backbone_width": 0.0625, "stem_stride": 2, "width": 4, "steps": 1, "position": False}
    network = build_network("guided-attention", 2, 4, arguments)
    assert isinstance(network, GuidedAttention)
    assert network.total_stride == (8, 8, 8)
    assert network.attention_strides == {f"guided_scale{scale}_step1": (2, 2, 2) for scale in (1, 2, 3, 4)}
    assert network.eval()(make_input(1, 2, 9, 8, 11).float()).shape == (1, 4, 9, 8, 11)
