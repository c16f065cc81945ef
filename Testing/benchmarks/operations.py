"""What a network computes, and which operations its time goes to."""

from __future__ import annotations

import copy
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import torch
from AttentionSegLib.networks.position_attention import PositionAttention
from benchmarks.contenders import MatrixAttention
from benchmarks.timing import Run
from torch import nn
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

# The first that fits the name of an operation.
KINDS = {
    "convolution": "conv",
    "attention": "scaled_dot_product|softmax|bmm|matmul",
    "upsampling": "upsample",
    "concatenation": r"\bcat\b|stack",
    "pooling": "pool",
    "normalization": "norm",
    "copying and padding": "copy|pad|clone|contiguous|fill_|zero",
    "pointwise": "relu|clamp|add|mul|div|sub|neg|sigmoid",
}
OTHER = "other"


def gigaflops(network: nn.Module, shape: Sequence[int]) -> float:
    """Floating-point operations of a forward pass in evaluation mode, in 10^9, by torch's counter: two for each multiply-add.

    Convolutions and matrix products count; pointwise work, normalization, pooling, interpolation and the softmax do not. Position attention counts
    as its equations have it, 2 N^2 (C / 8 + C), whatever the kernel adds by padding. Nothing is computed.

    Args:
        network: stays as it is.
        shape: of the input, [B, C, *S].
    """
    counted = copy.deepcopy(network).eval().to("meta")
    for module in counted.modules():
        if isinstance(module, PositionAttention):
            module.__class__ = MatrixAttention
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        counted(torch.empty(*shape, device="meta"))
    return counter.get_total_flops() / 1e9


def shares_of_time(run: Run) -> dict[str, float]:
    """The share of each kind of operation in the time of a run on the CPU, by torch's profiler."""
    run()
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        run()
    return shares({event.key: event.self_cpu_time_total for event in profiler.key_averages()})


def shares(times: Mapping[str, float]) -> dict[str, float]:
    """Times by the name of the operation (`aten::cat`) summed up by its kind, as shares with the sum 1."""
    sums = Counter(dict.fromkeys([*KINDS, OTHER], 0.0))
    for name, seconds in times.items():
        sums[next((kind for kind, pattern in KINDS.items() if re.search(pattern, name)), OTHER)] += seconds
    return {kind: seconds / sum(times.values()) for kind, seconds in sums.items()}


def attention_kernel(run: Run, device: torch.device) -> str:
    """Which kernel of `scaled_dot_product_attention` worked in a run: see `kernel_among`."""
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
    with profile(activities=activities) as profiler:
        run()
    wanted = DeviceType.CUDA if device.type == "cuda" else DeviceType.CPU
    return kernel_among(event.name for event in profiler.events() if event.device_type == wanted)


def kernel_among(names: Iterable[str]) -> str:
    """`cuDNN`, `flash`, `efficient` or, where the whole matrix is stored, `math`; from the names of kernels, or of operations on the CPU."""
    names = list(names)
    patterns = {"cuDNN": "cudnn.*sdpa", "flash": "flash", "efficient": "fmha|efficient_attention"}
    return next((kernel for kernel, pattern in patterns.items() if any(re.search(pattern, name) for name in names)), "math")
