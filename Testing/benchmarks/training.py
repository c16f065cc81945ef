"""A training step of ours beside a plain MONAI loop on the same patches: processor time, also per operation, and peak extra memory.

    python Testing/benchmarks/training.py [--threads N] [--repeats N] [--patch I J K]

Ours: Attention U-Net with `NetworkLoss` (Dice and cross-entropy, deep supervision), clipped gradients, AdamW and the moving average of the weights,
as `attentionseg train` computes them. The other: MONAI's `AttentionUnet` with the same channels, `DiceCELoss` and AdamW. Operations are those of
convolutions and matrix products, forward and backward, two for each multiply-add.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from monai.losses import DiceCELoss
from monai.networks.nets import AttentionUnet as MonaiAttentionUnet
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "AttentionSeg"))

from AttentionSegLib.networks import AttentionUNet
from AttentionSegLib.training.losses import NetworkLoss
from benchmarks.memory import forget_peak, peak_extra_megabytes
from benchmarks.table import machine, markdown, ratio
from benchmarks.timing import Run, medians

CPU = torch.device("cpu")
CHANNELS = (16, 32, 64, 128)
CLASSES, BATCH = 3, 2
DECAY, CLIP = 0.999, 1.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, help="of torch (default: as many as it takes)")
    parser.add_argument("--repeats", type=int, default=5, help="steps that count (default: 5)")
    parser.add_argument("--patch", type=int, nargs=3, default=(48, 48, 48), help="voxels (default: 48 48 48)")
    options = parser.parse_args()
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    makers = [partial(maker, tuple(options.patch)) for maker in (our_step, our_light_step, monai_step)]
    steps = [make() for make in makers]
    operations, seconds = [gigaoperations(step) for step in steps], medians(steps, options.repeats, CPU, of_processor=True)
    megabytes = [peak_extra_megabytes(make, CPU) for make in makers]
    each = [1000 * s / count for s, count in zip(seconds, operations)]
    names = ["ours, deep supervision", "ours, without", "MONAI loop"]
    rows = [
        [name, s, count, ms, ratio(ms, each[-1]), mb, ratio(mb, megabytes[-1]), step()]
        for name, step, s, count, ms, mb in zip(names, steps, seconds, operations, each, megabytes)
    ]
    print(machine())
    heads = ["step", "processor s", "10^9 operations", "ms per 10^9", "MONAI / this", "peak extra MB", "MONAI / this", "parameters"]
    print(markdown(heads, rows))


def our_step(patch: Sequence[int], deep_supervision: bool = True) -> Run:
    torch.manual_seed(0)
    network = AttentionUNet(3, 1, CLASSES, channels=CHANNELS, norm="instance", deep_supervision=deep_supervision)
    averaged = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(DECAY), use_buffers=True)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    loss = NetworkLoss(network.loss_terms, CLASSES)
    image, label = patches(patch)

    def step() -> int:
        optimizer.zero_grad()
        loss(network(image, return_attention=()), label)[0].backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), CLIP)
        optimizer.step()
        averaged.update_parameters(network)
        return count(network)

    return warmed(step)


def our_light_step(patch: Sequence[int]) -> Run:
    return our_step(patch, deep_supervision=False)


def monai_step(patch: Sequence[int]) -> Run:
    torch.manual_seed(0)
    network = MonaiAttentionUnet(3, 1, CLASSES, CHANNELS, strides=(2,) * (len(CHANNELS) - 1))
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    loss = DiceCELoss(to_onehot_y=True, softmax=True)
    image, label = patches(patch)

    def step() -> int:
        optimizer.zero_grad()
        loss(network(image), label).backward()
        optimizer.step()
        return count(network)

    return warmed(step)


def patches(patch: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    shape = (BATCH, 1, *patch)
    return torch.randn(shape, generator=generator), torch.randint(0, CLASSES, shape, generator=generator)


def warmed(step: Run) -> Run:
    """After a step, which makes the optimizer's moments: what every later step finds."""
    step()
    forget_peak()
    return step


def gigaoperations(step: Run) -> float:
    """Operations of a step, in 10^9, by torch's counter."""
    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops() / 1e9


def count(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


if __name__ == "__main__":
    main()
