"""The ResNets: their stages, the layout that pretrained weights want, and their numbers beside MONAI's and a written-out residual block."""

from __future__ import annotations

import math

import pytest
import torch
from AttentionSegLib.networks.backbones import ResNetBackbone
from monai.networks.nets import ResNet
from torch import Tensor, nn
from torch.nn import functional as F
from torch.testing import assert_close

WIDTH = 0.125
BLOCKS = {10: (1, 1, 1, 1), 18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
BOTTLENECKS = (50, 101)


def make_backbone(spatial_dims: int = 2, in_channels: int = 1, depth: int = 10, width: float = WIDTH, **arguments) -> ResNetBackbone:
    torch.manual_seed(0)
    return ResNetBackbone(spatial_dims, in_channels, depth, width=width, **arguments).eval()


def make_input(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(5))


class TestStages:
    @pytest.mark.parametrize("spatial_dims", [2, 3])
    @pytest.mark.parametrize("depth", BLOCKS)
    def test_channels_and_sizes(self, depth, spatial_dims):
        backbone = make_backbone(spatial_dims, 2, depth)
        x = make_input(1, 2, *(37, 50, 33)[:spatial_dims])
        with torch.inference_mode():
            features = backbone(x)
        channels = [8, 16, 32, 64] if depth not in BOTTLENECKS else [32, 64, 128, 256]
        assert list(backbone.channels) == channels
        for stage, (values, count) in enumerate(zip(features, channels)):
            assert values.shape == (1, count, *(math.ceil(n / (4 * 2**stage)) for n in x.shape[2:]))

    @pytest.mark.parametrize("size", [(64, 96), (37, 50), (16, 32, 18)], ids=str)
    @pytest.mark.parametrize("stem_stride", [1, 2, 4])
    def test_the_stride_of_the_stem(self, stem_stride, size):
        with torch.inference_mode():
            features = make_backbone(len(size), stem_stride=stem_stride)(make_input(1, 1, *size))
        assert [f.shape[2:] for f in features] == [tuple(math.ceil(n / (stem_stride * 2**stage)) for n in size) for stage in range(4)]

    @pytest.mark.parametrize("depth", BLOCKS)
    def test_depth_counts_the_convolutions(self, depth):
        """And the classifier, which is not here; shortcuts do not count."""
        names = [name for name, module in make_backbone(depth=depth).named_modules() if isinstance(module, nn.Conv2d) and "downsample" not in name]
        assert len(names) + 1 == depth

    def test_a_fraction_of_a_channel_is_one(self):
        assert make_backbone(width=0.001).channels == (1, 1, 1, 1)


def layout(depth: int, spatial_dims: int, in_channels: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of all parameters of torchvision's ResNet without its classifier, in its order, for any number of dimensions."""
    shapes: dict[str, tuple[int, ...]] = {}

    def convolution(name: str, inputs: int, outputs: int, kernel: int) -> None:
        shapes[f"{name}.weight"] = (outputs, inputs, *(kernel,) * spatial_dims)

    def norm(name: str, channels: int) -> None:
        shapes[f"{name}.weight"] = shapes[f"{name}.bias"] = (channels,)

    convolution("conv1", in_channels, 64, 7)
    norm("bn1", 64)
    entering = 64
    for stage, (planes, blocks) in enumerate(zip((64, 128, 256, 512), BLOCKS[depth]), start=1):
        leaving = planes * (4 if depth in BOTTLENECKS else 1)
        for block in range(blocks):
            prefix = f"layer{stage}.{block}"
            basic, bottleneck = [(entering, planes, 3), (planes, planes, 3)], [(entering, planes, 1), (planes, planes, 3), (planes, leaving, 1)]
            for number, (inputs, outputs, kernel) in enumerate(bottleneck if depth in BOTTLENECKS else basic, start=1):
                convolution(f"{prefix}.conv{number}", inputs, outputs, kernel)
                norm(f"{prefix}.bn{number}", outputs)
            if block == 0 and (stage > 1 or entering != leaving):
                convolution(f"{prefix}.downsample.0", entering, leaving, 1)
                norm(f"{prefix}.downsample.1", leaving)
            entering = leaving
    return shapes


class TestLayout:
    @pytest.mark.parametrize(("depth", "parameters"), [(18, 11_176_512), (50, 23_508_032)])
    def test_of_torchvision(self, depth, parameters):
        """torchvision's ResNet-18 has 11 689 512 parameters, ResNet-50 25 557 032, of which the classifier takes 513 000 and 2 049 000."""
        backbone = make_backbone(2, 3, depth, width=1.0)
        assert {name: tuple(p.shape) for name, p in backbone.named_parameters()} == layout(depth, 2, 3)
        assert sum(p.numel() for p in backbone.parameters()) == parameters

    def test_names_that_all_resnets_have(self):
        names = make_backbone(2, 3, 18).state_dict().keys()
        assert {"conv1.weight", "bn1.weight", "bn1.bias", "bn1.running_mean", "bn1.running_var", "bn1.num_batches_tracked"} <= names
        assert {"layer1.0.conv1.weight", "layer1.1.bn2.running_var", "layer2.0.downsample.0.weight", "layer4.0.downsample.1.bias"} <= names
        assert [name for name in names if name.startswith(("fc", "layer1.0.downsample"))] == []

    def test_the_same_names_in_3d(self):
        assert {name: tuple(p.shape) for name, p in make_backbone(3, 1, 10, width=1.0).named_parameters()} == layout(10, 3, 1)


def monai_features(backbone: ResNetBackbone, depth: int, stem_stride: int, x: Tensor) -> list[Tensor]:
    """MONAI's own ResNet with the weights of the backbone, layer by layer."""
    planes = [round(WIDTH * p) for p in (64, 128, 256, 512)]
    block = "bottleneck" if depth in BOTTLENECKS else "basic"
    resnet = ResNet(block, list(BLOCKS[depth]), planes, x.ndim - 2, x.shape[1], conv1_t_stride=min(stem_stride, 2), bias_downsample=False)
    left = resnet.to(x.dtype).eval().load_state_dict(backbone.state_dict(), strict=False)
    assert left.unexpected_keys == []
    assert left.missing_keys == ["fc.weight", "fc.bias"]
    x = resnet.act(resnet.bn1(resnet.conv1(x)))
    x = resnet.maxpool(x) if stem_stride == 4 else x
    features = []
    for layer in (resnet.layer1, resnet.layer2, resnet.layer3, resnet.layer4):
        x = layer(x)
        features.append(x)
    return features


def residual_stage(stage: nn.Sequential, x: Tensor, stride: int) -> Tensor:
    """relu(F(x) + shortcut(x)) of each block (He et al. 2016, eq. 1-2), for basic blocks in 2D."""
    for block in stage:
        inner = F.relu(block.bn1(F.conv2d(x, block.conv1.weight, stride=stride, padding=1)))
        inner = block.bn2(F.conv2d(inner, block.conv2.weight, padding=1))
        if block.downsample is not None:
            x = block.downsample[1](F.conv2d(x, block.downsample[0].weight, stride=stride))
        x, stride = F.relu(inner + x), 1
    return x


class TestNumbers:
    @pytest.mark.parametrize(("depth", "spatial_dims"), [(10, 3), (18, 2), (50, 2), (50, 3)])
    @pytest.mark.parametrize("stem_stride", [1, 2, 4])
    def test_features_are_those_of_monai(self, depth, spatial_dims, stem_stride):
        backbone, x = make_backbone(spatial_dims, 2, depth, stem_stride=stem_stride), make_input(1, 2, *(18, 21, 16)[:spatial_dims])
        with torch.inference_mode():
            for computed, expected in zip(backbone(x), monai_features(backbone, depth, stem_stride, x)):
                assert torch.equal(computed, expected)

    def test_blocks_are_those_of_the_paper(self):
        backbone, x = make_backbone(depth=18).double(), make_input(2, 1, 40, 56).double()
        features = backbone(x)
        expected = F.relu(backbone.bn1(F.conv2d(x, backbone.conv1.weight, stride=2, padding=3)))
        expected = F.max_pool2d(expected, 3, 2, padding=1)
        for stage, (layer, computed) in enumerate(zip((backbone.layer1, backbone.layer2, backbone.layer3, backbone.layer4), features)):
            expected = residual_stage(layer, expected, 1 if stage == 0 else 2)
            assert_close(computed, expected, rtol=1e-9, atol=1e-9)

    @pytest.mark.parametrize("depth", [10, 50])
    def test_the_gradient_reaches_the_stem_through_the_shortcuts(self, depth):
        """With the last norm of every residual branch at zero the shortcuts are the only way."""
        backbone = make_backbone(3, 1, depth, stem_stride=1).train()
        last = "bn3" if depth in BOTTLENECKS else "bn2"
        for name, module in backbone.named_modules():
            if name.endswith(last):
                nn.init.zeros_(module.weight)
        features = backbone(make_input(1, 1, 16, 16, 16))
        (features[-1] * make_input(*features[-1].shape)).sum().backward()
        assert backbone.conv1.weight.grad.abs().max() > 1e-6
        assert all(layer[0].downsample[0].weight.grad.abs().max() > 1e-6 for layer in (backbone.layer2, backbone.layer3, backbone.layer4))


class TestNorm:
    @pytest.mark.parametrize(("spatial_dims", "kind"), [(2, nn.InstanceNorm2d), (3, nn.InstanceNorm3d)])
    @pytest.mark.parametrize("depth", [18, 50])
    def test_instance_norm_takes_the_place_of_every_batch_norm(self, depth, spatial_dims, kind):
        batch, instance = (make_backbone(spatial_dims, depth=depth, norm=norm) for norm in ("batch", "instance"))
        norms = {name: m.num_features for name, m in batch.named_modules() if isinstance(m, (nn.BatchNorm2d, nn.BatchNorm3d))}
        assert {name: m.num_features for name, m in instance.named_modules() if isinstance(m, kind)} == norms
        assert all(m.affine for m in instance.modules() if isinstance(m, kind))
        assert not any(isinstance(m, (nn.BatchNorm2d, nn.BatchNorm3d)) for m in instance.modules())

    def test_with_it_images_of_a_batch_do_not_meet_in_training(self):
        backbone, x = make_backbone(norm="instance").double().train(), make_input(2, 1, 64, 64).double()
        for together, alone in zip(backbone(x), backbone(x[:1])):
            assert_close(together[:1], alone, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"depth": 20}, "There is no ResNet of depth 20; choose one of 10, 18, 34, 50, 101."),
        ({"depth": "18"}, "There is no ResNet of depth 18; choose one of 10, 18, 34, 50, 101."),
        ({"stem_stride": 3}, "stem_stride is 3; it must be 1, 2 or 4."),
        ({"width": 0}, "The backbone's width is 0; give a factor above 0 and up to 16."),
        ({"width": float("nan")}, "The backbone's width is nan; give a factor above 0 and up to 16."),
        ({"width": "1"}, "The backbone's width is 1; give a factor above 0 and up to 16."),
        ({"norm": "layer"}, "There is no norm 'layer'; choose one of batch, instance."),
    ],
    ids=str,
)
def test_a_bad_argument_is_named_in_one_sentence(wrong, sentence):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the whole sentence is compared)
        make_backbone(**wrong)
    assert str(caught.value) == sentence
