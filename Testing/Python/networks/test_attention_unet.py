"""Attention U-Net: its options, its size and the arguments that it refuses. What it shares with other networks is in `test_every_network.py`."""

from __future__ import annotations

import math

import pytest
import torch
from AttentionSegLib.errors import InputError
from AttentionSegLib.networks import AttentionUNet, build_network
from AttentionSegLib.networks.layers import pad_to_multiple
from torch.testing import assert_close

CHANNELS = (4, 6, 8, 10)
SIZES = [(1, 97), (2, 3), (8, 8), (33, 64), (2, 1, 9), (8, 8, 8), (24, 16, 31)]


def make_network(spatial_dims: int = 3, in_channels: int = 1, out_channels: int = 3, **arguments) -> AttentionUNet:
    torch.manual_seed(0)
    return AttentionUNet(spatial_dims, in_channels, out_channels, **{"channels": CHANNELS, **arguments}).eval()


def make_input(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(7))


def check_output(network: AttentionUNet, x: torch.Tensor, classes: int) -> None:
    """Logits at the size of the input, every map at ceil(size / stride) and within 0 to 1."""
    output = network(x, return_attention=True)
    size = tuple(x.shape[2:])
    assert output.logits.shape == (len(x), classes, *size)
    assert output.logits.isfinite().all()
    assert output.attention.keys() == network.attention_strides.keys()
    for name, alpha in output.attention.items():
        assert alpha.shape == (len(x), 1, *(math.ceil(n / s) for n, s in zip(size, network.attention_strides[name])))
        assert 0 <= alpha.min() <= alpha.max() <= 1
    for side in output.side_logits:
        assert side.shape == output.logits.shape


class TestSizes:
    @pytest.mark.parametrize("size", SIZES, ids=str)
    def test_any_size(self, size):
        check_output(make_network(len(size)), make_input(1, 1, *size), classes=3)

    @pytest.mark.parametrize(
        ("strides", "maps"),
        [
            ([(1, 2, 2), (2, 2, 2), 2], {"gate_2": (1, 2, 2), "gate_3": (2, 4, 4)}),
            ([(2, 2, 1), (2, 2, 1), (1, 1, 2)], {"gate_2": (2, 2, 1), "gate_3": (4, 4, 1)}),
            ([3, 1, 2], {"gate_2": (3, 3, 3), "gate_3": (3, 3, 3)}),
        ],
        ids=str,
    )
    @pytest.mark.parametrize("gate", ["grid", "full"])
    def test_a_stride_per_axis(self, strides, maps, gate):
        network = make_network(strides=strides, gate=gate)
        assert network.attention_strides == maps
        check_output(network, make_input(1, 1, 13, 18, 7), classes=3)

    def test_nothing_is_padded_where_the_size_fits(self):
        x = make_input(1, 1, 16, 24, 8)
        assert pad_to_multiple(x, (8, 8, 8)) is x


class TestOptions:
    @pytest.mark.parametrize("levels", [2, 3, 4, 5])
    def test_every_level_is_gated_but_the_finest_and_the_deepest(self, levels):
        network = make_network(2, channels=(3,) * levels)
        expected = {f"gate_{level}": (2 ** (level - 1),) * 2 for level in range(2, levels)}
        assert network.attention_strides == expected
        assert network(make_input(1, 1, 32, 32), return_attention=True).attention.keys() == expected.keys()

    def test_the_finest_skip_reaches_the_decoder_as_it_is(self):
        network = make_network(2)
        seen = {}
        network.encoder[0].register_forward_hook(lambda _layer, _inputs, output: seen.update(skip=output))
        network.decoder[0].register_forward_pre_hook(lambda _layer, inputs: seen.update(joined=inputs[0]))
        network(make_input(1, 1, 16, 16))
        assert torch.equal(seen["joined"][:, : CHANNELS[0]], seen["skip"])

    def test_the_plain_network_has_no_attention(self):
        network = make_network(gate="none")
        assert network.attention_strides == {}
        assert network(make_input(1, 1, 9, 9, 9), return_attention=True).attention == {}

    def test_deep_supervision_predicts_at_each_level_coarsest_first(self):
        network = make_network(2, deep_supervision=True)
        sides = network(make_input(1, 1, 32, 32), return_attention=True).side_logits
        assert len(sides) == len(CHANNELS) - 1
        roughness = [side.diff(dim=-1).diff(dim=-1).abs().mean() / side.std() for side in sides]
        assert roughness == sorted(roughness)

    def test_the_final_logits_come_from_the_predictions_of_all_levels(self):
        network, x = make_network(2, deep_supervision=True).double(), make_input(1, 1, 16, 24).double()
        output = network(x, return_attention=True)
        joined = torch.einsum("bi...,oi->bo...", torch.cat(output.side_logits, 1), network.head.weight.flatten(1))
        assert_close(output.logits, joined + network.head.bias.reshape(1, -1, 1, 1))

    def test_dropout_acts_in_training_only(self):
        network, x = make_network(2, dropout=0.5), make_input(1, 1, 16, 16)
        assert torch.equal(network(x), network(x))
        network.train()
        assert not torch.equal(network(x), network(x))


class TestSizeOfTheNetwork:
    """The paper counts 5.88 million parameters for its plain 3D U-Net and 6.40 million with attention gates."""

    def count(self, **options) -> int:
        return sum(p.numel() for p in AttentionUNet(3, 1, 2, channels=(16, 32, 64, 128, 256), **options).parameters())

    def test_the_plain_network_is_that_of_the_paper(self):
        assert self.count(gate="none") == pytest.approx(5.88e6, abs=0.01e6)

    @pytest.mark.parametrize("gate", ["grid", "full"])
    def test_gates_add_no_more_than_in_the_paper(self, gate):
        assert self.count(gate="none") < self.count(gate=gate) < 6.4e6

    def test_two_gates_side_by_side_come_nearest_to_the_paper(self):
        assert self.count(gates_per_level=2) == pytest.approx(6.40e6, abs=0.03e6)


BAD_ARGUMENTS = [
    ({"spatial_dims": 4}, "spatial_dims is 4"),
    ({"channels": (16,)}, "channels is (16,)"),
    ({"channels": (16, 0)}, "channels is (16, 0)"),
    ({"channels": (16, 8.5)}, "channels is (16, 8.5)"),
    ({"channels": "16-32"}, "channels is 16-32"),
    ({"channels": 16}, "channels is 16"),
    ({"strides": (2, 2)}, "strides is (2, 2)"),
    ({"strides": 2}, "strides is 2"),
    ({"strides": (2, 2, 0)}, "strides is (2, 2, 0)"),
    ({"strides": (2, 2, (2, 2))}, "strides is (2, 2, (2, 2))"),
    ({"strides": (2, 2, (2.5, 1, 1))}, "strides is (2, 2, (2.5, 1, 1))"),
    ({"norm": "layer"}, "no norm 'layer'"),
    ({"gate": "soft"}, "no gate 'soft'"),
    ({"gates_per_level": 0}, "gates_per_level is 0"),
    ({"gates_per_level": 1.5}, "gates_per_level is 1.5"),
]


@pytest.mark.parametrize(("wrong", "said"), BAD_ARGUMENTS, ids=[str(wrong) for wrong, _ in BAD_ARGUMENTS])
class TestBadArguments:
    def test_the_network_says_what_is_wrong_in_one_sentence(self, wrong, said):
        with pytest.raises(ValueError, match=r"^[^\n]+[^.]\.$") as caught:
            AttentionUNet(**{"spatial_dims": 3, "in_channels": 1, "out_channels": 2, "channels": CHANNELS, **wrong})
        assert said in str(caught.value)

    def test_a_card_with_them_is_refused_by_name(self, wrong, said):
        with pytest.raises(InputError, match=r"^The network 'attention-unet' cannot be built with [^\n]+[^.]\.$") as caught:
            build_network("attention-unet", 1, 2, {"spatial_dims": 3, "channels": CHANNELS, **wrong})
        assert said in str(caught.value)


class TestBuildNetwork:
    def test_arguments_reach_the_network(self):
        network = build_network("attention-unet", 2, 4, {"spatial_dims": 3, "channels": [4, 6, 8], "strides": [[1, 2, 2], 2], "norm": "instance"})
        assert network.total_stride == (2, 4, 4)
        assert network(make_input(1, 2, 4, 8, 8)).shape == (1, 4, 4, 8, 8)

    def test_an_unknown_network(self):
        with pytest.raises(InputError, match=r"^There is no network 'unet'; this version knows .*attention-unet.*\.$"):
            build_network("unet", 1, 2, {})

    @pytest.mark.parametrize("arguments", [{}, {"spatial_dims": 3, "depth": 4}, {"spatial_dims": 3, "in_channels": 2}], ids=str)
    def test_missing_unknown_or_doubled_arguments(self, arguments):
        with pytest.raises(InputError, match=r"^The network 'attention-unet' cannot be built with .*(spatial_dims|depth|in_channels)"):
            build_network("attention-unet", 1, 2, arguments)

    def test_a_network_beyond_all_memory(self):
        with pytest.raises(InputError, match=r"^The network 'attention-unet' cannot be built with "):
            build_network("attention-unet", 1, 2, {"spatial_dims": 3, "channels": [10**18, 1]})
