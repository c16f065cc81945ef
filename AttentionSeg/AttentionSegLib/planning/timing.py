"""Timing of a training step of a network on this computer."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..errors import InputError, memory_for
from ..networks import Network
from ..networks.small_convolutions import halve_convolutions
from ..networks.supervision import added
from ..progress import Cancel, check_cancel
from .budget import NetworkSpec, one_thread

# Steps that are timed, after a first one that allocates memory.
STEPS = 2
# Factor on the time of a step for what grows with its patches: reading and changing their voxels, averaging weights.
OVERHEAD = 1.25
# Making a patch takes as long as this many additions of two numbers, besides what grows with its voxels. Measured: 3.4 ms on an AMD EPYC.
PATCH_OPERATIONS = 1400
WORKERS_VARIABLE = "ATTENTIONSEG_WORKERS"
MOST_WORKERS = 4
# Part of the processors that the threads of a step use.
PARALLEL = 0.7


class StepTime(NamedTuple):
    """Seconds of a training step; a note if other programs kept the processors busy, which the seconds do not include; and seconds that the step
    then waits for its next patches."""

    seconds: float
    note: str = ""
    waiting: float = 0.0


def measured_step(
    spec: NetworkSpec, arguments: dict[str, Any], patch: Sequence[int], batch: int, device: torch.device, cancel: Cancel | None = None
) -> StepTime:
    """The time of a training step, measured on noise.

    Args:
        spec, arguments: of the network.
        patch: voxels along each axis.
        batch: patches per step.
        device: to train on.
        cancel: called before each step.

    Raises:
        OutOfMemory: if the device has too little memory.
        Cancelled: if `cancel` returned True.
    """
    with memory_for(f"a training step on {device} of the network that was planned", "close other programs that use it, and start again"):
        network = spec.build(arguments).to(device).train()
        halve_convolutions(network)
        optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)
        image = torch.randn(batch, spec.in_channels, *patch, device=device)

        def step() -> None:
            check_cancel(cancel, "planning")
            _step(network, optimizer, image)

        step()
        waiting = 0.0 if patch_workers() else batch * _patch_seconds()
        seconds = OVERHEAD * _mean(step, time.monotonic)
        load = _load_of_others() if device.type == "cpu" else 0.0
        count = processors()
        if load + torch.get_num_threads() <= count + 0.5:
            return StepTime(seconds, waiting=waiting)
        with one_thread() as threads:
            # Backward passes on the CPU run in the thread that asks for them.
            alone = min(seconds, OVERHEAD * _mean(step, time.thread_time) / max(1.0, PARALLEL * threads))
    return StepTime(
        alone,
        f"Other programs keep this computer busy (load {load:.1f} on {count} processors): a step takes {seconds:.2g} s now, and the plan counts "
        f"on {alone:.2g} s without them.",
        waiting,
    )


def patch_workers() -> int:
    """How many processes make patches beside a training: none in Slicer, which each of them would start again, and on few cores.

    Raises InputError if the environment variable ATTENTIONSEG_WORKERS, which sets their number, is not a number of processes.
    """
    given = os.environ.get(WORKERS_VARIABLE)
    if given is not None and not given.isdecimal():
        msg = f"{WORKERS_VARIABLE} is '{given}'; set it to a whole number of processes of at least 0."
        raise InputError(msg)
    return int(given) if given is not None else 0 if "slicer" in sys.modules else min(MOST_WORKERS, max(0, processors() - 2))


def _patch_seconds() -> float:
    """Seconds for making a patch of few voxels, by a processor that does nothing else."""
    one, start = torch.ones(1), time.thread_time()
    for _ in range(PATCH_OPERATIONS):
        one + 1
    return time.thread_time() - start


def _mean(step: Callable[[], None], clock: Callable[[], float]) -> float:
    start = clock()
    for _ in range(STEPS):
        step()
    return (clock() - start) / STEPS


def _load_of_others() -> float:
    """How many processors other programs have used or waited for in the last minute; 0 on Windows, which does not say."""
    return max(0.0, os.getloadavg()[0] - 1) if hasattr(os, "getloadavg") else 0.0


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _AnyRegion:
    """A stand-in for a `RegionLoss` without labels: for timing, any loss value will do."""

    def cross_entropy(self, logits: Tensor) -> Tensor:
        return logits.float().square().mean()

    dice = cross_entropy


def _step(network: Network, optimizer: torch.optim.Optimizer, image: Tensor) -> None:
    optimizer.zero_grad()
    # Always "cuda", because autocast before torch 2.5 rejects "mps" even if it is disabled.
    with torch.autocast("cuda", enabled=image.device.type == "cuda"):
        loss = added(network.loss_terms(network(image, return_attention=()), _AnyRegion()).values())
    loss.backward()
    optimizer.step()
    # Reading a number waits for the device.
    loss.item()
