"""Drawing an image from a label map beside the training step that learns from it: seconds, their share, peak extra memory.

    python Testing/benchmarks/synthesis.py [--threads N] [--repeats N] [--patch I J K] [--step N]

The label map is a head-like nest of ellipsoids with 31 labels and 9 further values, 180 x 220 x 230 voxels of 1 mm; the grid of the network has
`--step` mm. The step is one of Attention U-Net with 16 to 128 channels and `NetworkLoss` on a batch of one, as `attentionseg train --synthesize`
computes it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "AttentionSeg"))

from AttentionSegLib.models import Channel
from AttentionSegLib.networks import AttentionUNet
from AttentionSegLib.training.losses import NetworkLoss
from AttentionSegLib.training.synthesis.generator import Generator
from AttentionSegLib.training.synthesis.settings import Synthesis
from benchmarks.memory import forget_peak, peak_extra_megabytes
from benchmarks.table import machine, markdown
from benchmarks.timing import Run, medians

CPU = torch.device("cpu")
SHAPE = (180, 220, 230)
LABELS, FURTHER = 31, 9
CHANNELS = (16, 32, 64, 96, 128)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, help="of torch (default: as many as it takes)")
    parser.add_argument("--repeats", type=int, default=5, help="patches and steps that count (default: 5)")
    parser.add_argument("--patch", type=int, nargs=3, default=(64, 64, 64), help="voxels (default: 64 64 64)")
    parser.add_argument("--step", type=int, default=2, help="mm of the grid of the network (default: 2)")
    options = parser.parse_args()
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    makers = [partial(draw, tuple(options.patch), options.step), partial(learn, tuple(options.patch))]
    seconds = medians([make() for make in makers], options.repeats, CPU)
    megabytes = [peak_extra_megabytes(make, CPU) for make in makers]
    rows = [[name, s, s / seconds[1], mb] for name, s, mb in zip(("drawing", "training step"), seconds, megabytes)]
    print(machine())
    print(markdown(["what", "s", "share of the step", "peak extra MB"], rows))


def draw(patch: Sequence[int], step: int) -> Run:
    values = ellipsoids()
    learned = np.array([*range(LABELS + 1), *[0] * FURTHER], np.uint8)
    channel = Channel("any", "OT", {"kind": "z-score", "percentiles": [0.5, 99.5]})
    generator = Generator(Synthesis(steps=(step,) * 3), learned, np.arange(len(learned)), np.arange(len(learned)), (float(step),) * 3, channel)
    numbers = count()

    def run() -> int:
        image, _ = generator.draw(values, np.array(SHAPE) / 2, tuple(patch), np.random.default_rng(next(numbers)))
        return image.size

    return warmed(run)


def learn(patch: Sequence[int]) -> Run:
    torch.manual_seed(0)
    network = AttentionUNet(3, 1, LABELS + 1, channels=CHANNELS, norm="instance")
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    loss = NetworkLoss(network.loss_terms, LABELS + 1)
    image, label = torch.randn(1, 1, *patch), torch.randint(0, LABELS + 1, (1, 1, *patch))

    def run() -> int:
        optimizer.zero_grad()
        loss(network(image, return_attention=()), label)[0].backward()
        optimizer.step()
        return image.numel()

    return warmed(run)


def ellipsoids() -> np.ndarray:
    """Numbers [*SHAPE] uint8, from 0 around the head to LABELS in the middle; the outermost shells are the further values."""
    axes = np.ogrid[tuple(slice(-1, 1, n * 1j) for n in SHAPE)]
    depth = np.clip(1.1 - np.sqrt(sum(axis**2 for axis in axes)), 0, 1)
    shell = np.ceil(depth * (LABELS + FURTHER)).astype(np.uint8)
    return np.where(shell == 0, 0, np.where(shell <= FURTHER, LABELS + shell, shell - FURTHER)).astype(np.uint8)


def warmed(run: Run) -> Run:
    """After a first time, which makes what every later one finds."""
    run()
    forget_peak()
    return run


if __name__ == "__main__":
    main()
