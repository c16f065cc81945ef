"""The guided-attention network against its paper, written out here step by step; its maps, its guidance and the arguments that it refuses."""

from __future__ import annotations

import copy
from math import prod
from typing import Any

import pytest
import torch
from AttentionSegLib.errors import InputError
from AttentionSegLib.networks import GuidedAttention, NetworkOutput, build_network, position_attention
from largest_tensor import LargestTensor
from torch import Tensor, nn
from torch.nn import functional as F
from torch.testing import assert_close

SMALL = {"width": 8, "backbone": 10, "backbone_width": 0.125}
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


def make_network(spatial_dims: int = 2, inputs: int = 1, classes: int = 3, **arguments: Any) -> GuidedAttention:
    """In float64, with parameters that let every term count: gamma would start at 0, norms at the identity."""
    torch.manual_seed(0)
    network = GuidedAttention(spatial_dims, inputs, classes, **{**SMALL, **arguments}).double().eval()
    for module in network.modules():
        if isinstance(module, (nn.BatchNorm2d, nn.BatchNorm3d, nn.InstanceNorm2d, nn.InstanceNorm3d)):
            nn.init.uniform_(module.weight, 0.8, 1.6)
            nn.init.uniform_(module.bias, -0.2, 0.2)
    for name, parameter in network.named_parameters():
        if name.endswith("gamma"):
            nn.init.constant_(parameter, 0.7)
    return network


def make_input(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def enlarge(x: Tensor, factor: int) -> Tensor:
    return F.interpolate(x, scale_factor=factor, mode="bilinear" if x.ndim == 4 else "trilinear", align_corners=False)


def crop(x: Tensor, size: tuple[int, ...]) -> Tensor:
    return x[(..., *(slice(n) for n in size))]


def equations(network: GuidedAttention, x: Tensor) -> dict[str, Any]:
    """Everything that the paper names, from the network's own layers. x [B, inputs, *S]"""
    size, stride = x.shape[2:], network.stem_stride
    padded = F.pad(x, [amount for n in reversed(size) for amount in (0, -n % (4 * stride))])
    stages = network.backbone(padded)
    grid = stages[0].shape[2:]
    local = [crop(enlarge(layers(stage), 2**s), grid) for s, (layers, stage) in enumerate(zip(network.pyramid, stages))]
    fused = network.fuse(torch.cat(local, 1))

    found: dict[str, Any] = {"rows": {}, "attention": {}, "latents": [], "inputs": [], "reconstructions": []}
    attended: list[Tensor] = []
    for m, step in enumerate(network.steps, start=1):
        entering = [torch.cat([f, fused if m == 1 else attended[s] * fused], 1) for s, f in enumerate(local)]
        attended, codes = [], []
        for s, (block, x_s) in enumerate(zip(step.blocks, entering), start=1):
            latent = step.semantic.encoder(x_s)
            decoded = step.semantic.decoder(latent)
            framed = block.position_in(x_s)
            pam, features = block.position_attention(framed)
            pam = block.position_out(pam)
            cam = block.channel_out(block.channel_attention(block.channel_in(x_s)))
            attended.append(block.project((pam + cam) * block.guide(decoded)))
            q, k = (layer(framed).flatten(2) for layer in (block.position_attention.query, block.position_attention.key))
            rows = torch.softmax(q.transpose(1, 2) @ k, -1)
            assert features.size == tuple(grid)
            found["rows"][f"position_scale{s}_step{m}"] = rows
            maps = {"position": rows.mean(1).reshape(-1, 1, *grid) * prod(grid), "guided": attended[-1].abs().mean(1, keepdim=True)}
            found["attention"].update({f"{kind}_scale{s}_step{m}": crop(v, [-(-n // stride) for n in size]) for kind, v in maps.items()})
            codes.append(latent)
            found["inputs"].append(x_s)
            found["reconstructions"].append(decoded)
        found["latents"].append(codes)
    found["first"] = [crop(enlarge(head(f), stride), size) for head, f in zip(network.first_heads, local)]
    found["refined"] = [crop(enlarge(head(a), stride), size) for head, a in zip(network.heads, attended)]
    return found


def assert_same(computed: Tensor, expected: Tensor) -> None:
    """Equal up to a share of the largest expected value."""
    assert_close(computed, expected, rtol=0, atol=1e-9 * expected.abs().max().item())


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


class TestMaps:
    @pytest.mark.parametrize("size", [(64, 96), (32, 32, 64)], ids=str)
    def test_position_attention_received_is_1_on_average(self, size):
        network = make_network(len(size))
        with torch.no_grad():
            maps = network(make_input(2, 1, *size), return_attention=True).attention
        for name, values in maps.items():
            if name.startswith("position"):
                assert_close(values.flatten(1).mean(1), torch.ones(2, dtype=torch.float64))
                assert values.std() > 1e-3

    def test_a_guided_map_answers_at_the_place_where_the_image_changes(self):
        network, x = make_network(norm="batch"), make_input(1, 1, 128, 128)
        changed = x.clone()
        changed[..., 40:56, 88:104] += 3
        with torch.no_grad():
            before, after = (network(image, return_attention=["guided_scale1_step1"]).attention["guided_scale1_step1"] for image in (x, changed))
        change = (after - before).abs()[0, 0]
        row, column = divmod(int(change.argmax()), change.shape[1])
        assert 8 <= row <= 15
        assert 20 <= column <= 27

    def test_maps_may_be_asked_for_while_training(self):
        network = make_network().train()
        output = network(make_input(1, 1, 32, 64), return_attention=["position_scale2_step1"])
        assert list(output.attention) == ["position_scale2_step1"]
        sum(side.square().mean() for side in output.side_logits).backward()
        assert network.backbone.conv1.weight.grad.abs().max() > 0


class TestProbe:
    NAME = "position_scale2_step1"

    def test_a_row_is_what_the_matrix_has_there(self):
        network, x = make_network(), make_input(2, 1, 64, 96)
        with torch.no_grad():
            output, rows = network(x, return_attention=[self.NAME]), equations(network, x)["rows"][self.NAME]
        assert list(output.positions) == [self.NAME]
        for image, position in ((0, (0, 0)), (1, (3, 17)), (1, (15, 23))):
            row = output.positions[self.NAME].row(position, image)
            assert row.shape == (16, 24)
            assert row.min() >= 0
            assert row.sum().item() == pytest.approx(1)
            assert_same(row, rows[image, position[0] * 24 + position[1]].reshape(16, 24))

    def test_in_3d_the_last_axis_runs_fastest(self):
        network, x = make_network(3, stem_stride=2), make_input(1, 1, 16, 32, 8)
        with torch.no_grad():
            output, rows = network(x, return_attention=[self.NAME]), equations(network, x)["rows"][self.NAME]
        row = output.positions[self.NAME].row((3, 10, 1))
        assert_same(row, rows[0, (3 * 16 + 10) * 4 + 1].reshape(8, 16, 4))

    def test_the_mean_of_all_rows_is_the_map(self):
        network, x = make_network(), make_input(1, 1, 32, 64)
        with torch.no_grad():
            output = network(x, return_attention=[self.NAME])
            rows = [output.positions[self.NAME].row((i, j)) for i in range(8) for j in range(16)]
        assert_same(output.attention[self.NAME][0, 0], sum(rows))

    def test_no_matrix_of_all_pairs_exists(self, monkeypatch):
        monkeypatch.setattr(position_attention, "COMPARED_AT_A_TIME", 2**18)
        network = make_network(stem_stride=1, steps=1, width=4).float()
        with torch.inference_mode(), LargestTensor() as whole:
            output = network(make_input(1, 1, 64, 64).float(), return_attention=[self.NAME])
        pairs = 64**4
        assert whole.entries < pairs / 50
        with LargestTensor() as one:
            output.positions[self.NAME].row((63, 0))
        assert one.entries < pairs / 1000

    @pytest.mark.parametrize("position", [(16, 0), (0, -1), (1,), (1, 2, 3)])
    def test_a_position_off_the_grid(self, position):
        network = make_network()
        positions = network(make_input(1, 1, 64, 96), return_attention=[self.NAME]).positions
        with pytest.raises(IndexError, match=r"^There is no position \(.*\) on the grid of 16 x 24\.$"):
            positions[self.NAME].row(position)

    def test_positions_come_with_the_maps_asked_for_and_no_others(self):
        output = make_network()(make_input(1, 1, 32, 64), return_attention=["guided_scale1_step1", "position_scale4_step2"])
        assert list(output.positions) == ["position_scale4_step2"]


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


def test_guided_maps_are_the_ones_to_be_shown_as_a_share_of_the_largest():
    network = make_network()
    assert network.maps_scaled_per_volume == {name for name in network.attention_strides if name.startswith("guided_")}


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
