"""Memory and time that a computer has for a training, and that a network needs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any

import torch
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from ..inference.devices import choose_device
from ..inference.memory_estimate import main_memory
from ..networks import Network, build_network

# Size of the matrices that are multiplied to measure speed: large enough for the full speed of the device; on the CPU small enough that a product
# finishes before other programs interrupt it.
MATRIX = {"cpu": 384, "gpu": 4096}
MEASURED_SECONDS = 0.3
# Fraction of the rate of matrix products that a training step reaches. Measured on a CPU: 0.18 with 8 channels at the finest level, 0.33 with 16
# and 0.46 with 32. For GPUs a guess.
EFFICIENCY = {"cpu": 0.15, "gpu": 0.1}
# Fraction of the memory for training steps. On the CPU the system and the prepared scans need memory too.
MEMORY_SHARE = {"cpu": 0.4, "gpu": 0.8}
# Fraction of the time for training steps; the rest is for validation and the start.
TRAINING_SHARE = 0.8
# Factor on the memory kept for the backward pass, for gradients and work space.
TRANSIENT = 1.5
# Weights, their gradients, two moments of AdamW and the average, of 4 bytes each.
BYTES_PER_PARAMETER = 20
BACKWARD = 3


@dataclass(frozen=True)
class Budget:
    """Memory, speed and time for a training.

    Attributes:
        kind: of the device, `cpu` or `gpu`.
        memory_bytes: of the device.
        flops_per_second: floating-point operations in products of float32 matrices.
        hours: for the training.
        device: on which to time a training step; None to rely on the estimates.
    """

    kind: str
    memory_bytes: int
    flops_per_second: float
    hours: float = 3.0
    device: torch.device | None = None

    @classmethod
    def measure(cls, device: str = "auto", hours: float = 3.0) -> Budget:
        """Measure a device of this computer (see `choose_device`); takes a third of a second. Raises InputError if it does not exist."""
        chosen = choose_device(device)
        memory = torch.cuda.mem_get_info(chosen)[0] if chosen.type == "cuda" else main_memory()
        kind = "cpu" if chosen.type == "cpu" else "gpu"
        return cls(kind, memory, _matrix_rate(chosen, MATRIX[kind]), hours, chosen)

    @property
    def usable_bytes(self) -> float:
        return MEMORY_SHARE[self.kind] * self.memory_bytes

    @property
    def training_seconds(self) -> float:
        return TRAINING_SHARE * 3600 * self.hours

    def seconds(self, flops: float) -> float:
        """Estimated time for a number of operations of a network, rather too long than too short."""
        return flops / (EFFICIENCY[self.kind] * self.flops_per_second)


@dataclass(frozen=True)
class NetworkCost:
    """Cost of a network for a patch of V voxels: a V + b V^2 operations in the forward pass, and c V bytes kept for the backward pass.

    Attributes:
        linear, quadratic: a and b; b is from attention between positions.
        bytes_per_voxel: c.
        parameters: number of parameters.
    """

    linear: float
    quadratic: float
    bytes_per_voxel: float
    parameters: int

    def forward_flops(self, voxels: int) -> float:
        return self.linear * voxels + self.quadratic * voxels**2

    def step_flops(self, voxels: int, batch: int) -> float:
        """Operations of one training step."""
        return BACKWARD * batch * self.forward_flops(voxels)

    def step_bytes(self, voxels: int, batch: int) -> float:
        """Memory of one training step."""
        return TRANSIENT * batch * self.bytes_per_voxel * voxels + BYTES_PER_PARAMETER * self.parameters


@dataclass(frozen=True)
class NetworkSpec:
    """A network without its size.

    Attributes:
        name: a key of `NETWORKS`.
        in_channels: scans of a case, for 2D networks also of neighboring slices.
        out_channels: labels and background.
        backbone: name of a pretrained backbone; None to choose the size by data and computer.
        axis: of the patch, perpendicular to the slices of a 2D network; None for a 3D network.
    """

    name: str
    in_channels: int
    out_channels: int
    axis: int | None = None
    backbone: str | None = None

    @property
    def dimensions(self) -> int:
        return 3 if self.axis is None else 2

    def seen(self, sizes: Iterable[Any]) -> tuple[Any, ...]:
        """The entries for the axes of the network, from one entry per axis of a patch."""
        return tuple(size for axis, size in enumerate(sizes) if axis != self.axis)

    def build(self, arguments: dict[str, Any]) -> Network:
        """The network with these arguments. Errors are those of `build_network`."""
        return build_network(self.name, self.in_channels, self.out_channels, arguments)

    def cost(self, arguments: dict[str, Any]) -> NetworkCost:
        """Count the network's operations and memory on meta tensors. Errors are those of `build_network`."""
        return _network_cost(self, json.dumps(arguments, sort_keys=True))


@lru_cache(maxsize=64)
def _network_cost(spec: NetworkSpec, arguments: str) -> NetworkCost:
    with torch.device("meta"):
        network = spec.build(json.loads(arguments))
    # A small patch, but a multiple of all strides and more than one voxel at the deepest level, so that nothing is padded.
    shape = [voxels * stride for voxels, stride in zip((2, 2, 4)[-spec.dimensions :], network.total_stride)]
    voxels, parameters = prod(shape), sum(parameter.numel() for parameter in network.parameters())
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor), FlopCounterMode(display=False) as counter:
        # The output is kept until everything is counted, so that no two saved tensors have the same address.
        output = network(torch.empty(1, spec.in_channels, *shape, device="meta"), return_attention=())
        flops, activations = counter.get_total_flops(), max(0, sum(kept.values()) - 4 * parameters)
    del output
    # Attention between positions, and a little between channels.
    products = counter.get_flop_counts()["Global"].get(torch.ops.aten.bmm, 0)
    return NetworkCost((flops - products) / voxels, products / voxels**2, activations / voxels, parameters)


@contextmanager
def one_thread() -> Iterator[int]:
    """Compute with one thread in this block; yields how many there are outside of it.

    Threads wait for the slowest of them, and where other programs hold that up, two can be twenty times as slow as one.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield threads
    finally:
        torch.set_num_threads(threads)


def _matrix_rate(device: torch.device, size: int) -> float:
    """Operations per second, on a CPU of one thread times their number: the fastest of many products, so that a plan does not depend on what else the
    computer is doing."""
    matrix = torch.randn(size, size, device=device)
    best, start = 0.0, time.monotonic()
    with one_thread() as threads:
        while time.monotonic() - start < MEASURED_SECONDS or not best:
            before = time.monotonic()
            # Reading a number waits for the device.
            (matrix @ matrix)[0, 0].item()
            best = max(best, 2 * size**3 / (time.monotonic() - before))
    return best * (threads if device.type == "cpu" else 1)
