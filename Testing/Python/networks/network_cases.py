"""A network with its arguments, an input of an odd size for it, and what must hold for its output."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from AttentionSegLib.networks import NetworkOutput, build_network
from torch import Tensor, nn

CONVOLUTIONS = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)
NORMS = (nn.BatchNorm2d, nn.BatchNorm3d, nn.InstanceNorm2d, nn.InstanceNorm3d)
# No multiple of any stride.
ODD = {2: (23, 17), 3: (7, 11, 5)}


class Case(NamedTuple):
    """A network with its arguments."""

    name: str
    arguments: dict[str, Any]

    def build(self, inputs: int = 1, classes: int = 3, seed: int = 0) -> nn.Module:
        torch.manual_seed(seed)
        return build_network(self.name, inputs, classes, self.arguments)

    def build_trained(self) -> nn.Module:
        """In eval mode and as if trained for a while: batch norm has seen an image, and the factors that start at 0 hide no attention."""
        network = self.build()
        with torch.no_grad():
            for key, parameter in network.named_parameters():
                if key.endswith("gamma"):
                    parameter.fill_(0.5)
            for module in network.modules():
                if isinstance(module, (nn.BatchNorm2d, nn.BatchNorm3d)):
                    module.momentum = 0.7
            network(self.image())
        return network.eval()

    def image(self, channels: int = 1) -> Tensor:
        return make_input(1, channels, *ODD[self.arguments["spatial_dims"]])


def make_input(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(7))


def biases_before_norms(network: nn.Module) -> set[str]:
    """Names of biases of convolutions whose mean the next layer takes out again: their gradient is 0 but for rounding."""
    leaves = [(name, module) for name, module in network.named_modules() if not any(module.children())]
    return {f"{name}.bias" for (name, one), (_, following) in pairwise(leaves) if isinstance(one, CONVOLUTIONS) and isinstance(following, NORMS)}


class AnyRegion:
    """A `RegionLoss` of no labels."""

    def cross_entropy(self, logits: Tensor) -> Tensor:
        return (logits * make_input(*logits.shape)).sum()

    dice = cross_entropy


def everything(output: NetworkOutput) -> dict[str, Tensor]:
    """All tensors of an output that tell of the image."""
    found = {"logits": output.logits, **output.attention, **{f"side {i}": side for i, side in enumerate(output.side_logits)}}
    return found if output.uncertainty is None else {**found, "uncertainty": output.uncertainty}


def check_output(network: nn.Module, x: Tensor, classes: int = 3) -> None:
    """Logits, side logits and uncertainty at the size of the input, every map at ceil(size / stride), all of them numbers in their range."""
    output = network(x, return_attention=True)
    batch, size = len(x), tuple(x.shape[2:])
    for logits in (output.logits, *output.side_logits):
        assert logits.shape == (batch, classes, *size)
    assert output.attention.keys() == network.attention_strides.keys()
    assert network.maps_scaled_per_volume <= network.attention_strides.keys()
    for name, values in output.attention.items():
        assert values.shape == (batch, 1, *(math.ceil(n / s) for n, s in zip(size, network.attention_strides[name])))
        assert values.min() >= 0
    if output.uncertainty is not None:
        assert output.uncertainty.shape == (batch, 1, *size)
        assert 0 <= output.uncertainty.min() <= output.uncertainty.max() <= 1
    assert [name for name, values in everything(output).items() if not values.isfinite().all()] == []
