"""Terms of losses that several networks may share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor

from .contract import RegionLoss
from .output import Pair

# Of a decoder level against the next finer one.
LEVEL_WEIGHT = 0.5


def deep_supervision(levels: Sequence[Tensor], region: RegionLoss) -> dict[str, Tensor]:
    """Cross-entropy and Dice of predictions [B, classes, *S], finest first, each at half the weight of the one before; the weights add up to 1."""
    weights = [LEVEL_WEIGHT**step for step in range(len(levels))]
    shares = [weight / sum(weights) for weight in weights]
    return {
        "cross_entropy": added(share * region.cross_entropy(logits) for share, logits in zip(shares, levels)),
        "dice": added(share * region.dice(logits) for share, logits in zip(shares, levels)),
    }


def squared_distances(pairs: Iterable[Pair], like: Tensor) -> Tensor:
    """Sum over the pairs of the mean squared difference, in float32 or float64, neither side detached; 0, on the device of `like`, without any."""
    zero = like.new_zeros((), dtype=torch.float32)
    return added([zero, *(F.mse_loss(exact(first), exact(second)) for first, second in pairs)])


def added(terms: Iterable[Tensor]) -> Tensor:
    """The sum of one tensor or more."""
    return reduce(torch.add, terms)


def exact(x: Tensor) -> Tensor:
    """In float32, or in float64 where it is so already."""
    return x if x.dtype == torch.float64 else x.float()
