"""Planning of fine-tuning: the network and grid of the trained model are kept, so that its weights can be used."""

from __future__ import annotations

from math import prod

import numpy as np

from ..errors import InputError
from ..models import Card
from .budget import Budget, NetworkSpec
from .grid import ORIENTATION
from .network import BATCH, NetworkPlan

# Fraction of the learning rate of a training from scratch.
RATE_SHARE = 0.3


def check_same_network(start: Card, network: str) -> None:
    """Raise InputError unless a model is of a network."""
    if start.network != network:
        msg = f"The model {start.id} is a network '{start.network}', not '{network}'; start from a model of the same network."
        raise InputError(msg)


def check_start(start: Card, network: str, channels: int, backbone: str | None) -> None:
    """Raise InputError unless a training of a network with `channels` scans per case can start from a model."""
    msg = None
    check_same_network(start, network)
    if len(start.inputs) != channels:
        msg = f"The model {start.id} takes {len(start.inputs)} scan(s) of a case, and the data has {channels}; start from a model of as many."
    elif backbone is not None:
        msg = f"The model {start.id} has a backbone already; leave out {backbone}, or the model to start from."
    elif start.orientation != ORIENTATION:
        msg = f"The model {start.id} has its axes in the order {start.orientation}, and plans are made for {ORIENTATION}; start from another model."
    if msg:
        raise InputError(msg)


def network_of(start: Card, spec: NetworkSpec, budget: Budget, notes: list[str]) -> tuple[NetworkPlan, np.ndarray]:
    """The network and patches of a model, with their cost, and the spacing in mm."""
    cost = spec.cost(start.network_arguments)
    voxels, batch = prod(start.patch_size), BATCH[spec.dimensions]
    notes.append(f"Network, spacing, patches and normalization are those of {start.id} {start.version}, whose weights it starts from.")
    fits = cost.step_bytes(voxels, batch) <= budget.usable_bytes
    plan = NetworkPlan(start.network_arguments, tuple(start.patch_size), cost, budget.seconds(cost.step_flops(voxels, batch)), fits)
    return plan, np.array(start.spacing)
