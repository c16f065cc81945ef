"""The guided attention block and its encoder-decoder against their equations, computed step by step from their parameters."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F
from AttentionSegLib.networks.guided_block import GuidedArguments, GuidedAttentionBlock, SemanticModule
from torch import Tensor, nn
from torch.testing import assert_close

WIDTH = 8
GRIDS = {"2d": (4, 8), "3d": (4, 8, 4)}
PARTS = {", ".join(n for n, on in zip(("position", "channel", "guided"), p) if on) or "none": p for p in itertools.product((True, False), repeat=3)}
CONVOLUTIONS = {2: (F.conv2d, F.conv_transpose2d), 3: (F.conv3d, F.conv_transpose3d)}


def randomize(module: nn.Module) -> nn.Module:
    """Parameters and running statistics far from their first values, so that every term counts."""
    torch.manual_seed(1)
    for name, values in itertools.chain(module.named_parameters(), module.named_buffers()):
        if name.endswith("gamma"):
            nn.init.constant_(values, 1.7)
        elif name.endswith("running_var"):
            nn.init.uniform_(values, 0.5, 2)
        elif values.is_floating_point():
            nn.init.normal_(values, mean=0.1, std=1 / values[0].numel() ** 0.5 if values.ndim > 1 else 0.5)
    return module.double()


def make_block(spatial_dims: int, parts: tuple[bool, bool, bool]) -> GuidedAttentionBlock:
    position, channel, guided = parts
    arguments = GuidedArguments(width=WIDTH, norm="batch", position=position, channel=channel, guided=guided)
    return randomize(GuidedAttentionBlock(spatial_dims, arguments))


def random(*shape: int, seed: int = 2) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def convolve(x: Tensor, layer: nn.Module) -> Tensor:
    """A convolution of the layer's weights that keeps the size."""
    return CONVOLUTIONS[x.ndim - 2][0](x, layer.weight, layer.bias, padding=layer.weight.shape[-1] // 2)


def double(x: Tensor, layer: nn.Module) -> Tensor:
    """A transposed convolution of the layer's weights that doubles the size."""
    return CONVOLUTIONS[x.ndim - 2][1](x, layer.weight, layer.bias, stride=2)


def normalize(x: Tensor, layer: nn.Module) -> Tensor:
    """Batch norm after training: (x - mean) / sqrt(variance + 1e-5) * weight + bias, of each channel."""
    mean, variance, weight, bias = (v.reshape(-1, *[1] * (x.ndim - 2)) for v in (layer.running_mean, layer.running_var, layer.weight, layer.bias))
    return (x - mean) / (variance + 1e-5).sqrt() * weight + bias


def relu(x: Tensor) -> Tensor:
    return x * (x > 0)


def halve(x: Tensor) -> Tensor:
    """The largest of each 2 x 2 (x 2) voxels."""
    for axis in range(2, x.ndim):
        x = x.unflatten(axis, (-1, 2)).amax(axis + 1)
    return x


def frame(x: Tensor, layers: nn.Sequential) -> Tensor:
    """Convolution 3, batch norm, PReLU."""
    x = normalize(convolve(x, layers[0]), layers[1])
    return torch.where(x > 0, x, layers[2].weight * x)


def position_attention(x: Tensor, layers: nn.Module) -> Tensor:
    """y = gamma (softmax(q^T k) v) + x"""
    q, k, v = (convolve(x, layer).flatten(2) for layer in (layers.query, layers.key, layers.value))
    similarity = torch.softmax(q.transpose(1, 2) @ k, -1)
    return layers.gamma * (v @ similarity.transpose(1, 2)).reshape(x.shape) + x


def channel_attention(x: Tensor, gamma: Tensor) -> Tensor:
    """y = gamma (softmax(max(E) - E) X) + x,  E = X X^T"""
    rows = x.flatten(2)
    energy = rows @ rows.transpose(1, 2)
    similarity = torch.softmax(energy.amax(-1, keepdim=True) - energy, -1)
    return gamma * (similarity @ rows).reshape(x.shape) + x


def equations(block: GuidedAttentionBlock, x: Tensor, decoded: Tensor | None, parts: tuple[bool, bool, bool]) -> Tensor:
    """A_m = conv1( (PAM(x) + CAM(x)) * conv3(decoded) ), without what is left out; one bare frame where both attentions are."""
    position, channel, guided = parts
    found = torch.zeros(())
    if position:
        found = found + frame(position_attention(frame(x, block.position_in), block.position_attention), block.position_out)
    if channel:
        found = found + frame(channel_attention(frame(x, block.channel_in), block.channel_attention.gamma), block.channel_out)
    if not position and not channel:
        found = frame(frame(x, block.channel_in), block.channel_out)
    if guided:
        found = found * convolve(decoded, block.guide)
    return convolve(found, block.project)


@pytest.mark.parametrize("size", GRIDS.values(), ids=GRIDS)
@pytest.mark.parametrize("parts", PARTS.values(), ids=PARTS)
class TestBlock:
    def features(self, size: tuple[int, ...], guided: bool) -> tuple[Tensor, Tensor | None]:
        return random(2, 2 * WIDTH, *size), random(2, 2 * WIDTH, *size, seed=3) if guided else None

    def test_equation(self, parts, size):
        block = make_block(len(size), parts).eval()
        x, decoded = self.features(size, parts[2])
        attention, positions = block(x, decoded)
        expected = equations(block, x, decoded, parts)
        assert attention.shape == (2, WIDTH, *size)
        assert expected.abs().max() > 0.5
        assert_close(attention, expected, rtol=0, atol=1e-9 * expected.abs().max().item())
        if parts[0]:
            assert positions.size == size
        else:
            assert positions is None

    def test_every_parameter_learns(self, parts, size):
        block = make_block(len(size), parts)
        x, decoded = self.features(size, parts[2])
        attention, _ = block(x.requires_grad_(), decoded)
        (attention * random(*attention.shape, seed=4)).sum().backward()
        assert x.grad.abs().max() > 1e-6
        for name, parameter in block.named_parameters():
            # The softmax takes away the bias of the keys, so its derivative is zero.
            assert name.endswith("key.bias") or parameter.grad.abs().max() > 1e-6, name


@pytest.mark.parametrize("parts", PARTS.values(), ids=PARTS)
def test_a_part_left_out_leaves_out_its_parameters(parts):
    position, channel, guided = parts
    owners = {name.partition(".")[0] for name, _ in make_block(2, parts).named_parameters()}
    expected = {"project"}
    if position:
        expected |= {"position_in", "position_attention", "position_out"}
    if channel:
        expected |= {"channel_in", "channel_attention", "channel_out"}
    if not position and not channel:
        expected |= {"channel_in", "channel_out"}
    if guided:
        expected |= {"guide"}
    assert owners == expected


@pytest.mark.parametrize("size", [(8, 12), (4, 8, 12)])
class TestSemanticModule:
    CHANNELS = 4

    def test_equation(self, size):
        module, x = randomize(SemanticModule(len(size), self.CHANNELS, "batch")).eval(), random(2, self.CHANNELS, *size)
        convolutions = [m for m in module.encoder.modules() if isinstance(m, (nn.Conv2d, nn.Conv3d))]
        norms = [m for m in module.encoder.modules() if isinstance(m, (nn.BatchNorm2d, nn.BatchNorm3d))]
        assert [c.out_channels for c in convolutions] == [2 * self.CHANNELS] * 2 + [4 * self.CHANNELS] * 2
        code = x
        for i, (convolution, norm) in enumerate(zip(convolutions, norms)):
            code = relu(normalize(convolve(code, convolution), norm))
            code = halve(code) if i % 2 else code
        up, norm, _, last = module.decoder
        expected = double(relu(normalize(double(code, up), norm)), last)

        latent, reconstruction = module(x)
        assert latent.shape == (2, 4 * self.CHANNELS, *(n // 4 for n in size))
        assert reconstruction.shape == x.shape
        for computed, values in ((latent, code), (reconstruction, expected)):
            assert values.abs().max() > 0.1
            assert_close(computed, values, rtol=0, atol=1e-9 * values.abs().max().item())

    def test_every_parameter_learns(self, size):
        module, x = randomize(SemanticModule(len(size), self.CHANNELS, "batch")), random(2, self.CHANNELS, *size)
        _, reconstruction = module(x)
        (reconstruction - x).square().mean().backward()
        for name, parameter in module.named_parameters():
            assert parameter.grad.abs().max() > 1e-6, name
