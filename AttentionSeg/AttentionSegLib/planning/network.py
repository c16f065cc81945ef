"""Which size of a network and of its patches suits the data and the computer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from ..errors import InputError
from .budget import Budget, NetworkCost, network_cost
from .grid import largest_patch

# Optimizer steps below which little is learned: the patch is chosen so that there is time for them.
STEPS_WANTED = 2500
BATCH = 2
LARGEST_PATCH, LEAST_PATCH = 192**3, 16**3
# A patch of a whole scan should have as many voxels as one of so many along each axis; one of a crop should show all of it.
USEFUL_PATCH = 32
SMALLER = 0.95
LEVELS = 5
MOST_CHANNELS = 256
# Voxels along an axis of the deepest level.
DEEPEST = 4
# Features of the finest level of Attention U-Net, best first.
UNET_CHANNELS = {"cpu": (16, 8), "gpu": (32, 16)}
# Of guided attention: depth and width of the backbone, channels of the attention, and strides of the stem, best first.
GUIDED = {"cpu": (18, 0.25, 16), "gpu": (18, 1.0, 64)}
STEM_STRIDES = (2, 4)
# Stride of guided attention's code per stride of its stem.
CODE_STRIDE = 4

# A patch and its spacing to the arguments of a network.
Arguments = Callable[[Sequence[int], Sequence[float]], dict[str, Any]]


@dataclass(frozen=True)
class NetworkPlan:
    """A network and its patches.

    Attributes:
        arguments: of the network.
        patch: working voxels.
        cost: of the network.
        step_seconds: that a training step takes by estimate.
        fits: whether memory and time suffice.
    """

    arguments: dict[str, Any]
    patch: tuple[int, int, int]
    cost: NetworkCost
    step_seconds: float
    fits: bool


def plan_network(
    name: str, field: Sequence[int], spacing: Sequence[float], is_region: bool, channels: int, classes: int, budget: Budget
) -> NetworkPlan:
    """The best network of a kind whose patches are of use, with the largest patch for which memory and time suffice.

    Args:
        name: `attention-unet` or `guided-attention`.
        field: working voxels of the median scan.
        spacing: in mm.
        is_region: whether the scans are crops around a structure.
        channels: of the input.
        classes: labels and background.
        budget: memory and time.

    Raises:
        InputError: if there is no plan for a network of this name.
    """
    plans = []
    for arguments_for, step in _candidates(name, budget):
        plan = _with_largest_patch(name, arguments_for, step, field, spacing, channels, classes, budget)
        plans.append(plan)
        whole = largest_patch(field, spacing, LARGEST_PATCH, step)
        if plan.fits and prod(plan.patch) >= prod(whole if is_region else np.minimum(whole, USEFUL_PATCH)):
            return plan
    return plans[-1]


def _with_largest_patch(
    name: str, arguments_for: Arguments, step: int | None, field: Sequence[int], spacing: Sequence[float], channels: int, classes: int, budget: Budget
) -> NetworkPlan:
    patch = largest_patch(field, spacing, LARGEST_PATCH, step)
    while True:
        arguments = arguments_for(patch, spacing)
        cost = network_cost(name, channels, classes, arguments)
        smaller = patch
        while not _fits(cost, smaller, budget):
            shrunk = largest_patch(field, spacing, max(LEAST_PATCH, SMALLER * prod(smaller)), step)
            if shrunk == smaller:
                break
            smaller = shrunk
        # A smaller patch may have fewer levels, and so another cost.
        if smaller == patch:
            return NetworkPlan(arguments, patch, cost, budget.seconds(cost.step_flops(prod(patch), BATCH)), _fits(cost, patch, budget))
        patch = smaller


def _fits(cost: NetworkCost, patch: Sequence[int], budget: Budget) -> bool:
    seconds = budget.seconds(cost.step_flops(prod(patch), BATCH))
    return seconds * STEPS_WANTED <= budget.training_seconds and cost.step_bytes(prod(patch), BATCH) <= budget.usable_bytes


def _candidates(name: str, budget: Budget) -> Iterator[tuple[Arguments, int | None]]:
    """Ways to make the arguments, best first, and the step that each wants its patches in."""
    if name == "attention-unet":
        return ((_unet_arguments(first), None) for first in UNET_CHANNELS[budget.kind])
    if name == "guided-attention":
        return ((_guided_arguments(stride, *GUIDED[budget.kind]), CODE_STRIDE * stride) for stride in STEM_STRIDES)
    msg = f"There is no plan for a network '{name}'; choose attention-unet or guided-attention."
    raise InputError(msg)


def _unet_arguments(first: int) -> Arguments:
    def arguments(patch: Sequence[int], spacing: Sequence[float]) -> dict[str, Any]:
        strides = _strides(patch, spacing)
        channels = [min(first * 2**level, MOST_CHANNELS) for level in range(len(strides) + 1)]
        anisotropic = {} if all(stride == [2, 2, 2] for stride in strides) else {"strides": strides}
        return {"spatial_dims": 3, "channels": channels, **anisotropic, "norm": "instance", "gate": "grid", "deep_supervision": True}

    return arguments


def _strides(patch: Sequence[int], spacing: Sequence[float]) -> list[list[int]]:
    """Halve what is even and long enough, but no axis that is still more than twice as coarse as the finest one (Isensee et al. 2021)."""
    size, mm = list(patch), [float(s) for s in spacing]
    strides: list[list[int]] = []
    while len(strides) < LEVELS - 1:
        stride = [2 if n % 2 == 0 and n // 2 >= DEEPEST and s <= 2 * min(mm) else 1 for n, s in zip(size, mm)]
        if stride == [1, 1, 1]:
            break
        strides.append(stride)
        size, mm = [n // by for n, by in zip(size, stride)], [s * by for s, by in zip(mm, stride)]
    # A crop of a few voxels has two levels as well.
    return strides or [[1, 1, 1]]


def _guided_arguments(stem_stride: int, backbone: int, backbone_width: float, width: int) -> Arguments:
    arguments = {
        "spatial_dims": 3,
        "backbone": backbone,
        "backbone_width": backbone_width,
        "stem_stride": stem_stride,
        "width": width,
        "norm": "instance",
    }
    return lambda _patch, _spacing: arguments
