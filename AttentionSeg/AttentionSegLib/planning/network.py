"""Planning of the size of a network and of its patches, by the data and the computer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from ..datasets.survey import Survey
from ..errors import InputError
from ..networks import Network, network_class, published_variant
from ..networks.contract import Variant
from ..progress import Cancel, check_cancel
from .budget import Budget, NetworkCost, NetworkSpec
from .grid import coarser_spacing, field_voxels, in_mm, largest_patch, median_spacing

# Optimizer steps that a training should have, for which patches are made smaller, and those that it must have, for which they are made smaller still.
STEPS_WANTED, STEPS_NEEDED = 2500, 250
# Patches per step, in 2D and 3D.
BATCH = {2: 8, 3: 2}
LARGEST_PATCH, LEAST_PATCH = {2: 1024**2, 3: 192**3}, {2: 64**2, 3: 16**3}
# Smaller ones see too little to be worth more steps, and take far more time per voxel.
SMALL_PATCH = {2: 128**2, 3: 32**3}
# A patch of a whole scan should have as many voxels as a cube (or square) with this edge; one of a crop should cover all of it.
USEFUL_PATCH = {2: 256, 3: 32}
SMALLER = 0.95


@dataclass(frozen=True)
class NetworkPlan:
    """A network and its patches.

    Attributes:
        arguments: of the network.
        patch: working voxels; 1 perpendicular to the slices of a 2D network.
        cost: of the network.
        step_seconds: estimated time of a training step.
        fits: whether memory and time suffice.
        waiting_seconds: time that a step waits for its patches, if it was measured.
    """

    arguments: dict[str, Any]
    patch: tuple[int, ...]
    cost: NetworkCost
    step_seconds: float
    fits: bool
    waiting_seconds: float = 0.0


def plan_grid_and_network(
    survey: Survey, spec: NetworkSpec, is_region: bool, budget: Budget, notes: list[str], cancel: Cancel | None
) -> tuple[NetworkPlan, np.ndarray]:
    """The network with its patches, and the spacing in mm: coarser than that of the scans if a patch would cover too little of the largest label.

    Args:
        survey: of the cases.
        spec: of the network.
        is_region: whether the scans are crops around a structure.
        budget: memory and time.
        notes: sentences are added to them.
        cancel: called before each spacing that is tried.

    Raises:
        InputError: if there is no network of this name and number of dimensions.
    """
    cases = survey.train
    spacing = median_spacing(cases)
    why = f"the median of {len(cases)} cases"
    while True:
        check_cancel(cancel, "planning")
        found = _plan_network(spec, field_voxels(cases, spacing), spacing, is_region, budget)
        coarser = coarser_spacing(cases, spacing, found.patch, spec.axis)
        if coarser is None:
            break
        spacing, why = (
            coarser,
            f"coarser than the median of {len(cases)} cases ({in_mm(median_spacing(cases))}), so that a patch sees enough of the largest label",
        )
    notes.append(f"Spacing {in_mm(spacing)}: {why}.")
    size, mm = (" x ".join(f"{n:.4g}" for n in numbers) for numbers in (found.patch, np.multiply(found.patch, spacing)))
    notes.append(f"Patches of {size} voxels ({mm} mm), for scans of {' x '.join(map(str, field_voxels(cases, spacing)))} voxels in the median.")
    shown = network_class(spec.name).size_arguments
    widths = ", ".join(f"{key} {value}" for key, value in found.arguments.items() if key in shown)
    memory = found.cost.step_bytes(prod(found.patch), BATCH[spec.dimensions]) / 2**30
    notes.append(f"Network {spec.name} ({widths}), {found.cost.parameters / 1e6:.2g} million parameters; a step takes about {memory:.2g} GiB.")
    if not found.fits and _fits(spec, found.cost, found.patch, budget, STEPS_NEEDED):
        notes.append(f"There is no time for {STEPS_WANTED} steps even with small patches; use a GPU, give more hours, or expect a weak model.")
    elif not found.fits:
        notes.append("Even the smallest patches are too much for memory or time here; use a GPU, give more hours, or expect a weak model.")
    return found, spacing


def _plan_network(spec: NetworkSpec, field: np.ndarray, spacing: np.ndarray, is_region: bool, budget: Budget) -> NetworkPlan:
    """The best variant of a network with patches that are large enough, with the largest patch for which memory and time suffice.

    `field`: working voxels of the median scan; `spacing`: in mm.
    """
    network, plans = network_class(spec.name), []
    if spec.dimensions not in network.dimensions:
        have, lacks = ("2D", "volumes (--slices none)") if spec.axis is None else ("3D", "slices (--slices)")
        msg = f"The network '{spec.name}' exists in {have} only, and the plan is for {lacks}; change that, or choose another network."
        raise InputError(msg)
    for variant in _variants(network, spec, budget):
        plan = _with_largest_patch(spec, variant, field, spacing, budget)
        plans.append(plan)
        whole = _largest(spec, field, spacing, LARGEST_PATCH[spec.dimensions], variant.patch_step)
        if plan.fits and prod(plan.patch) >= prod(whole if is_region else np.minimum(whole, USEFUL_PATCH[spec.dimensions])):
            return plan
    return plans[-1]


def _variants(network: type[Network], spec: NetworkSpec, budget: Budget) -> Sequence[Variant]:
    if spec.backbone is None:
        return network.variants(budget.kind)
    return [published_variant(spec.name, spec.backbone)]


def _with_largest_patch(spec: NetworkSpec, variant: Variant, field: np.ndarray, spacing: np.ndarray, budget: Budget) -> NetworkPlan:
    patch = _largest(spec, field, spacing, LARGEST_PATCH[spec.dimensions], variant.patch_step)
    while True:
        arguments = variant.arguments(spec.seen(patch), spec.seen(spacing))
        cost = spec.cost(arguments)
        smaller = patch
        for steps, least in ((STEPS_WANTED, SMALL_PATCH), (STEPS_NEEDED, LEAST_PATCH)):
            while not _fits(spec, cost, smaller, budget, steps):
                most = max(least[spec.dimensions], SMALLER * prod(smaller))
                shrunk = smaller if most >= prod(smaller) else _largest(spec, field, spacing, most, variant.patch_step)
                if shrunk == smaller:
                    break
                smaller = shrunk
        # With a smaller patch the network may have fewer levels, and so another cost.
        if smaller == patch:
            seconds = budget.seconds(cost.step_flops(prod(patch), BATCH[spec.dimensions]))
            return NetworkPlan(arguments, patch, cost, seconds, _fits(spec, cost, patch, budget))
        patch = smaller


def _largest(spec: NetworkSpec, field: np.ndarray, spacing: np.ndarray, most_voxels: float, step: int | None) -> tuple[int, ...]:
    """See `largest_patch`; with 1 voxel perpendicular to slices."""
    patch = list(largest_patch(spec.seen(field), spec.seen(spacing), most_voxels, step))
    return tuple(patch if spec.axis is None else [*patch[: spec.axis], 1, *patch[spec.axis :]])


def _fits(spec: NetworkSpec, cost: NetworkCost, patch: Sequence[int], budget: Budget, steps: int = STEPS_WANTED) -> bool:
    voxels, batch = prod(patch), BATCH[spec.dimensions]
    seconds = budget.seconds(cost.step_flops(voxels, batch))
    return seconds * steps <= budget.training_seconds and cost.step_bytes(voxels, batch) <= budget.usable_bytes
