"""How well a model of the brain segments heads as they are and changed: Dice, mixed sides, missing structures, places of the hippocampi.

python Testing/benchmarks/head_changes.py --model MODEL --heads HEADS [--changes CHANGE ...] [--first N] [--others SCAN ...]

MODEL is an id or a folder, with labels named as in Testing/brain_label_maps.py. HEADS holds images/ and labels/ in FreeSurfer's numbers, 255 where
nothing is judged. Dice is the mean of all structures and of the hippocampi, over heads; "mixed" is the largest share of a structure's voxels that lie
in structures of the other side of the reference, "beyond a voxel" of those that touch no structure of their own side either: the midline runs through
voxels; "missing" counts structures without a voxel; "away" is the largest distance between centers of bounding boxes of a hippocampus. Of other scans
and of noise it is printed whether the result says that they probably show something else.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import SimpleITK

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "Python"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "AttentionSeg"))

import brain_label_maps
from AttentionSegLib.files import read_image
from AttentionSegLib.files.itk import array, from_itk, to_itk
from AttentionSegLib.image import Image
from AttentionSegLib.inference import Predictor
from AttentionSegLib.models import find_model, load_model
from benchmarks.finding import turned
from benchmarks.table import machine, markdown
from poses import storages
from scipy.ndimage import binary_dilation, gaussian_filter

IGNORED = 255
NAMES, PAIRS = brain_label_maps.NAMES, len(brain_label_maps.SIDED)
HIPPOCAMPI = [name for name in NAMES if "hippocampus" in name]
THICK_MM = 5.0
CUT = 1 / 3
# A change of a head, the changed scan, and the reference on its grid.
Trial = tuple[str, Image, np.ndarray]


@dataclass
class Score:
    """Of one trial: Dice by structure, shares of mixed sides, those beyond a voxel, and distances of hippocampi in mm; NaN for what neither has."""

    dice: np.ndarray
    mixed: np.ndarray
    beyond: np.ndarray
    away: np.ndarray

    @property
    def missing(self) -> int:
        return int((self.dice == 0).sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="id or folder of the model")
    parser.add_argument("--heads", required=True, type=Path, help="folder with images/ and labels/")
    parser.add_argument("--changes", nargs="+", help="only changes that begin so (default: all)")
    parser.add_argument("--first", type=int, help="only the first N heads (default: all)")
    parser.add_argument("--others", nargs="+", type=Path, default=[], help="scans of anything, which are segmented beside noise")
    options = parser.parse_args()
    predictor = Predictor(load_model(find_model(options.model)))
    values = {label.name: label.value for label in predictor.model.card.labels}
    scores: dict[str, list[Score]] = {}
    started = time.monotonic()
    for change, image, reference in trials(options.heads, options.first):
        if options.changes and not change.startswith(tuple(options.changes)):
            continue
        scores.setdefault(change, []).append(scored(predictor(image, attention=False).labels, reference, values))
    plain = scores.get("as they are")
    rows = [row(change, found, plain) for change, found in scores.items()]
    print(markdown(["change", "scans", "Dice", "lost", "of hippocampi", "mixed, %", "beyond a voxel, %", "missing", "away, mm"], rows))
    print()
    if plain:
        dice = np.nanmean([score.dice for score in plain], axis=0)
        print(markdown(["structure, as they are", "Dice"], sorted(zip(NAMES, dice.tolist()), key=lambda pair: pair[1])))
    if options.others:
        told = [[Path(image.name).name, predictor(image, attention=False).unlike or "nothing"] for image in others(options.others)]
        print(f"\n{markdown(['other scan', 'said'], told)}")
    print(f"\n{time.monotonic() - started:.0f} s on {machine()}.")


def trials(heads: Path, first: int | None) -> Iterator[Trial]:
    for number, path in enumerate(sorted((heads / "images").glob("*.nii.gz"))[:first]):
        image, labels = read_image(path), read_image(heads / "labels" / path.name)
        reference = renumbered(labels.voxels[0])
        unit = (image.voxels - image.voxels.min()) / np.ptp(image.voxels)
        yield "as they are", image, reference
        for change, voxels in (("inverted", 1 - unit), ("gamma 0.5", unit**0.5), ("gamma 2", unit**2), ("stripped", unit * (reference > 0))):
            yield change, Image(voxels.astype(np.float32), image.affine, image.name), reference
        for degrees, axis, sign in product((15, 30), range(3), (1, -1)):
            yield f"turned by {degrees} degrees", turned(image, {}, axis, sign * degrees)[0], reference
        yield "slices of 5 mm", *thick(image, reference)
        yield "lower third cut off", *without_lower_third(image, reference)
        for storage in storages() if number == 0 else ():
            stored = storage.store(image)
            yield "stored in another order", stored, storage.store(Image(reference[None], image.affine)).voxels[0]


def others(paths: list[Path]) -> Iterator[Image]:
    """The scans, and noise as of a voxel and as of 12 mm."""
    yield from map(read_image, paths)
    noise = np.random.default_rng(0).standard_normal((1, 128, 128, 128)).astype(np.float32)
    for name, voxels in (("noise", noise), ("smooth noise", gaussian_filter(noise, (0, 6, 6, 6)))):
        yield Image(voxels, np.diag([2.0, 2.0, 2.0, 1.0]), name)


def thick(image: Image, reference: np.ndarray) -> tuple[Image, np.ndarray]:
    """Axial slices of `THICK_MM`, with a Gaussian profile of this full width at half maximum."""
    axis = image.nearest_axes[2]
    scan = to_itk(image)
    sigma, spacing, size = [0.0] * 3, list(scan.GetSpacing()), list(scan.GetSize())
    sigma[axis], size[axis] = THICK_MM / 2.355, int(size[axis] * spacing[axis] / THICK_MM)
    spacing[axis] = THICK_MM
    grid = (size, SimpleITK.Transform(), SimpleITK.sitkLinear, scan.GetOrigin(), spacing, scan.GetDirection())
    seen = SimpleITK.Resample(SimpleITK.SmoothingRecursiveGaussian(scan, [max(width, 1e-2) for width in sigma]), *grid)
    labels = to_itk(Image(reference[None].astype(np.float64), image.affine))
    nearest = SimpleITK.Resample(labels, *grid[:2], SimpleITK.sitkNearestNeighbor, *grid[3:])
    return from_itk(seen, image.name), array(nearest)


def without_lower_third(image: Image, reference: np.ndarray) -> tuple[Image, np.ndarray]:
    """What lies above the lower third of the head, whose extent is that of the voxels brighter than the mean."""
    axis = image.nearest_axes[2]
    upward = image.affine[2, axis] > 0
    head = np.flatnonzero((image.voxels[0] > image.voxels.mean()).any(tuple(other for other in range(3) if other != axis)))
    low, high = head[0], head[-1] + 1
    third = round((high - low) * CUT)
    kept = [slice(None)] * 3
    kept[axis] = slice(low + third, None) if upward else slice(None, high - third)
    affine = image.affine.copy()
    affine[:3, 3] = image.to_ras(np.array([part.start or 0 for part in kept]))
    return Image(image.voxels[(slice(None), *kept)], affine, image.name), reference[tuple(kept)]


def renumbered(numbers: np.ndarray) -> np.ndarray:
    """The reference with the labels 1..31; `IGNORED` stays."""
    result = np.where(numbers == IGNORED, IGNORED, 0).astype(np.uint8)
    for number, label in brain_label_maps.LABEL_OF.items():
        result[numbers == number] = label
    return result


def scored(labels: Image, reference: np.ndarray, values: dict[str, int]) -> Score:
    judged = reference != IGNORED
    found = [(labels.voxels[0] == values[name]) & judged for name in NAMES]
    true = [reference == label for label in range(1, len(NAMES) + 1)]
    dice = [2 * (one & other).sum() / total if (total := one.sum() + other.sum()) else np.nan for one, other in zip(found, true)]
    sides = np.any(true[:PAIRS], axis=0), np.any(true[PAIRS : 2 * PAIRS], axis=0)
    deep = [other & ~binary_dilation(own, np.ones((3, 3, 3))) for own, other in zip(sides, sides[::-1])][::-1]
    mixed, beyond = (
        np.array([(found[index] & wrong[index < PAIRS]).sum() / max(found[index].sum(), 1) for index in range(2 * PAIRS)]) for wrong in (sides, deep)
    )
    away = []
    for name in HIPPOCAMPI:
        places = [labels.to_ras(np.argwhere(mask)) for mask in (found[NAMES.index(name)], true[NAMES.index(name)])]
        centers = [(points.min(0) + points.max(0)) / 2 for points in places if len(points)]
        away.append(np.linalg.norm(centers[0] - centers[1]) if len(centers) == 2 else np.nan)
    return Score(np.array(dice), mixed, beyond, np.array(away))


def row(change: str, found: list[Score], plain: list[Score] | None) -> list[object]:
    mean = float(np.nanmean([np.nanmean(score.dice) for score in found]))
    # Only heads that were changed are compared, and structures that the change left in the scan.
    before = float(np.nanmean([np.nanmean(score.dice) for score in plain])) if plain else np.nan
    hippocampi = float(np.nanmean([score.dice[[NAMES.index(name) for name in HIPPOCAMPI]] for score in found]))
    mixed, beyond = (100 * float(np.max(shares)) for shares in ([score.mixed for score in found], [score.beyond for score in found]))
    away = float(np.nanmax([score.away for score in found]))
    return [change, len(found), mean, before - mean, hippocampi, mixed, beyond, sum(score.missing for score in found), away]


if __name__ == "__main__":
    main()
