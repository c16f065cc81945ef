"""Time, memory and differences of contenders, measured side by side."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from AttentionSegLib.inference.openvino_network import openvino_available
from AttentionSegLib.networks.position_attention import PositionAttention
from benchmarks.contenders import (
    ACCELERATED,
    GUIDED,
    NETWORKS,
    OPENVINO,
    PLAIN,
    PUBLISHED,
    UNET,
    WHOLE_MATRIX,
    Contender,
    MatrixAttention,
    Setting,
    attention_pass,
    prediction,
)
from benchmarks.memory import peak_extra_megabytes
from benchmarks.operations import gigaflops
from benchmarks.timing import medians
from torch import Tensor

# Largest difference from the reference, as a share of the standard deviation of that. A gradient is a sum over all positions.
ATTENTION_LIMITS = {"output": 1e-4, "gradient": 1e-3}
LIMITS = {ACCELERATED: 1e-4, OPENVINO: 1e-3, WHOLE_MATRIX: 1e-3}
# Rows and columns of the product that stands for the rate a machine is capable of.
MATRIX = 2048


@dataclass(frozen=True)
class AttentionResult:
    """One pass of position attention (ours) and of its whole matrix (other); memory is None where it cannot be measured."""

    ours_seconds: float
    other_seconds: float
    ours_megabytes: float | None
    other_megabytes: float | None


@dataclass(frozen=True)
class NetworkResult:
    """A forward pass of a network.

    Attributes:
        megabytes: peak extra memory; None where it cannot be measured.
        gigaflops: as the plain network has them.
        difference: from the plain network's logits, as a share of their standard deviation; None for the plain network and for MONAI's.
    """

    contender: Contender
    size: tuple[int, ...]
    seconds: float
    megabytes: float | None
    gigaflops: float
    difference: float | None


def measure_attention(size: Sequence[int], backward: bool, repeats: int, setting: Setting) -> AttentionResult:
    """Position attention over a grid, without or with the backward pass. Ends the program if the two differ."""
    prepare = [partial(attention_pass, kind, size, backward, setting) for kind in (PositionAttention, MatrixAttention)]
    runs = [make() for make in prepare]
    for (what, limit), computed, expected in zip(ATTENTION_LIMITS.items(), *(run() for run in runs)):
        check(f"position attention's {what} at {'x'.join(map(str, size))}", relative_difference(computed, expected), limit, setting)
    seconds = medians(runs, repeats, setting.device)
    runs.clear()
    return AttentionResult(*seconds, *(peak_extra_megabytes(make, setting.device) for make in prepare))


def measure_networks(names: Sequence[str], size: Sequence[int], repeats: int, setting: Setting) -> list[NetworkResult]:
    """Networks with the same input, ours in all variants. Ends the program if a variant differs from its plain network."""
    contenders = [Contender(name, variant) for name in names for variant in variants(name, setting)]
    prepare = [partial(prediction, contender, size, setting) for contender in contenders]
    runs = [make() for make in prepare]
    differences: list[float | None] = []
    reference = None
    for contender, run in zip(contenders, runs):
        if contender.variant == PLAIN:
            reference = run()
            differences.append(None)
        else:
            differences.append(relative_difference(run(), reference))
            check(str(contender), differences[-1], LIMITS[contender.variant], setting)
    seconds = medians(runs, repeats, setting.device)
    runs.clear()
    megabytes = [peak_extra_megabytes(make, setting.device) for make in prepare]
    operations = {name: gigaflops(NETWORKS[name](), (1, 1, *size)) for name in names}
    return [NetworkResult(c, tuple(size), s, mb, operations[c.network], d) for c, s, mb, d in zip(contenders, seconds, megabytes, differences)]


def variants(name: str, setting: Setting) -> list[str]:
    """Those of a network that there are here; the plain one first."""
    if name == PUBLISHED:
        return [PLAIN, WHOLE_MATRIX]
    arranged = [ACCELERATED, *([OPENVINO] if setting.device.type == "cpu" and openvino_available() else [])]
    return [PLAIN, *(arranged if name in (GUIDED, UNET) else [])]


def matrix_rate(repeats: int, setting: Setting) -> float:
    """GFLOP/s of a large matrix product."""
    a, b = torch.randn(2, MATRIX, MATRIX, device=setting.device, dtype=setting.dtype)
    return 2 * MATRIX**3 / 1e9 / medians([lambda: a @ b], repeats, setting.device)[0]


def relative_difference(computed: Tensor, expected: Tensor) -> float:
    """Largest difference as a share of the standard deviation of what is expected."""
    computed, expected = computed.float(), expected.float()
    return ((computed - expected).abs().max() / expected.std()).item()


def check(name: str, difference: float, limit: float, setting: Setting) -> None:
    """End the program if a difference is beyond what rounding in float32 makes. For bfloat16 there is no limit."""
    # Not `>`, which lets NaN pass.
    if setting.dtype == torch.float32 and not difference <= limit:
        sys.exit(f"{name} differs by {difference:.1e} of the spread of its reference; at most {limit:.0e} is rounding.")
