"""The uncertainty of predictions at several scales, against its formula."""

from __future__ import annotations

import itertools

import pytest
import torch
from AttentionSegLib.networks.scale_spread import ScaleSpread
from torch import Tensor
from torch.testing import assert_close

PRECISIONS = {"float64": (torch.float64, 1e-12), "float32": (torch.float32, 1e-6)}
SIZES = {"2d": (3, 4), "3d": (3, 4, 2)}


def uncertainty(scales: list[Tensor]) -> Tensor:
    spread = ScaleSpread()
    for logits in scales:
        spread.add(logits)
    return spread.uncertainty()


def random_scales(*size: int, scales: int = 4, classes: int = 3) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [3 * torch.randn(2, classes, *size, generator=generator, dtype=torch.float64) for _ in range(scales)]


def sure_of(label: int, classes: int = 4) -> Tensor:
    """Logits of a network that is sure of one class everywhere."""
    logits = torch.full((1, classes, 2, 3), -50.0)
    logits[:, label] = 50
    return logits


@pytest.mark.parametrize(("kind", "tolerance"), PRECISIONS.values(), ids=PRECISIONS)
@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_formula(size, kind, tolerance):
    scales = random_scales(*size)
    share = torch.stack([torch.exp(logits) / torch.exp(logits).sum(1, keepdim=True) for logits in scales])
    mean = sum(share) / 4
    spread = sum((p - mean) ** 2 for p in share).sum(1, keepdim=True) / 4
    doubt = 1 - mean.amax(1, keepdim=True)
    computed = uncertainty([logits.to(kind) for logits in scales])
    assert computed.shape == (2, 1, *size)
    assert computed.dtype == kind
    assert_close(computed.double(), doubt + (1 - doubt) * spread, rtol=0, atol=tolerance)


def test_nothing_is_uncertain_where_all_scales_are_sure_of_the_same():
    assert_close(uncertainty([sure_of(2)] * 4), torch.zeros(1, 1, 2, 3), rtol=0, atol=1e-6)


def test_scales_that_are_each_sure_of_something_else_are_nearly_as_uncertain_as_can_be():
    """The mean share of each class is 1/4 (doubt 3/4), its variance 3/16 (spread 3/4)."""
    assert_close(uncertainty([sure_of(label) for label in range(4)]), torch.full((1, 1, 2, 3), 0.9375))


@pytest.mark.parametrize("classes", [2, 4])
def test_scales_that_hesitate_alike_leave_the_doubt_alone(classes):
    assert_close(uncertainty([torch.zeros(1, classes, 2, 3)] * 4), torch.full((1, 1, 2, 3), 1 - 1 / classes))


def test_disagreement_adds_to_doubt():
    """The mean is the same: halves of scales sure of another class, or all hesitating between the two."""
    hesitating = torch.tensor([50.0, 50.0, -50.0, -50.0]).reshape(1, 4, 1, 1).expand(1, 4, 2, 3)
    opposed = uncertainty([sure_of(0), sure_of(0), sure_of(1), sure_of(1)])
    assert_close(uncertainty([hesitating] * 4), torch.full((1, 1, 2, 3), 0.5))
    assert_close(opposed, torch.full((1, 1, 2, 3), 0.75))


@pytest.mark.parametrize(("kind", "largest"), [(torch.float32, 1e38), (torch.float32, 1.0), (torch.float16, 6e4), (torch.bfloat16, 1e38)])
@pytest.mark.parametrize("classes", [1, 2, 4])
def test_any_logits_give_0_to_1(kind, largest, classes):
    scales = [(logits.clamp(-3, 3) / 3 * largest).to(kind) for logits in random_scales(20, 20, classes=classes)]
    computed = uncertainty(scales)
    assert computed.dtype == torch.float32
    assert 0 <= computed.min() <= computed.max() <= 1


def test_the_order_of_the_scales_does_not_matter():
    scales = random_scales(3, 4)
    expected = uncertainty(scales)
    for order in itertools.permutations(scales):
        assert_close(uncertainty(list(order)), expected, rtol=0, atol=1e-12)


def test_rounding_does_not_leave_the_range():
    """The variance of equal shares is a difference of nearly equal numbers, and with three scales it can round to less than 0."""
    ramp = torch.stack([torch.linspace(0, 20, 1000), torch.zeros(1000)]).reshape(1, 2, 10, 100)
    assert uncertainty([ramp] * 3).min() >= 0
