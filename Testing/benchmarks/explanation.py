"""Seconds of a segmentation of one patch, and of its explanation at a voxel, with and without convolutions in halves.

python Testing/benchmarks/explanation.py [--models MODEL ...] [--repeats N] [--threads N]

The scan is noise of the size of a patch with a bright ball. Everything runs on torch on the CPU.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "AttentionSeg"))

from AttentionSegLib.inference import Predictor
from AttentionSegLib.inference.result_explanation import explain_result
from AttentionSegLib.networks import small_convolutions
from benchmarks.maps import MODELS, scan
from benchmarks.timing import Run, medians

SMALL = small_convolutions.LARGEST_SMALL


def runs_of(model: str) -> list[Run]:
    """Segmentation and explanation, each as it is and without halves."""
    predictor = Predictor(model, "cpu", "torch")
    image, _ = scan(predictor, None)
    prediction = predictor.run(image)
    label = prediction.card.labels[0].name
    middle = image.to_ras([(size - 1) / 2 for size in image.shape])
    works = (partial(predictor.run, image), partial(explain_result, predictor, prediction, image, label, middle))
    return [partial(up_to, largest, work) for work in works for largest in (SMALL, 0)]


def up_to(largest: int, work: Callable[[], object]) -> None:
    """Do something while volumes up to a size are split."""
    small_convolutions.LARGEST_SMALL = largest
    work()
    small_convolutions.LARGEST_SMALL = SMALL


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=MODELS, metavar="MODEL", help="ids or folders of models (default: the four shipped ones)")
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="runs of which the median is told (default: %(default)s)")
    parser.add_argument("--threads", type=int, metavar="N", help="threads of torch (default: as it chooses)")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    print("| model | segmentation, s | without halves, s | explanation at a voxel, s | without halves, s |\n|---|---|---|---|---|")
    for model in options.models:
        seconds = medians(runs_of(model), options.repeats, torch.device("cpu"))
        print(f"| {model} | {' | '.join(f'{s:.2f}' for s in seconds)} |", flush=True)


if __name__ == "__main__":
    main()
