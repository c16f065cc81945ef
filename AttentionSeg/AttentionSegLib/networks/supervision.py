"""Terms of losses that are shared by several networks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor

from .contract import RegionLoss
from .output import Pair

# Weight of a decoder level relative to the next finer one.
LEVEL_WEIGHT = 0.5


def deep_supervision(levels: Sequence[Tensor], region: RegionLoss) -> dict[str, Tensor]:
    """Cross-entropy and Dice of predictions [B, classes, *S], finest first, each at half the weight of the previous one; the weights sum to 1."""
    weights = [LEVEL_WEIGHT**step for step in range(len(levels))]
    shares = [weight / sum(weights) for weight in weights]
    return {
        "cross_entropy": added(share * region.cross_entropy(logits) for share, logits in zip(shares, levels)),
        "dice": added(share * region.dice(logits) for share, logits in zip(shares, levels)),
    }


def squared_distances(pairs: Iterable[Pair], like: Tensor) -> Tensor:
    """Sum over the pairs of the mean squared difference, in float32 or float64, neither side detached; without pairs 0, on the device of `like`."""
    zero = like.new_zeros((), dtype=torch.float32)
    return added([zero, *(F.mse_loss(exact(first), exact(second)) for first, second in pairs)])


def added(terms: Iterable[Tensor]) -> Tensor:
    """The sum of one or more tensors."""
    return reduce(torch.add, terms)


def exact(x: Tensor) -> Tensor:
    """x as float32, or unchanged if it is float64."""
    return x if x.dtype == torch.float64 else x.float()
