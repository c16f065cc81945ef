"""How much the result depends on the size of the region: hippocampi of labelled heads, in regions of other sizes than the model knows.

python Testing/benchmarks/region_size.py HEADS [--count 2] [--edges 0.7 0.8 1.25 1.5] [--one-edge 0.7 1.5] [--model MODEL]

HEADS has the folders images and labels with files of the same names, labels in FreeSurfer's numbers (17 left, 53 right hippocampus).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "AttentionSeg"))

from AttentionSegLib.evaluation.metrics import label_metrics
from AttentionSegLib.files import read_image
from AttentionSegLib.inference import Predictor
from AttentionSegLib.region import Region

HIPPOCAMPI = (17, 53)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("heads", type=Path)
    parser.add_argument("--count", type=int, default=2, help="how many heads, the first by name (default: %(default)s)")
    parser.add_argument(
        "--edges", type=float, nargs="*", default=[0.5, 0.6, 0.7, 0.8, 0.9, 1.1, 1.25, 1.5, 2.0], help="of all three edges, times the model's"
    )
    parser.add_argument("--one-edge", type=float, nargs="*", default=[0.7, 1.5], help="of one edge alone, each in turn")
    parser.add_argument("--model", default="hippocampus-mr-attention-unet", help="id or folder of a model of the hippocampus (default: %(default)s)")
    arguments = parser.parse_args()
    predictor = Predictor(arguments.model)
    one_edge = [tuple(np.where(np.arange(3) == axis, f, 1.0)) for axis in range(3) for f in arguments.one_edge]
    scales = [(1.0,) * 3, *((f,) * 3 for f in arguments.edges), *one_edge]
    found = []
    for path in sorted((arguments.heads / "images").iterdir())[: arguments.count]:
        image, labels = read_image(path), read_image(arguments.heads / "labels" / path.name)
        for value in HIPPOCAMPI:
            found.append([measured(predictor, image, labels.voxels[0] == value, scale) for scale in scales])
            print(f"{path.name} {value}: {' '.join(f'{dice:.3f}/{voxels}' for dice, voxels in found[-1])}", file=sys.stderr, flush=True)
    table = np.array(found)
    change = 100 * (table[:, :, 1] / table[:, :1, 1] - 1)
    print("edges, times the model's      Dice   volume against that of the model's size: mean (least..most)")
    for column, scale in enumerate(scales):
        edges, spread = " ".join(f"{f:4.2f}" for f in scale), change[:, column]
        print(f"{edges:<27} {table[:, column, 0].mean():6.3f}   {spread.mean():+6.1f} % ({spread.min():+.0f}..{spread.max():+.0f})")


def measured(predictor: Predictor, image, reference: np.ndarray, scale: tuple[float, ...]) -> tuple[float, float]:
    """Dice and voxels in a region around the reference."""
    box = np.argwhere(reference)
    center = image.to_ras((box.min(0) + box.max(0)) / 2)
    region = Region(tuple(center), tuple(np.multiply(scale, predictor.model.card.region_size)))
    mask = predictor(image, region, attention=False).labels.voxels[0] > 0
    return label_metrics(mask, reference, image.spacing)["dice"], int(mask.sum())


if __name__ == "__main__":
    main()
