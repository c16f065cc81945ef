"""What a training may take of a computer, and what a network takes."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from ..inference.devices import choose_device
from ..networks import Network, build_network

# Where the system does not tell.
ASSUMED_MEMORY = 8 * 2**30
CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
# Large enough for the device to show its speed; small enough on the CPU for one product to get through while other programs wait their turn.
MATRIX = {"cpu": 384, "gpu": 4096}
MEASURED_SECONDS = 0.3
# Of the rate of matrix products, what a training step reaches. On a CPU: 0.18 with 8 channels at the finest level, 0.33 with 16 and 0.46 with
# 32. For GPUs a guess.
EFFICIENCY = {"cpu": 0.15, "gpu": 0.1}
# Of the memory there is. On the CPU the system and the prepared scans want theirs.
MEMORY_SHARE = {"cpu": 0.4, "gpu": 0.8}
# Of the time; the rest goes to validation and to the start.
TRAINING_SHARE = 0.8
# Over what is kept for the backward pass: gradients and work space.
TRANSIENT = 1.5
# Weights, their gradients, two moments of AdamW and the average, of 4 bytes each.
BYTES_PER_PARAMETER = 20
BACKWARD = 3


@dataclass(frozen=True)
class Budget:
    """What a training may take.

    Attributes:
        kind: of the device, `cpu` or `gpu`.
        memory_bytes: that the device has.
        flops_per_second: floating-point operations in products of float32 matrices.
        hours: that the training may take.
        device: to try a step of the training out on; None to go by the estimates.
    """

    kind: str
    memory_bytes: int
    flops_per_second: float
    hours: float = 3.0
    device: torch.device | None = None

    @classmethod
    def measure(cls, device: str = "auto", hours: float = 3.0) -> Budget:
        """That of a device of this computer (see `choose_device`), in a third of a second. Raises InputError if it is not there."""
        chosen = choose_device(device)
        memory = torch.cuda.mem_get_info(chosen)[0] if chosen.type == "cuda" else _main_memory()
        kind = "cpu" if chosen.type == "cpu" else "gpu"
        return cls(kind, memory, _matrix_rate(chosen, MATRIX[kind]), hours, chosen)

    @property
    def usable_bytes(self) -> float:
        return MEMORY_SHARE[self.kind] * self.memory_bytes

    @property
    def training_seconds(self) -> float:
        return TRAINING_SHARE * 3600 * self.hours

    def seconds(self, flops: float) -> float:
        """How long so many operations of a network take, rather too long than too short."""
        return flops / (EFFICIENCY[self.kind] * self.flops_per_second)


@dataclass(frozen=True)
class NetworkCost:
    """What a network takes for a patch of V voxels: a V + b V^2 operations forward, and c V bytes that the backward pass needs.

    Attributes:
        linear, quadratic: a and b; b is that of attention between positions.
        bytes_per_voxel: c.
        parameters: how many it has.
    """

    linear: float
    quadratic: float
    bytes_per_voxel: float
    parameters: int

    def forward_flops(self, voxels: int) -> float:
        return self.linear * voxels + self.quadratic * voxels**2

    def step_flops(self, voxels: int, batch: int) -> float:
        """Of one training step."""
        return BACKWARD * batch * self.forward_flops(voxels)

    def step_bytes(self, voxels: int, batch: int) -> float:
        """Memory of one training step."""
        return TRANSIENT * batch * self.bytes_per_voxel * voxels + BYTES_PER_PARAMETER * self.parameters


@dataclass(frozen=True)
class NetworkSpec:
    """A network but for its size.

    Attributes:
        name: a key of `NETWORKS`.
        in_channels, out_channels: scans of a case, and of the neighbors of a slice; labels and background.
        backbone: name of a pretrained one that it has; None to choose its size by data and computer.
        axis: of the patch, across the slices of a 2D network; None for a network of volumes.
    """

    name: str
    in_channels: int
    out_channels: int
    axis: int | None = None
    backbone: str | None = None

    @property
    def dimensions(self) -> int:
        return 3 if self.axis is None else 2

    def seen(self, sizes: Sequence[Any]) -> tuple[Any, ...]:
        """Of what there is for each axis of a patch, that for the axes of the network."""
        return tuple(size for axis, size in enumerate(sizes) if axis != self.axis)

    def build(self, arguments: dict[str, Any]) -> Network:
        """The network with these arguments. InputError as of `build_network`."""
        return build_network(self.name, self.in_channels, self.out_channels, arguments)

    def cost(self, arguments: dict[str, Any]) -> NetworkCost:
        """Count on tensors without contents what the network does. InputError as of `build_network`."""
        return _network_cost(self, json.dumps(arguments, sort_keys=True))


@lru_cache(maxsize=64)
def _network_cost(spec: NetworkSpec, arguments: str) -> NetworkCost:
    with torch.device("meta"):
        network = spec.build(json.loads(arguments))
    # Few voxels, but whole ones at every level and more than one at the deepest, so that nothing is padded.
    shape = [voxels * stride for voxels, stride in zip((2, 2, 4)[-spec.dimensions :], network.total_stride)]
    voxels, parameters = prod(shape), sum(parameter.numel() for parameter in network.parameters())
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor), FlopCounterMode(display=False) as counter:
        # Until everything is counted, the output keeps alive what was kept, so that no two have one address.
        output = network(torch.empty(1, spec.in_channels, *shape, device="meta"), return_attention=())
        flops, activations = counter.get_total_flops(), max(0, sum(kept.values()) - 4 * parameters)
    del output
    # Attention between positions; that between channels is among them, and little.
    products = counter.get_flop_counts()["Global"].get(torch.ops.aten.bmm, 0)
    return NetworkCost((flops - products) / voxels, products / voxels**2, activations / voxels, parameters)


def _main_memory() -> int:
    if not hasattr(os, "sysconf"):
        return ASSUMED_MEMORY
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = CGROUP_LIMIT.read_text().strip() if CGROUP_LIMIT.is_file() else "max"
    return min(memory, int(limit)) if limit.isdigit() else memory


def _matrix_rate(device: torch.device, size: int) -> float:
    """Operations per second of the best of many products, so that a plan does not depend on how busy the computer was for a moment."""
    matrix = torch.randn(size, size, device=device)
    best, start = 0.0, time.monotonic()
    while time.monotonic() - start < MEASURED_SECONDS or not best:
        before = time.monotonic()
        # Reading a number waits for the device.
        (matrix @ matrix)[0, 0].item()
        best = max(best, 2 * size**3 / (time.monotonic() - before))
    return best
