"""How much the measured volume depends on where the region was placed: both hippocampi of the MNI152 head, regions shifted by 4 mm.

python Testing/benchmarks/region_shift.py [--model MODEL]
"""

from __future__ import annotations

import argparse
import sys
from itertools import product
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "AttentionSeg"))

from AttentionSegLib.inference import Predictor
from AttentionSegLib.region import Region
from AttentionSegLib.reporting import measure
from mni152 import mni152_head, regions_in_head

SHIFT = 4.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="hippocampus-mr-attention-unet", help="id or folder of a model of the hippocampus (default: %(default)s)")
    predictor, image = Predictor(parser.parse_args().model), mni152_head()
    # Along each axis, and along the eight diagonals.
    shifts = [SHIFT * np.array(d) for d in product((-1, 0, 1), repeat=3) if abs(np.array(d)).sum() in (1, 3)]
    for side, region in regions_in_head(predictor.model.card).items():
        reference = volumes(predictor, image, region)
        print(f"{side}: {' + '.join(f'{v:.2f}' for v in reference)} = {reference.sum():.2f} mL")
        for shift in shifts:
            moved = Region(tuple(np.array(region.center) + shift), region.size)
            change = volumes(predictor, image, moved)
            percent = 100 * (change.sum() / reference.sum() - 1)
            labels = " ".join(f"{p:+6.1f}" for p in 100 * (change / reference - 1))
            print(f"    shifted by {' '.join(f'{s:+.0f}' for s in shift)} mm: {percent:+6.1f} %  (labels {labels})")


def volumes(predictor: Predictor, image, region: Region) -> np.ndarray:
    return np.array([m.milliliters for m in measure(predictor(image, region, attention=False))])


if __name__ == "__main__":
    main()
