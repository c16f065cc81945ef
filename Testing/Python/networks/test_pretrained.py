"""Pretrained weights in a backbone: both layouts, any number of input channels, and what is refused."""

from __future__ import annotations

import pytest
import torch
from AttentionSegLib.errors import InputError
from AttentionSegLib.networks import GuidedAttention
from AttentionSegLib.networks.backbones import RESNETS, ResNetBackbone
from AttentionSegLib.networks.pretrained import load_pretrained
from safetensors.torch import save_file
from torch.testing import assert_close

WIDTH = 0.125
PLANES = (8, 16, 32, 64)


def torchvision_state(depth: int = 18, spatial_dims: int = 2, in_channels: int = 3, planes: tuple[int, ...] = PLANES) -> dict[str, torch.Tensor]:
    """The names and shapes of torchvision's ResNets at an eighth of the width, with random numbers."""
    kind, layers = RESNETS[depth]
    expansion = 4 if kind == "bottleneck" else 1
    generator = torch.Generator().manual_seed(depth)
    state = {}

    def conv(name: str, inputs: int, outputs: int, kernel: int) -> None:
        state[f"{name}.weight"] = (
            torch.randn(outputs, inputs, *(kernel,) * spatial_dims, generator=generator) / (inputs * kernel**spatial_dims) ** 0.5
        )

    def norm(name: str, channels: int) -> None:
        for tensor in ("weight", "bias", "running_mean", "running_var"):
            state[f"{name}.{tensor}"] = torch.rand(channels, generator=generator) + 0.5
        state[f"{name}.num_batches_tracked"] = torch.tensor(5000)

    conv("conv1", in_channels, planes[0], 7)
    norm("bn1", planes[0])
    inputs = planes[0]
    for stage, (width, blocks) in enumerate(zip(planes, layers), start=1):
        for block in range(blocks):
            at, outputs = f"layer{stage}.{block}", width * expansion
            shapes = [(inputs, width, 1), (width, width, 3), (width, outputs, 1)] if expansion == 4 else [(inputs, width, 3), (width, width, 3)]
            for number, shape in enumerate(shapes, start=1):
                conv(f"{at}.conv{number}", *shape)
                norm(f"{at}.bn{number}", shape[1])
            if block == 0 and (stage > 1 or inputs != outputs):
                conv(f"{at}.downsample.0", inputs, outputs, 1)
                norm(f"{at}.downsample.1", outputs)
            inputs = outputs
    state["fc.weight"], state["fc.bias"] = torch.zeros(10, inputs), torch.zeros(10)
    return state


def medicalnet_state(depth: int) -> dict[str, object]:
    """As MedicalNet's files have it: `DataParallel` in a checkpoint, a head of convolutions, and in ResNet-18 and -34 shortcuts without weights."""
    state = torchvision_state(depth, 3, 1)
    kept = {name: value for name, value in state.items() if not name.startswith("fc.") and not name.endswith("num_batches_tracked")}
    if depth in (18, 34):
        kept = {name: value for name, value in kept.items() if "downsample" not in name}
    head = {"conv_seg.0.weight": torch.zeros(64, 32, 2, 2, 2), "conv_seg.0.bias": torch.zeros(32)}
    return {"epoch": 3, "state_dict": {f"module.{name}": value for name, value in {**kept, **head}.items()}}


def make_backbone(spatial_dims: int = 2, in_channels: int = 3, depth: int = 18, **arguments) -> ResNetBackbone:
    return ResNetBackbone(spatial_dims, in_channels, depth, **{"width": WIDTH, **arguments})


def copy_of(backbone: ResNetBackbone) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in backbone.state_dict().items()}


def image(channels: int = 1, spatial_dims: int = 2) -> torch.Tensor:
    """One image, copied to all channels."""
    one = torch.randn(1, 1, *(33,) * spatial_dims, generator=torch.Generator().manual_seed(1))
    return one.expand(-1, channels, *one.shape[2:])


class TestLayouts:
    @pytest.mark.parametrize(("depth", "tensors"), [(18, 122), (34, 218), (50, 320), (101, 626)])
    def test_all_of_torchvision_fits_but_the_classifier(self, depth, tensors):
        state = torchvision_state(depth)
        assert len(state) == tensors
        backbone = make_backbone(depth=depth)
        report = load_pretrained(backbone, state)
        assert (report.missing, report.other_shape, report.unused) == ((), (), ("fc.weight", "fc.bias"))
        loaded = backbone.state_dict()
        assert set(report.fitted) == {name for name in loaded if not name.endswith("num_batches_tracked")}
        for name in report.fitted:
            assert_close(loaded[name], state[name], rtol=0, atol=0)

    @pytest.mark.parametrize("depth", [10, 50, 101])
    def test_all_of_medicalnet_fits_but_its_head(self, depth):
        backbone, state = make_backbone(3, 1, depth), medicalnet_state(depth)
        report = load_pretrained(backbone, state)
        assert (report.missing, report.other_shape, report.unused) == ((), (), ("conv_seg.0.weight", "conv_seg.0.bias"))
        assert_close(backbone.layer4[0].bn2.running_var, state["state_dict"]["module.layer4.0.bn2.running_var"], rtol=0, atol=0)

    @pytest.mark.parametrize("depth", [18, 34])
    def test_shortcuts_that_medicalnet_lacks_stay_as_they_were(self, depth):
        backbone = make_backbone(3, 1, depth)
        before = copy_of(backbone)
        report = load_pretrained(backbone, medicalnet_state(depth))
        tensors = ("0.weight", "1.weight", "1.bias", "1.running_mean", "1.running_var")
        assert report.missing == tuple(f"layer{stage}.0.downsample.{tensor}" for stage in (2, 3, 4) for tensor in tensors)
        for name in report.missing:
            assert_close(backbone.state_dict()[name], before[name], rtol=0, atol=0)

    def test_half_precision_is_cast(self):
        state = {name: value.half() if value.is_floating_point() else value for name, value in torchvision_state().items()}
        backbone = make_backbone(in_channels=1)
        load_pretrained(backbone, state)
        assert {value.dtype for value in backbone.parameters()} == {torch.float32}
        assert_close(backbone.layer3[1].conv2.weight, state["layer3.1.conv2.weight"].float(), rtol=0, atol=0)
        assert_close(backbone.conv1.weight, state["conv1.weight"].float().sum(1, keepdim=True))

    def test_a_backbone_with_instance_norm_takes_scale_and_shift(self):
        backbone, state = make_backbone(norm="instance"), torchvision_state()
        report = load_pretrained(backbone, state)
        assert report.missing == ()
        assert_close(backbone.bn1.bias, state["bn1.bias"], rtol=0, atol=0)
        assert {name.rpartition(".")[2] for name in report.unused} == {"running_mean", "running_var", "weight", "bias"}

    @pytest.mark.parametrize("ending", [".pth", ".safetensors"])
    def test_from_a_file_into_a_whole_network(self, tmp_path, ending):
        path, state = tmp_path / f"resnet18{ending}", torchvision_state()
        save_file(state, path) if ending == ".safetensors" else torch.save(state, path)
        network = GuidedAttention(2, 1, 3, backbone_width=WIDTH, width=8, stem_stride=2)
        report = load_pretrained(network.backbone, path)
        assert report.source == str(path)
        assert_close(network.backbone.layer4[1].conv2.weight, state["layer4.1.conv2.weight"], rtol=0, atol=0)
        assert network(image()).shape == (1, 3, 33, 33)


class TestChannels:
    def features(self, source: dict[str, object], channels: int, how: str, spatial_dims: int = 2) -> list[torch.Tensor]:
        backbone = make_backbone(spatial_dims, channels, 10 if spatial_dims == 3 else 18).eval()
        load_pretrained(backbone, source, how)
        with torch.no_grad():
            return backbone(image(channels, spatial_dims))

    @pytest.mark.parametrize("channels", [1, 2, 3, 4, 7])
    def test_by_the_sum_a_copied_image_gives_what_it_gave_in_color(self, channels):
        state = torchvision_state()
        assert_close(self.features(state, channels, "sum"), self.features(state, 3, "mean"), rtol=1e-4, atol=1e-4)

    @pytest.mark.parametrize("channels", [2, 5])
    def test_by_the_sum_a_copied_image_gives_what_it_gave_alone(self, channels):
        state = medicalnet_state(10)
        assert_close(self.features(state, channels, "sum", 3), self.features(state, 1, "sum", 3), rtol=1e-4, atol=1e-4)

    @pytest.mark.parametrize("channels", [1, 2, 4])
    def test_by_the_mean_every_channel_has_the_mean_filter(self, channels):
        backbone, state = make_backbone(in_channels=channels), torchvision_state()
        load_pretrained(backbone, state, "mean")
        for channel in range(channels):
            assert_close(backbone.conv1.weight[:, channel], state["conv1.weight"].mean(1))

    @pytest.mark.parametrize("how", ["sum", "mean"])
    def test_as_many_channels_as_the_source_are_taken_as_they_are(self, how):
        backbone, state = make_backbone(in_channels=3), torchvision_state()
        load_pretrained(backbone, state, how)
        assert_close(backbone.conv1.weight, state["conv1.weight"], rtol=0, atol=0)

    def test_the_source_is_not_changed(self):
        state = torchvision_state()
        load_pretrained(make_backbone(in_channels=1), state)
        assert state["conv1.weight"].shape == (8, 3, 7, 7)

    def test_another_way_is_refused(self):
        with pytest.raises(InputError, match="'max'; choose one of sum, mean"):
            load_pretrained(make_backbone(), torchvision_state(), "max")


class TestReport:
    def test_a_full_fit(self):
        text = str(load_pretrained(make_backbone(in_channels=1), torchvision_state()))
        assert text == (
            "Pretrained weights from the given tensors: 100 of 100 tensors of the backbone are filled; "
            "conv1.weight was adapted from 3 to 1 input channels by the sum; 2 found there and not used (fc.weight, fc.bias)."
        )

    def test_stages_missing_or_of_another_shape_keep_their_values(self):
        backbone = make_backbone()
        before = copy_of(backbone)
        state = {name: value for name, value in torchvision_state(planes=(8, 16, 24, 64)).items() if not name.startswith(("layer4", "fc"))}
        report = load_pretrained(backbone, state)
        assert {name.split(".")[0] for name in report.missing} == {"layer4"}
        assert {name.split(".")[0] for name in report.other_shape} == {"layer3"}
        assert {name.split(".")[0] for name in report.fitted} == {"conv1", "bn1", "layer1", "layer2"}
        after = backbone.state_dict()
        for name in (*report.missing, *report.other_shape):
            assert_close(after[name], before[name], rtol=0, atol=0)
        assert f"{len(report.missing)} missing there" in str(report)
        assert f"{len(report.other_shape)} of another shape there" in str(report)
        assert "(layer3.0.conv1.weight, layer3.0.bn1.weight, layer3.0.bn1.bias, ...)" in str(report)


class TestRefusal:
    @pytest.mark.parametrize(
        ("state", "arguments", "wrong"),
        [
            (torchvision_state(34), {}, "3 blocks in 'layer1' there and 2 here"),
            (torchvision_state(18), {"depth": 34}, "2 blocks in 'layer1' there and 3 here"),
            (torchvision_state(50), {"depth": 101}, "6 blocks in 'layer3' there and 23 here"),
            (torchvision_state(50), {"depth": 34}, "'layer1.0.conv1.weight' is 8 x 8 x 1 x 1 there and 8 x 8 x 3 x 3 here"),
            (torchvision_state(18), {"spatial_dims": 3, "in_channels": 1}, "'conv1.weight' is 8 x 3 x 7 x 7 there and 8 x 1 x 7 x 7 x 7 here"),
            (torchvision_state(18), {"width": 0.25}, "'conv1.weight' is 8 x 3 x 7 x 7 there and 16 x 3 x 7 x 7 here"),
            ({k: v for k, v in torchvision_state(18).items() if "layer1" not in k}, {}, "no 'layer1.0.conv1.weight'"),
            ({k: v for k, v in torchvision_state(18).items() if k != "bn1.running_var"}, {}, "no 'bn1.running_var'"),
            ({"encoder.layer.0.weight": torch.zeros(3), "layernorm": torch.zeros(3)}, {}, "no convolution 'conv1.weight'"),
            ({"conv1.weight": torch.tensor(1.0)}, {}, "no convolution 'conv1.weight'"),
            ({}, {}, "no convolution 'conv1.weight'"),
        ],
        ids=[
            "deeper",
            "shallower",
            "deeper in stage 3",
            "bottlenecks",
            "2D",
            "width",
            "no stage 1",
            "no statistics",
            "no resnet",
            "a number",
            "empty",
        ],
    )
    def test_what_is_no_start_says_why_and_changes_nothing(self, tmp_path, state, arguments, wrong):
        path = tmp_path / "other.pth"
        torch.save(state, path)
        backbone = make_backbone(**arguments)
        before = copy_of(backbone)
        with pytest.raises(InputError) as raised:
            load_pretrained(backbone, path)
        assert str(path) in str(raised.value)
        assert wrong in str(raised.value)
        assert "or train from scratch." in str(raised.value)
        assert_close(copy_of(backbone), before, rtol=0, atol=0)

    def test_a_file_with_another_hash_is_refused(self, tmp_path):
        path = tmp_path / "resnet18.pth"
        torch.save(torchvision_state(), path)
        with pytest.raises(InputError, match="SHA-256"):
            load_pretrained(make_backbone(), path, sha256="0123abcd")
