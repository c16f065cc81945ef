"""Channel attention against its equations, written out here with sums and products alone."""

from __future__ import annotations

import pytest
import torch
from AttentionSegLib.networks.channel_attention import ChannelAttention
from half_precision import BFLOAT16_TOLERANCE, HALF_PRECISIONS
from torch import Tensor
from torch.testing import assert_close

GRIDS = {"2d": (3, 5), "3d": (2, 3, 4)}
PRECISIONS = {"float64": (torch.float64, 1e-9), "float32": (torch.float32, 1e-5)}
CHANNELS = 6


def make_attention(gamma: float = 1.7) -> ChannelAttention:
    attention = ChannelAttention().double()
    torch.nn.init.constant_(attention.gamma, gamma)
    return attention


def random(*shape: int, seed: int = 2) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def equations(x: Tensor, gamma: Tensor) -> Tensor:
    """E = X X^T, S = softmax(max(E) - E), y = gamma (S X) + x"""
    rows = x.flatten(2)
    energy = torch.einsum("bin,bjn->bij", rows, rows)
    difference = energy.amax(2, keepdim=True) - energy
    share = torch.exp(difference - difference.amax(2, keepdim=True))
    similarity = share / share.sum(2, keepdim=True)
    return gamma * torch.einsum("bij,bjn->bin", similarity, rows).reshape(x.shape) + x


def assert_near(computed: Tensor, expected: Tensor, tolerance: float) -> None:
    """Equal up to a share of the largest value."""
    assert_close(computed.double(), expected, rtol=0, atol=tolerance * expected.abs().max().item())


def opposed() -> Tensor:
    """Channels in pairs of opposite sign on many positions: each row of E has a sum near -100000, of all the smallest."""
    half = 5 * random(2, CHANNELS // 2, 64, 64)
    return torch.cat([half, -half], 1)


def alike() -> Tensor:
    """Channels around the same large value: all of E is near 100000."""
    return 5 + random(2, CHANNELS, 64, 64)


@pytest.mark.parametrize("size", GRIDS.values(), ids=GRIDS)
class TestEquations:
    @pytest.mark.parametrize(("kind", "tolerance"), PRECISIONS.values(), ids=PRECISIONS)
    def test_output_and_gradients(self, size, kind, tolerance):
        # Small enough that no channel takes up one other alone.
        attention, x, weight = make_attention(), 0.4 * random(2, CHANNELS, *size), random(2, CHANNELS, *size, seed=3)
        leaves = (x.requires_grad_(), attention.gamma)
        expected = equations(*leaves)
        expected_gradients = torch.autograd.grad((expected * weight).sum(), leaves)
        assert (expected - x).abs().max() > 0.5

        leaves = (x.detach().to(kind).requires_grad_(), attention.to(kind).gamma)
        output = attention(leaves[0])
        assert output.dtype == kind
        assert_near(output, expected, tolerance)
        for computed, values in zip(torch.autograd.grad((output * weight.to(kind)).sum(), leaves), expected_gradients):
            assert_near(computed, values, tolerance)

    def test_gamma_starts_at_zero_with_the_identity(self, size):
        attention, x = ChannelAttention(), random(2, CHANNELS, *size).float()
        output = attention(x)
        assert torch.equal(output, x)
        output.square().sum().backward()
        assert attention.gamma.grad.abs() > 1e-3

    def test_positions_are_a_set_and_so_are_channels(self, size):
        attention, x = make_attention(), 0.4 * random(2, CHANNELS, *size)
        output = attention(x)
        for axis in range(2, x.ndim):
            assert_close(attention(x.flip(axis)), output.flip(axis), rtol=0, atol=1e-12)
        order = torch.randperm(x[0, 0].numel(), generator=torch.Generator().manual_seed(6))
        shuffled = x.flatten(2)[..., order].reshape(x.shape)
        assert_close(attention(shuffled).flatten(2), output.flatten(2)[..., order], rtol=0, atol=1e-12)
        order = torch.randperm(CHANNELS, generator=torch.Generator().manual_seed(6))
        assert_close(attention(x[:, order]), output[:, order], rtol=0, atol=1e-12)


def test_a_channel_takes_up_the_one_that_differs_most():
    x = torch.stack([torch.full((4, 4), value, dtype=torch.float64) for value in (3.0, 2.0, -3.0)])[None]
    taken_up = make_attention(gamma=1)(x) - x
    assert_close(taken_up, x[:, [2, 2, 0]])


@pytest.mark.parametrize("make", [opposed, alike])
class TestEnergiesBeyondHalfPrecision:
    @pytest.mark.parametrize(("kind", "tolerance"), HALF_PRECISIONS)
    def test_half_precision(self, make, kind, tolerance):
        attention = make_attention().to(kind)
        x = make().to(kind).requires_grad_()
        exact = x.detach().double().requires_grad_()
        assert torch.einsum("bin,bjn->bij", exact.flatten(2), exact.flatten(2)).abs().max() > torch.finfo(torch.float16).max
        expected, output = equations(exact, attention.gamma.double()), attention(x)
        assert output.dtype == kind
        assert_near(output, expected, tolerance)
        weight = random(*x.shape, seed=3).to(kind)
        (computed,) = torch.autograd.grad((output * weight).sum(), x)
        (values,) = torch.autograd.grad((expected * weight).sum(), exact)
        assert_near(computed, values, 2 * tolerance)

    def test_autocast(self, make):
        attention, x = make_attention().float(), make().float().requires_grad_()
        expected = attention(x)
        with torch.autocast("cpu", torch.bfloat16):
            output = attention(x)
        assert_near(output, expected.double(), BFLOAT16_TOLERANCE)
        (computed,), (values,) = (torch.autograd.grad(y.square().sum(), x) for y in (output, expected))
        assert_near(computed, values.double(), 2 * BFLOAT16_TOLERANCE)
