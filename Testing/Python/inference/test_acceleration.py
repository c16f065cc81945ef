"""The network arranged for speed says what the network says."""

from __future__ import annotations

import pytest
import torch
from AttentionSegLib.inference.acceleration import accelerated
from AttentionSegLib.networks import NetworkOutput
from tiny_models import guided, random_network
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.testing import assert_close

SIZES = {2: (24, 32), 3: (8, 16, 24)}


def unet(spatial_dims: int, **arguments) -> dict:
    return {"name": "attention-unet", "arguments": {"spatial_dims": spatial_dims, "channels": [2, 4, 4], **arguments}}


NETWORKS = {
    "unet": unet(2, deep_supervision=True),
    "unet 3d": unet(3, gates_per_level=2, dropout=0.3),
    "unet 3d, instance norm": unet(3, norm="instance", deep_supervision=True),
    "guided": guided(2),
    "guided 3d": guided(3, steps=1),
    "guided, instance norm": guided(2, norm="instance"),
    "guided, ResNet-50": guided(2, backbone=50, stem_stride=4, steps=1),
}


def volume(network: dict, batch: int = 2) -> Tensor:
    shape = (batch, 1, *SIZES[network["arguments"]["spatial_dims"]])
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def everything(output: NetworkOutput) -> dict[str, Tensor]:
    found = {"logits": output.logits, **output.attention, **{f"side {i}": side for i, side in enumerate(output.side_logits)}}
    for name, features in output.positions.items():
        found.update({f"queries of {name}": features.queries, f"keys of {name}": features.keys})
    return found if output.uncertainty is None else {**found, "uncertainty": output.uncertainty}


def assert_same(computed: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """Equal up to 1e-4 of the spread of logits, and of the largest value of everything else."""
    assert computed.keys() == expected.keys()
    for name, values in expected.items():
        spread = (values.amax() - values.amin()).item()
        assert spread > 0
        assert_close(computed[name], values, rtol=0, atol=1e-4 * (spread if name in ("logits", "output") else values.abs().max().item()))


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
class TestNetworks:
    def test_say_the_same(self, network):
        plain, x = random_network(network), volume(network)
        given = x.clone()
        with torch.inference_mode():
            expected = everything(plain(x, return_attention=True))
            computed = everything(accelerated(plain)(x, return_attention=True))
        assert_same(computed, expected)
        assert torch.equal(x, given)

    def test_stay_as_they_are(self, network):
        plain, x = random_network(network).train(), volume(network)
        before = {name: values.clone() for name, values in plain.state_dict().items()}
        with torch.no_grad():
            computed = everything(accelerated(plain)(x, return_attention=True))
        assert plain.training
        after = plain.state_dict()
        assert after.keys() == before.keys()
        assert all(torch.equal(after[name], values) for name, values in before.items())
        plain(x).square().mean().backward()
        assert all(parameter.requires_grad for parameter in plain.parameters())
        assert plain.get_parameter(next(iter(before))).grad.abs().max() > 0
        # What was left in training mode runs as it would in eval mode; training has changed the running statistics meanwhile.
        plain.load_state_dict(before)
        with torch.inference_mode():
            assert_same(computed, everything(plain.eval()(x, return_attention=True)))

    def test_have_no_batch_norm_left_and_nothing_to_learn(self, network):
        fast = accelerated(random_network(network))
        assert [name for name, module in fast.named_modules() if isinstance(module, _BatchNorm)] == []
        assert not any(parameter.requires_grad for parameter in fast.parameters())
        assert not fast.training
        for parameter in fast.parameters():
            if parameter.ndim >= 4:
                layout = torch.channels_last if parameter.ndim == 4 else torch.channels_last_3d
                assert parameter.is_contiguous(memory_format=layout)


class Layers(nn.Sequential):
    """With running statistics, scales, shifts and slopes that training could have left."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__(*layers)
        torch.manual_seed(2)
        for module in self.modules():
            if isinstance(module, _BatchNorm):
                module.running_mean.normal_()
                module.running_var.uniform_(1e-3, 9)
                if module.affine:
                    nn.init.normal_(module.weight)
                    nn.init.normal_(module.bias)
        self.eval()


def prelu(*slopes: float) -> nn.PReLU:
    layer = nn.PReLU(len(slopes))
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(slopes))
    return layer


FOLDED = {
    "convolution": (nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4)),
    "with bias": (nn.Conv2d(3, 4, 3, stride=2), nn.BatchNorm2d(4, eps=0.1)),
    "grouped": (nn.Conv2d(3, 6, 3, groups=3), nn.BatchNorm2d(6)),
    "without scale and shift": (nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, affine=False)),
    "transposed": (nn.ConvTranspose2d(3, 5, 2, 2, bias=False), nn.BatchNorm2d(5)),
    "two, the second transposed": (nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.ConvTranspose2d(4, 2, 2), nn.BatchNorm2d(2)),
    "negative slope": (nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), prelu(-0.4)),
    "slope above 1": (nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), prelu(1.6), nn.Conv2d(4, 2, 1)),
}
KEPT = {
    "before the convolution": (nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3)),
    "behind the ReLU": (nn.Conv2d(3, 4, 3), nn.ReLU(), nn.BatchNorm2d(4)),
    "a second one": (nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.BatchNorm2d(4)),
}


class TestLayers:
    def check(self, layers: tuple[nn.Module, ...]) -> nn.Module:
        plain, x = Layers(*layers), volume(unet(2)).repeat(1, 3, 1, 1)
        fast = accelerated(plain)
        with torch.inference_mode():
            assert_same({"output": fast(x)}, {"output": plain(x)})
        return fast

    @pytest.mark.parametrize("layers", FOLDED.values(), ids=FOLDED)
    def test_a_batch_norm_behind_a_convolution_goes(self, layers):
        assert not any(isinstance(module, (_BatchNorm, nn.PReLU)) for module in self.check(layers).modules())

    @pytest.mark.parametrize("layers", KEPT.values(), ids=KEPT)
    def test_another_batch_norm_stays(self, layers):
        assert sum(isinstance(module, _BatchNorm) for module in self.check(layers).modules()) == 1

    def test_a_slope_for_each_channel_stays(self):
        fast = self.check((nn.Conv2d(3, 3, 3), prelu(0.1, -0.7, 2.0)))
        assert sum(isinstance(module, nn.PReLU) for module in fast.modules()) == 1
