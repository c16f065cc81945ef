"""The attention gate against the equations of its paper, written out here with sums and products alone."""

from __future__ import annotations

import itertools

import pytest
import torch
from AttentionSegLib.networks import AttentionGate
from AttentionSegLib.networks.attention_gate import GatedSkip
from torch import Tensor
from torch.testing import assert_close

GRIDS = {"grid": True, "full": False}
STRIDES = {"2d": (2, 2), "3d": (2, 2, 2), "anisotropic": (1, 2, 2), "thirds": (3, 1, 2)}
PRECISIONS = {"float64": (torch.float64, 1e-9), "float32": (torch.float32, 1e-5)}
COARSE = (4, 3, 2)


def make_gate(stride: tuple[int, ...], grid: bool) -> AttentionGate:
    """A gate whose parameters are all far from zero, so that every term of the equations counts."""
    torch.manual_seed(1)
    gate = AttentionGate(len(stride), x_channels=3, g_channels=5, inner_channels=4, stride=stride, grid=grid).double()
    for parameter in gate.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return gate


def make_features(stride: tuple[int, ...], seed: int = 2) -> tuple[Tensor, Tensor]:
    """A skip connection and a gating signal, float64."""
    generator = torch.Generator().manual_seed(seed)
    coarse = COARSE[: len(stride)]
    x = torch.randn(2, 3, *(n * s for n, s in zip(coarse, stride)), generator=generator, dtype=torch.float64)
    return x, torch.randn(2, 5, *coarse, generator=generator, dtype=torch.float64)


def interpolate(values: Tensor, size: tuple[int, ...]) -> Tensor:
    """Linear interpolation of [B, C, *S] one axis after the other; voxel i of n covers i/n to (i + 1)/n of the axis, the border goes on."""
    for axis, count in enumerate(size, start=2):
        old = values.shape[axis]
        position = ((torch.arange(count, dtype=torch.float64) + 0.5) * old / count - 0.5).clamp(0, old - 1)
        low = position.floor().long()
        weight = (position - low).reshape([-1 if a == axis else 1 for a in range(values.ndim)])
        values = values.index_select(axis, low) * (1 - weight) + values.index_select(axis, (low + 1).clamp_max(old - 1)) * weight
    return values


def pointwise(values: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """A 1x1 convolution: each output channel is a weighted sum of the input channels."""
    result = torch.einsum("bi...,oi->bo...", values, weight.flatten(1))
    return result if bias is None else result + bias.reshape(-1, *[1] * (values.ndim - 2))


def strided(values: Tensor, weight: Tensor, stride: tuple[int, ...]) -> Tensor:
    """A convolution whose kernel equals its stride: a weighted sum over the fine voxels under each coarse one."""
    offsets = itertools.product(*(range(s) for s in stride))
    return sum(pointwise(values[(..., *(slice(o, None, s) for o, s in zip(offset, stride)))], weight[(..., *offset)]) for offset in offsets)


def equations(gate: AttentionGate, x: Tensor, g: Tensor, stride: tuple[int, ...], grid: bool) -> dict[str, Tensor]:
    """q = psi^T ReLU(W_x x + W_g g + b_g) + b_psi (eq. 1), alpha = sigmoid(q) (eq. 2), x_hat = alpha x, and the terms of eq. 1."""
    theta = strided(x, gate.w_x.weight, stride) if grid else pointwise(x, gate.w_x.weight)
    phi = pointwise(g if grid else interpolate(g, x.shape[2:]), gate.w_g.weight, gate.w_g.bias)
    total = theta + phi
    q = pointwise(total * (total > 0), gate.psi.weight, gate.psi.bias)
    alpha = interpolate(1 / (1 + torch.exp(-q)), x.shape[2:])
    return {"theta": theta, "q": q, "alpha": alpha, "x_hat": alpha * x}


def run(gate: AttentionGate, x: Tensor, g: Tensor) -> dict[str, Tensor]:
    """What the gate computes, with the terms of eq. 1 caught at its layers."""
    caught: dict[str, Tensor] = {}
    hooks = [
        layer.register_forward_hook(lambda _layer, _inputs, output, name=name: caught.update({name: output})) for name, layer in gate.named_children()
    ]
    x_hat, alpha = gate(x, g)
    for hook in hooks:
        hook.remove()
    return {"theta": caught["w_x"], "q": caught["psi"], "alpha": alpha, "x_hat": x_hat}


def gradients(gate: AttentionGate, x_hat: Tensor, leaves: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
    """Derivatives of a random weighted sum of the output, with respect to everything that goes in."""
    weight = torch.randn(x_hat.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64).to(x_hat.dtype)
    names = ["x", "g", *(name for name, _ in gate.named_parameters())]
    return dict(zip(names, torch.autograd.grad((x_hat * weight).sum(), [*leaves, *gate.parameters()])))


@pytest.mark.parametrize(("kind", "tolerance"), PRECISIONS.values(), ids=PRECISIONS)
@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
@pytest.mark.parametrize("stride", STRIDES.values(), ids=STRIDES)
class TestEquations:
    def test_every_step(self, stride, grid, kind, tolerance):
        gate, (x, g) = make_gate(stride, grid), make_features(stride)
        expected = equations(gate, x, g, stride, grid)
        computed = run(gate.to(kind), x.to(kind), g.to(kind))
        for name, values in expected.items():
            assert_close(computed[name].double(), values, rtol=tolerance, atol=tolerance, msg=lambda text, name=name: f"{name}: {text}")

    def test_gradients(self, stride, grid, kind, tolerance):
        gate = make_gate(stride, grid)
        leaves = tuple(feature.requires_grad_() for feature in make_features(stride))
        expected = gradients(gate, equations(gate, *leaves, stride, grid)["x_hat"], leaves)
        leaves = tuple(feature.to(kind).requires_grad_() for feature in make_features(stride))
        computed = gradients(gate.to(kind), gate(*leaves)[0], leaves)
        for name, values in expected.items():
            largest = values.abs().max().item()
            assert largest > 1e-3
            assert_close(
                computed[name].double(), values, rtol=tolerance, atol=tolerance * max(1, largest), msg=lambda text, name=name: f"{name}: {text}"
            )


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
class TestAttention:
    def test_stays_within_0_and_1_for_extreme_features(self, grid):
        gate = make_gate((2, 2, 2), grid)
        x, g = make_features((2, 2, 2))
        for factor in (1, 1e3, 1e30):
            _, alpha = gate(x * factor, g * factor)
            assert alpha.shape == (2, 1, *x.shape[2:])
            assert 0 <= alpha.min() <= alpha.max() <= 1

    def test_a_gate_that_was_not_trained_lets_nearly_everything_pass_everywhere(self, grid):
        torch.manual_seed(5)
        gate = AttentionGate(3, x_channels=16, g_channels=32, inner_channels=16, stride=(2, 2, 2), grid=grid)
        x, g = torch.randn(1, 16, 8, 8, 8), torch.randn(1, 32, 4, 4, 4)
        x_hat, alpha = gate(x, g)
        assert alpha.min() > 0.8
        assert alpha.max() - alpha.min() < 0.1
        x_hat.pow(2).sum().backward()
        assert all(parameter.grad.abs().max() > 0 for parameter in gate.parameters())

    def test_each_image_of_a_batch_is_gated_on_its_own(self, grid):
        gate = make_gate((2, 2), grid)
        x, g = make_features((2, 2))
        together, _ = gate(x, g)
        apart = torch.cat([gate(x[i : i + 1], g[i : i + 1])[0] for i in range(2)])
        assert_close(together, apart, rtol=0, atol=1e-12)

    def test_a_gating_signal_switches_off_the_place_that_it_marks(self, grid):
        gate = make_gate((2, 2, 2), grid)
        with torch.no_grad():
            for parameter in gate.parameters():
                parameter.zero_()
            gate.w_g.weight[0, 0] = 1
            gate.psi.weight[0, 0] = -50
            gate.psi.bias.fill_(25)
        g = torch.zeros(1, 5, 6, 6, 6, dtype=torch.float64)
        g[0, 0, 4, 1, 2] = 1
        x_hat, alpha = gate(torch.ones(1, 3, 12, 12, 12, dtype=torch.float64), g)
        dark = (alpha[0, 0] < alpha.min() + 1e-6).nonzero()
        assert dark.min(0).values.tolist() == [8, 2, 4]
        assert dark.max(0).values.tolist() == [9, 3, 5]
        assert_close(x_hat, alpha.expand_as(x_hat))


@pytest.mark.parametrize("gates", [1, 2, 3])
def test_gates_side_by_side_are_joined_and_their_map_is_the_mean(gates):
    torch.manual_seed(6)
    skip = GatedSkip(2, x_channels=3, g_channels=5, stride=(2, 2), norm="instance", gates=gates).double()
    x, g = make_features((2, 2))
    gated, alpha = skip(x, g)
    singles = [gate(x, g) for gate in skip.gates]
    assert_close(alpha, sum(single for _, single in singles) / gates)
    mixed = pointwise(torch.cat([product for product, _ in singles], 1), skip.combine[0].weight)
    mean, variance = (statistic((2, 3), keepdim=True) for statistic in (mixed.mean, lambda *a, **k: mixed.var(*a, **k, correction=0)))
    normal = (mixed - mean) / (variance + 1e-5).sqrt()
    assert_close(gated, normal if gates == 1 else normal * (normal > 0))
