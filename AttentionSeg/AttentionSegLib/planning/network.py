"""Which size of a network and of its patches suits the data and the computer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from ..errors import InputError
from ..networks import network_class
from ..networks.contract import Variant
from .budget import Budget, NetworkCost, NetworkSpec
from .grid import largest_patch

# Optimizer steps below which little is learned: the patch is chosen so that there is time for them.
STEPS_WANTED = 2500
BATCH = 2
LARGEST_PATCH, LEAST_PATCH = 192**3, 16**3
# A patch of a whole scan should have as many voxels as one of so many along each axis; one of a crop should show all of it.
USEFUL_PATCH = 32
SMALLER = 0.95


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


def plan_network(spec: NetworkSpec, field: Sequence[int], spacing: Sequence[float], is_region: bool, budget: Budget) -> NetworkPlan:
    """The best variant of a network whose patches are of use, with the largest patch for which memory and time suffice.

    Args:
        spec: of the network.
        field: working voxels of the median scan.
        spacing: in mm.
        is_region: whether the scans are crops around a structure.
        budget: memory and time.

    Raises:
        InputError: if there is no network of this name, or none for volumes.
    """
    network, plans = network_class(spec.name), []
    if 3 not in network.dimensions:
        msg = f"The network '{spec.name}' takes 2D images only, and plans are made for volumes; write the recipe by hand, or choose another network."
        raise InputError(msg)
    for variant in network.variants(budget.kind):
        plan = _with_largest_patch(spec, variant, field, spacing, budget)
        plans.append(plan)
        whole = largest_patch(field, spacing, LARGEST_PATCH, variant.patch_step)
        if plan.fits and prod(plan.patch) >= prod(whole if is_region else np.minimum(whole, USEFUL_PATCH)):
            return plan
    return plans[-1]


def _with_largest_patch(spec: NetworkSpec, variant: Variant, field: Sequence[int], spacing: Sequence[float], budget: Budget) -> NetworkPlan:
    patch = largest_patch(field, spacing, LARGEST_PATCH, variant.patch_step)
    while True:
        arguments = variant.arguments(patch, spacing)
        cost = spec.cost(arguments)
        smaller = patch
        while not _fits(cost, smaller, budget):
            shrunk = largest_patch(field, spacing, max(LEAST_PATCH, SMALLER * prod(smaller)), variant.patch_step)
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
