"""The guided-attention network against its paper: what it predicts, what its loss compares, and its size."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from AttentionSegLib.networks import GuidedAttention, NetworkOutput
from guided_networks import assert_same, equations, make_input, make_network
from torch import Tensor, nn
from torch.nn import functional as F

# Arguments and size of the image; the last two sizes are padded.
GRIDS = {
    "2d": ({}, (64, 96)),
    "2d, stride 1": ({"stem_stride": 1}, (16, 24)),
    "3d": ({"stem_stride": 2}, (16, 8, 32)),
    "instance norm, one step": ({"norm": "instance", "steps": 1}, (64, 64)),
    "three steps": ({"steps": 3}, (64, 32)),
    "2d, odd": ({}, (61, 75)),
    "3d, odd": ({"stem_stride": 1}, (9, 3, 7)),
}


@pytest.fixture(scope="module", params=GRIDS.values(), ids=GRIDS)
def network_and_image(request) -> tuple[GuidedAttention, Tensor]:
    arguments, size = request.param
    return make_network(len(size), **arguments), make_input(2, 1, *size)


def both(network: GuidedAttention, x: Tensor) -> tuple[dict[str, Any], NetworkOutput]:
    with torch.no_grad():
        return equations(network, x), network(x, return_attention=True)


@pytest.fixture(scope="module")
def evaluated(network_and_image) -> tuple[dict[str, Any], NetworkOutput]:
    """What the equations and the network give."""
    network, x = network_and_image
    return both(network.eval(), x)


@pytest.fixture(scope="module")
def trained(network_and_image) -> tuple[dict[str, Any], NetworkOutput]:
    """The same while training."""
    network, x = network_and_image
    return both(copy.deepcopy(network).train(), x)


class TestEquations:
    def test_the_prediction_is_the_mean_of_the_refined_scales(self, evaluated):
        expected, output = evaluated
        assert_same(output.logits, sum(expected["refined"]) / 4)
        assert output.logits.std() > 0.05
        assert output.side_logits == ()
        assert output.compared == {}

    def test_uncertainty_is_the_doubt_and_the_spread_of_the_scales(self, evaluated):
        expected, output = evaluated
        shares = torch.stack([torch.softmax(logits, 1) for logits in expected["refined"]])
        doubt = 1 - shares.mean(0).amax(1, keepdim=True)
        spread = shares.var(0, correction=0).sum(1, keepdim=True)
        assert_same(output.uncertainty, doubt + (1 - doubt) * spread)
        assert 0 <= output.uncertainty.min() < output.uncertainty.max() <= 1

    def test_maps(self, evaluated, trained):
        for expected, output in (evaluated, trained):
            assert output.attention.keys() == expected["attention"].keys()
            for name, values in expected["attention"].items():
                assert_same(output.attention[name], values)

    def test_training_predicts_before_and_after_refinement(self, trained):
        expected, output = trained
        sides = [*expected["first"], *expected["refined"]]
        assert_same(output.logits, sum(sides) / 8)
        assert len(output.side_logits) == 8
        for computed, side in zip(output.side_logits, sides):
            assert_same(computed, side)
        assert output.uncertainty is None

    def test_what_the_loss_compares_are_codes_of_steps_and_what_the_encoder_decoder_gave_back(self, trained):
        expected, output = trained
        codes = expected["latents"]
        guided = [pair for step, following in zip(codes, codes[1:]) for pair in zip(step, following)]
        reconstruction = list(zip(expected["reconstructions"], expected["inputs"]))
        assert len(reconstruction) == 4 * len(codes)
        assert {name: len(pairs) for name, pairs in output.compared.items()} == {"guided": len(guided), "reconstruction": len(reconstruction)}
        for computed, pair in zip((*output.compared["guided"], *output.compared["reconstruction"]), (*guided, *reconstruction)):
            for features, wanted in zip(computed, pair):
                assert_same(features, wanted)
            assert F.mse_loss(*computed) > 0


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_number_of_parameters_at_the_size_of_the_paper():
    """24.03 million in 2D with ResNet-18 and 64 channels, by parts:

    - the backbone has 11.17 million: torchvision's ResNet-18 has 11.69, of which the classifier takes 0.513 and two more input channels 0.006;
    - each encoder-decoder, 128 -> 256 -> 512 channels and back, has 5.08 million, one for each of the two steps;
    - each of the four blocks of a step has 0.305 million, of which position attention itself takes 5 201 and channel attention 1;
    - what makes F'_s and F_MS has 0.25 million, and the eight heads of two classes 130 each.
    """
    network = GuidedAttention(2, 1, 2)
    assert count(network.backbone) == 11_689_512 - 513_000 - 2 * 64 * 7 * 7
    for step in network.steps:
        assert count(step.semantic) == 5_082_752
        assert [count(block) for block in step.blocks] == [304_854] * 4
        assert [(count(block.position_attention), count(block.channel_attention)) for block in step.blocks] == [(5_201, 1)] * 4
    assert count(network.pyramid) + count(network.fuse) == 250_759
    assert count(network.heads) == count(network.first_heads) == 4 * 130
    assert count(network) == 24_026_375
