"""What is set against each other, made ready to run: position attention and its whole matrix, networks and their variants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial

import torch
from AttentionSegLib.inference.acceleration import accelerated
from AttentionSegLib.inference.openvino_network import OpenVinoNetwork, openvino_network
from AttentionSegLib.networks import AttentionUNet, GuidedAttention
from AttentionSegLib.networks.position_attention import PositionAttention, PositionFeatures
from benchmarks.memory import forget_peak
from benchmarks.timing import Run
from monai.networks.nets import AttentionUnet as MonaiAttentionUnet
from monai.networks.nets import BasicUNet
from torch import Tensor, nn

ATTENTION_CHANNELS = 64
GUIDED, UNET, PUBLISHED = "guided attention", "Attention U-Net", "guided attention as published"
MONAI_ATTENTION_UNET, MONAI_BASIC_UNET = "MONAI AttentionUnet", "MONAI BasicUNet"
PLAIN, ACCELERATED, OPENVINO, WHOLE_MATRIX = "plain", "accelerated", "OpenVINO", "whole matrix"
CLASSES = 3
CHANNELS = (16, 32, 64, 128, 256)
# Enough for batch norms to see something, and for torch to load all it needs before a measurement.
SMALL = {GUIDED: (64, 64), PUBLISHED: (64, 64), UNET: (32, 32, 32), MONAI_ATTENTION_UNET: (32, 32, 32), MONAI_BASIC_UNET: (32, 32, 32)}


@dataclass(frozen=True)
class Setting:
    """Where to compute, and in which precision: float32, or bfloat16 by autocast."""

    device: torch.device
    dtype: torch.dtype

    def __str__(self) -> str:
        return f"{self.device.type.upper()}, {str(self.dtype).partition('.')[2]}"

    def autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.dtype == torch.bfloat16)


class MatrixAttention(PositionAttention):
    """Position attention that stores S = softmax(q^T k), N x N, as the code of its paper does. Arguments and shapes as of its base."""

    def forward(self, x: Tensor) -> tuple[Tensor, PositionFeatures]:
        queries, keys, values = (layer(x).flatten(2) for layer in (self.query, self.key, self.value))
        matrix = torch.softmax(torch.bmm(queries.transpose(1, 2), keys), -1)
        taken_up = torch.bmm(values, matrix.transpose(1, 2)).view(x.shape)
        return self.gamma * taken_up + x, PositionFeatures(queries.transpose(1, 2), keys.transpose(1, 2), tuple(x.shape[2:]))


@dataclass(frozen=True)
class Contender:
    """A network in one of its variants.

    Attributes:
        network: a key of `NETWORKS`.
        variant: as it is built (`PLAIN`), after `accelerated`, by OpenVINO, or with the `WHOLE_MATRIX` of its position attention.
    """

    network: str
    variant: str = PLAIN

    def __str__(self) -> str:
        return f"{self.network}, {self.variant}" if self.network in (GUIDED, UNET) else self.network


NETWORKS = {
    GUIDED: lambda: GuidedAttention(2, 1, CLASSES, backbone=18, width=64),
    PUBLISHED: lambda: GuidedAttention(2, 1, CLASSES, backbone=101, width=64),
    UNET: lambda: AttentionUNet(3, 1, CLASSES, channels=CHANNELS),
    MONAI_ATTENTION_UNET: lambda: MonaiAttentionUnet(3, 1, CLASSES, CHANNELS, strides=(2,) * (len(CHANNELS) - 1)),
    MONAI_BASIC_UNET: lambda: BasicUNet(3, 1, CLASSES),
}


def plain_network(name: str) -> nn.Module:
    """A network in evaluation mode, always with the same weights. What starts without effect has one: gamma is 0.1, batch norms saw images."""
    torch.manual_seed(0)
    network = NETWORKS[name]()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, (nn.BatchNorm2d, nn.BatchNorm3d)):
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(std=0.1)
            elif isinstance(getattr(module, "gamma", None), nn.Parameter):
                module.gamma.fill_(0.1)
        # With the momentum of 0.1 the variances stay near 1, so that a network of random weights does not blow rounding up.
        for _ in range(3):
            network(torch.randn(2, 1, *SMALL[name]))
    return network.eval()


def prediction(contender: Contender, size: Sequence[int], setting: Setting) -> Run:
    """A forward pass over noise, always the same, that returns the logits [1, classes, *size]; ready after one of a small size.

    Args:
        contender: which network.
        size: of the input.
        setting: where.
    """
    network = plain_network(contender.network)
    torch.manual_seed(1)
    small = torch.randn(1, 1, *SMALL[contender.network])
    x = torch.randn(1, 1, *size)
    if contender.variant == OPENVINO:
        return _openvino_prediction(network, contender.network, small, x)
    if contender.variant == WHOLE_MATRIX:
        for module in network.modules():
            if isinstance(module, PositionAttention):
                module.__class__ = MatrixAttention
    network = (accelerated(network) if contender.variant == ACCELERATED else network).to(setting.device)

    def over(picture: Tensor) -> Tensor:
        with torch.inference_mode(), setting.autocast():
            return network(picture)

    over(small.to(setting.device))
    return partial(over, x.to(setting.device))


def _openvino_prediction(network: nn.Module, name: str, small: Tensor, x: Tensor) -> Run:
    """The first run loads the network for the size of x, and converts it if no run before did."""

    def load(picture: Tensor) -> OpenVinoNetwork:
        # The cache is of this program alone: the name stands for the weights.
        return openvino_network(network, name, picture.shape[2:], picture.shape[1])

    @cache
    def loaded() -> OpenVinoNetwork:
        result = load(x)
        forget_peak()
        return result

    load(small)(small)
    return lambda: loaded()(x)


def attention_pass(kind: type[PositionAttention], size: Sequence[int], backward: bool, setting: Setting) -> Run:
    """A pass of one position attention that returns its output and, with `backward`, the gradient of its input; ready after one over few positions.

    Args:
        kind: `PositionAttention` or `MatrixAttention`; the weights are the same.
        size: the grid of the positions.
        backward: whether the gradients are computed too, of the input and of all weights.
        setting: where.
    """
    torch.manual_seed(0)
    attention = kind(len(size), ATTENTION_CHANNELS)
    nn.init.ones_(attention.gamma)
    attention.to(setting.device)

    def over(grid: Sequence[int]) -> Run:
        x = torch.randn(1, ATTENTION_CHANNELS, *grid).to(setting.device).requires_grad_(backward)
        weight = torch.randn_like(x)

        def forward() -> tuple[Tensor, ...]:
            with torch.inference_mode(), setting.autocast():
                return (attention(x)[0],)

        def forward_and_backward() -> tuple[Tensor, ...]:
            with setting.autocast():
                output = attention(x)[0]
            return output.detach(), torch.autograd.grad(output, [x, *attention.parameters()], weight)[0]

        return forward_and_backward if backward else forward

    over([4] * len(size))()
    return over(size)
