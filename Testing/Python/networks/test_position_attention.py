"""Position attention against its equations with the whole N x N matrix."""

from __future__ import annotations

from math import prod

import pytest
import torch
from attention_equations import make_attention, random, whole_matrix_attention
from AttentionSegLib.networks import position_attention
from AttentionSegLib.networks import streamed_attention as streaming
from AttentionSegLib.networks.position_attention import PositionAttention, attend
from AttentionSegLib.networks.streamed_attention import streamed_attention
from half_precision import HALF_PRECISIONS, NEEDS_FLOAT16
from torch import Tensor
from torch.testing import assert_close

# Channels in multiples of 8, which the kernel takes as they are, and others.
GRIDS = {"2d": (16, (3, 5)), "3d": (12, (2, 3, 4)), "8 channels": (8, (4, 4))}
PRECISIONS = {"float64": (torch.float64, 1e-9), "float32": (torch.float32, 1e-5)}
# How to attend, how many entries of the matrix may exist at a time (200 are a few rows), and on how many threads.
PATHS = {
    "kernel": (attend, None, 1),
    "kernel on threads": (attend, None, 8),
    "streamed": (streamed_attention, None, 1),
    "streamed in parts": (streamed_attention, 200, 1),
}


@pytest.fixture(params=PATHS.values(), ids=PATHS)
def path(request, monkeypatch):
    function, entries, threads = request.param
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(position_attention, "attend", function)
    if entries is not None:
        monkeypatch.setattr(streaming, "ENTRIES", entries)
    return function


# As in the paper, and what may differ from it.
KINDS = {"paper": {}, "more channels": {"query_channels": 5}, "cosine": {"query_channels": 3, "similarity": "cosine"}}


def equations(attention: PositionAttention, x: Tensor) -> Tensor:
    """q = W_q x, k = W_k x, v = W_v x, y = gamma (S v) + x; with a tau, q and k have length 1, and tau times their product counts"""
    layers = (attention.query, attention.key, attention.value)
    queries, keys, values = (torch.einsum("bcn,dc->bnd", x.flatten(2), layer.weight.flatten(1)) + layer.bias for layer in layers)
    if attention.log_tau is not None:
        queries, keys = (unit / unit.square().sum(2, keepdim=True).sqrt() for unit in (queries, keys))
        queries = attention.log_tau.exp() * queries
    return attention.gamma * whole_matrix_attention(queries, keys, values).transpose(1, 2).reshape(x.shape) + x


def gradients(output: Tensor, leaves: dict[str, Tensor]) -> dict[str, Tensor]:
    """Derivatives of a random weighted sum of the output, with respect to everything that goes in."""
    weight = random(*output.shape, seed=3).to(output.dtype)
    return dict(zip(leaves, torch.autograd.grad((output * weight).sum(), list(leaves.values()))))


def assert_near(computed: Tensor, expected: Tensor, tolerance: float, of: Tensor | None = None) -> None:
    """Equal up to a share of the largest expected value, or of the largest `of` others."""
    largest = (expected if of is None else of).abs().max().item()
    assert_close(computed.double(), expected, rtol=0, atol=tolerance * largest)


@pytest.mark.parametrize(("channels", "size"), GRIDS.values(), ids=GRIDS)
class TestEquations:
    @pytest.mark.parametrize("arguments", KINDS.values(), ids=KINDS)
    @pytest.mark.parametrize(("kind", "tolerance"), PRECISIONS.values(), ids=PRECISIONS)
    def test_output_and_gradients(self, path, channels, size, kind, tolerance, arguments):
        attention, x = make_attention(channels, size, **arguments), random(2, channels, *size).requires_grad_()
        expected = equations(attention, x)
        expected_gradients = gradients(expected, {"x": x, **dict(attention.named_parameters())})
        assert (expected - x).abs().max() > 1

        x = x.detach().to(kind).requires_grad_()
        output, features = attention.to(kind)(x)
        assert output.dtype == kind
        assert features.size == size
        assert_near(output, expected, tolerance)
        computed = gradients(output, {"x": x, **dict(attention.named_parameters())})
        # The bias of the keys adds the same to a whole row, which the softmax takes away again: its zero is as exact as the weights are.
        if attention.log_tau is None:
            key_bias = expected_gradients.pop("key.bias")
            assert_near(computed["key.bias"], key_bias, tolerance, of=expected_gradients["key.weight"])
        for name, values in expected_gradients.items():
            assert values.abs().max() > 0.1
            # Of tau it is a sum over all rows, in which most cancels out, as little cancels in that of gamma.
            assert_near(computed[name], values, tolerance, of=expected_gradients["gamma"] if name == "log_tau" else None)

    @pytest.mark.parametrize(("kind", "tolerance"), HALF_PRECISIONS)
    def test_half_precision(self, path, channels, size, kind, tolerance):
        widths = {"queries": 2, "keys": 2, "values": channels}
        rounded = {name: random(2, prod(size), width, seed=seed).to(kind) for seed, (name, width) in enumerate(widths.items())}
        exact = {name: values.double().requires_grad_() for name, values in rounded.items()}
        expected = whole_matrix_attention(*exact.values())
        leaves = {name: values.requires_grad_() for name, values in rounded.items()}
        output = path(*leaves.values())
        assert output.dtype == kind
        assert_near(output, expected, tolerance)
        computed = gradients(output, leaves)
        # The weights of the sum are rounded too.
        expected = torch.autograd.grad((expected * random(*output.shape, seed=3).to(kind)).sum(), list(exact.values()))
        for values, name in zip(expected, exact):
            assert computed[name].dtype == kind
            assert_near(computed[name], values, 2 * tolerance)

    @NEEDS_FLOAT16
    def test_energies_beyond_half_precision(self, path, channels, size):
        """Energies up to about 500000: each position takes up one other, or a few alike."""
        x = random(1, prod(size), channels, scale=256).half()
        output = path(x, -x, x)
        assert_near(output, whole_matrix_attention(x.double(), -x.double(), x.double()), 1e-2)

    def test_gamma_starts_at_zero_with_the_identity(self, path, channels, size):
        attention, x = PositionAttention(len(size), channels), random(2, channels, *size).float()
        output, _ = attention(x)
        assert torch.equal(output, x)
        output.square().sum().backward()
        assert attention.gamma.grad.abs() > 1e-3

    @pytest.mark.parametrize(("similarity", "same"), [("dot", False), ("cosine", True)])
    def test_a_long_key_draws_attention_only_by_the_dot_product(self, path, channels, size, similarity, same):
        attention, x = make_attention(channels, size, query_channels=4, similarity=similarity), random(1, channels, *size)
        torch.nn.init.zeros_(attention.query.bias)
        torch.nn.init.zeros_(attention.key.bias)
        longer = x.clone()
        longer[(..., *(0,) * len(size))] *= 8
        before, after = (attention(image)[1].received() for image in (x, longer))
        assert torch.allclose(before, after, rtol=0, atol=1e-9) == same

    def test_positions_are_a_set(self, path, channels, size):
        """What is at another place comes out at that place: mirrored, and in any order."""
        attention, x = make_attention(channels, size), random(2, channels, *size)
        output = attention(x)[0]
        for axis in range(2, x.ndim):
            assert_close(attention(x.flip(axis))[0], output.flip(axis), rtol=0, atol=1e-12)
        order = torch.randperm(prod(size), generator=torch.Generator().manual_seed(6))
        shuffled = x.flatten(2)[..., order].reshape(x.shape)
        assert_close(attention(shuffled)[0].flatten(2), output.flatten(2)[..., order], rtol=0, atol=1e-12)


class TestStreamed:
    @pytest.mark.parametrize("entries", [1, 30, 1000], ids=["one row at a time", "a short last part", "all at once"])
    def test_derivatives(self, monkeypatch, entries):
        monkeypatch.setattr(streaming, "ENTRIES", entries)
        inputs = tuple(random(2, 7, width, seed=width).requires_grad_() for width in (2, 2, 3))
        assert torch.autograd.gradcheck(streamed_attention, inputs)

    def test_a_small_share_of_each_of_many_positions_is_not_lost(self):
        """Each of 3 million weights is 5.3 of the smallest steps of float16."""
        one, many = torch.zeros(1, 1, 1).half(), torch.zeros(1, 3 * 2**20, 1).half()
        assert_close(streamed_attention(one, many, torch.ones_like(many)).item(), 1.0, rtol=0, atol=5e-3)

    def test_autocast_does_not_round_the_energies(self):
        queries, keys, values = (random(1, 20, 4, seed=seed, scale=3).float() for seed in range(3))
        expected = streamed_attention(queries, keys, values)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(streamed_attention(queries, keys, values), expected)
