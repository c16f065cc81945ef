"""Convolutions of a single small volume, computed in halves, give the same values and gradients."""

from __future__ import annotations

import copy

import pytest
import torch
from AttentionSegLib.networks.small_convolutions import LARGEST_SMALL, HalvedConv3d, halve_convolutions
from torch import Tensor, nn
from torch.testing import assert_close

SHAPES = {
    "even": (1, 4, 8, 6, 5),
    "odd": (1, 4, 11, 6, 5),
    "short": (1, 4, 4, 6, 5),
    "batch": (2, 4, 8, 6, 5),
    "large": (1, 4, 8, LARGEST_SMALL // 16, 2),
}
HALVED = {
    "cube": {"kernel_size": 3, "padding": 1},
    "flat": {"kernel_size": (1, 3, 3), "padding": (0, 1, 1), "bias": False},
    "long": {"kernel_size": (5, 3, 1), "padding": (2, 1, 0)},
}
KEPT = {
    "with stride": {"kernel_size": 3, "padding": 1, "stride": 2},
    "dilated": {"kernel_size": 3, "padding": 1, "dilation": 2},
    "in groups": {"kernel_size": 3, "padding": 1, "groups": 2},
    "without padding": {"kernel_size": 3},
    "with mirrored padding": {"kernel_size": 3, "padding": 1, "padding_mode": "reflect"},
    "of single voxels": {"kernel_size": 1},
}


def pair(settings: dict) -> tuple[nn.Conv3d, nn.Conv3d]:
    """A convolution as it is, and the same one after `halve_convolutions`."""
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv3d(4, 6, **settings))
    halved = copy.deepcopy(plain)
    halve_convolutions(halved)
    return plain[0], halved[0]


def gradients(layer: nn.Conv3d, x: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Values of a layer, and gradients of the sum of their squares by input and parameters."""
    given = x.clone().requires_grad_()
    values = layer(given)
    return values.detach(), list(torch.autograd.grad(values.square().sum(), [given, *layer.parameters()]))


@pytest.mark.parametrize("settings", HALVED.values(), ids=HALVED)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_values_and_gradients_stay_the_same(settings, shape):
    plain, halved = pair(settings)
    x = torch.randn(shape)
    (expected, of_plain), (computed, of_halved) = gradients(plain, x), gradients(halved, x)
    assert_close(computed, expected, rtol=0, atol=1e-5)
    for found, true in zip(of_halved, of_plain):
        assert_close(found, true, rtol=1e-4, atol=1e-5 * true.abs().max().item())


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this PyTorch has no oneDNN")
def test_only_convolutions_of_neighborhoods_that_keep_the_grid_are_halved():
    assert all(type(pair(settings)[1]) is HalvedConv3d for settings in HALVED.values())
    assert all(type(pair(settings)[1]) is nn.Conv3d for settings in KEPT.values())
