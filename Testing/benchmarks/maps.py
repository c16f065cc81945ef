"""What it costs to measure the attention maps of a model: seconds of a case, and peak extra memory, beside segmenting it alone.

python Testing/benchmarks/maps.py [--models MODEL ...] [--repeats N]

The scan is noise of the size of a patch, or of the edges given; the label is a ball in the middle.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "AttentionSeg"))

from AttentionSegLib.evaluation.map_worth import MapWorth
from AttentionSegLib.evaluation.progress import EvaluationProgress
from AttentionSegLib.image import Image
from AttentionSegLib.inference import Predictor
from benchmarks.memory import peak_extra_megabytes
from benchmarks.timing import Run, medians

MODELS = ("hippocampus-mr-attention-unet", "hippocampus-mr-guided-attention", "head-neck-ct-attention-unet", "head-neck-ct-guided-attention")


def scan(predictor: Predictor, edges: list[int] | None) -> tuple[Image, Image]:
    """Noise with a ball that is brighter, and the labels of the ball, half and half."""
    card = predictor.model.card
    shape = edges or list(card.patch_size)
    index = np.indices(shape)
    middle = (np.array(shape) - 1) / 2
    ball = sum((axis - m) ** 2 for axis, m in zip(index, middle)) < (min(shape) / 4) ** 2
    labels = np.where(ball, np.where(index[0] < middle[0], 1, 2), 0).astype(np.uint8)
    voxels = np.random.default_rng(0).normal(0, 100, shape) + 100 * ball
    affine = np.diag([*card.spacing, 1.0])
    return Image(voxels[None].astype(np.float32), affine), Image(labels[None], affine)


def segment_run(model: str, edges: list[int] | None) -> Run:
    """The segmentation of a case with its maps."""
    predictor = Predictor(model, "cpu", "torch")
    image, _ = scan(predictor, edges)
    return partial(predictor.run, image)


def maps_run(model: str, edges: list[int] | None) -> Run:
    """All that measuring its maps adds to a case."""
    predictor = Predictor(model, "cpu", "torch")
    image, labels = scan(predictor, edges)
    worth = MapWorth(predictor, ["case"])
    prediction = predictor.run(image, explain=worth.explain)
    return lambda: worth.measure(0, image, prediction, labels, EvaluationProgress(1, worth.runs, None, None))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=MODELS, metavar="MODEL", help="ids or folders of models (default: the four shipped ones)")
    parser.add_argument("--edges", type=int, nargs=3, metavar="N", help="voxels of the scan (default: a patch of the model)")
    parser.add_argument("--repeats", type=int, default=3, metavar="N", help="runs of which the median is told (default: %(default)s)")
    parser.add_argument("--threads", type=int, metavar="N", help="threads of torch (default: as it chooses)")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    device = torch.device("cpu")
    print("| model | segment, s | maps, s | segment, MB | maps, MB |\n|---|---|---|---|---|")
    for model in options.models:
        makers = [partial(make, model, options.edges) for make in (segment_run, maps_run)]
        seconds = medians([make() for make in makers], options.repeats, device)
        megabytes = [peak_extra_megabytes(make, device) for make in makers]
        cells = [f"{s:.1f}" for s in seconds] + ["" if m is None else f"{m:.0f}" for m in megabytes]
        print(f"| {model} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
