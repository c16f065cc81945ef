"""Label maps of whole heads for `attentionseg train --synthesize`, from the maps that the SynthSeg repository published.

    python Testing/brain_label_maps.py SOURCE DESTINATION

SOURCE has the folders `sides` (left and right in FreeSurfer's numbers) and `merged` (both sides under the left number). DESTINATION gets one map per
head with the labels 1..31 of `NAMES`, and beyond 31 what is drawn by itself but learned as one of these or as background: `LEARNED_AS`. In the merged
heads the sides are told apart by a midline surface, which is printed with how well it does on heads whose sides are known.

Many of these heads are of older people. `--small-ventricles` adds a map per head whose ventricles are as narrow as those of young ones.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

import nibabel
import numpy as np
from scipy import ndimage

SIDED = {
    "cerebral white matter": (2, 41),
    "cerebral cortex": (3, 42),
    "lateral ventricle": (4, 43),
    "inferior lateral ventricle": (5, 44),
    "cerebellum white matter": (7, 46),
    "cerebellum cortex": (8, 47),
    "thalamus": (10, 49),
    "caudate": (11, 50),
    "putamen": (12, 51),
    "pallidum": (13, 52),
    "hippocampus": (17, 53),
    "amygdala": (18, 54),
    "accumbens area": (26, 58),
    "ventral diencephalon": (28, 60),
}
MIDLINE = {"Third ventricle": 14, "Fourth ventricle": 15, "Brainstem": 16}
# FreeSurfer's numbers of the labels 1..31.
NUMBERS = (*(left for left, _ in SIDED.values()), *(right for _, right in SIDED.values()), *MIDLINE.values())
NAMES = (*(f"Left {name}" for name in SIDED), *(f"Right {name}" for name in SIDED), *MIDLINE)
# Lesions and vessels lie in white matter, choroid plexus in the ventricles; the sides of a pair stand in the same order.
WITHIN = {25: 2, 30: 2, 136: 4, 137: 5, 57: 41, 62: 41, 163: 43, 164: 44}
# Fluid, chiasm, skull, scalp, eyes and what else is no part of the brain; 72 is the cavity between the lateral ventricles.
BACKGROUND = (24, 72, 85, 165, 258, 259, 502, 506, 507, 508, 509, 511, 512, 514, 515, 516, 530)
FIRST = len(NUMBERS) + 1
EXTRA = {number: FIRST + n for n, number in enumerate((*WITHIN, *BACKGROUND))}
LABEL_OF = {number: label for label, number in enumerate(NUMBERS, start=1)}
LEARNED_AS = {EXTRA[number]: LABEL_OF[WITHIN[number]] if number in WITHIN else 0 for number in EXTRA}
# Of merged heads: which numbers have a right side, and what becomes of choroid plexus (31).
RIGHT_OF = {**dict(SIDED.values()), 25: 57, 30: 62, 136: 163, 137: 164}
CHOROID, LATERAL, INFERIOR = 31, 4, 5
FISSURE_FREE = (24, 14, 15, 72, 0)
# Voxels by which the midline may leave its plane, over which it is smooth, and what a voxel off the plane costs in voxels of tissue.
REACH, SMOOTH, STRAY = 8, 5.0, 0.02
ONE_SIDED = 0.85
# What remains of each ventricle, with the choroid plexus in it, in the maps with small ones; what never takes the place of the rest.
REMAINING = {(4, 136): 0.45, (43, 163): 0.45, (5, 137): 0.4, (44, 164): 0.4, (14,): 0.45, (15,): 0.8}
FLUID = (0, 24, 72, *(number for ventricle in REMAINING for number in ventricle))
DEPTH = 1.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("destination", type=Path)
    parser.add_argument("--small-ventricles", action="store_true", help="write each head once more, with small ventricles")
    options = parser.parse_args()
    options.destination.mkdir(parents=True, exist_ok=True)
    for kind in ("sides", "merged"):
        for path in sorted((options.source / kind).glob("*.nii.gz")):
            image = nibabel.load(path)
            numbers = np.asarray(image.dataobj).astype(np.int32)
            if nibabel.aff2axcodes(image.affine)[0] != "L":
                sys.exit(f"{path} has its first axis not from right to left")
            if kind == "sides":
                wrong = share_on_wrong_side(numbers)
                print(f"{kind} {path.name}: {100 * wrong:.2f} % of the brain would be on the wrong side of the midline")
            else:
                numbers = split_sides(with_choroid_told_apart(numbers))
                print(f"{kind} {path.name}: left / right {ratios(numbers)}")
            written = {f"{kind}_{path.name}": numbers}
            if options.small_ventricles:
                written[f"{kind}_small_{path.name}"] = with_small_ventricles(numbers)
            for name, result in written.items():
                nibabel.save(nibabel.Nifti1Image(renumbered(result), image.affine), options.destination / name)


def renumbered(numbers: np.ndarray) -> np.ndarray:
    """The labels 1..31 and the further values, uint8. Raises ValueError for a number that has no place."""
    table = {0: 0, **LABEL_OF, **EXTRA}
    found = np.unique(numbers)
    unknown = [int(number) for number in found if int(number) not in table]
    if unknown:
        msg = f"The map holds {unknown}, which nothing is known of."
        raise ValueError(msg)
    lookup = np.array([table[int(number)] for number in found], np.uint8)
    return lookup[np.searchsorted(found, numbers)]


def with_choroid_told_apart(numbers: np.ndarray) -> np.ndarray:
    """Choroid plexus by the ventricle that is nearer."""
    to_lateral, to_inferior = (ndimage.distance_transform_edt(numbers != ventricle) for ventricle in (LATERAL, INFERIOR))
    return np.where(numbers == CHOROID, np.where(to_inferior < to_lateral, 137, 136), numbers)


def split_sides(numbers: np.ndarray) -> np.ndarray:
    """Right numbers where a map with left numbers only lies beyond the midline. The first axis runs from right to left.

    A part that lies mostly on one side goes there whole, so that no rim is left on the other.
    """
    is_right = np.arange(numbers.shape[0])[:, None, None] < midline(numbers)
    result = numbers.copy()
    for left, right in RIGHT_OF.items():
        parts, count = ndimage.label(numbers == left)
        if not count:
            continue
        share = ndimage.mean(is_right, parts, np.arange(count + 1))
        share[0] = 0
        whole = share[parts]
        result[(parts > 0) & np.where(whole > ONE_SIDED, True, np.where(whole < 1 - ONE_SIDED, False, is_right))] = right
    return result


def midline(numbers: np.ndarray) -> np.ndarray:
    """Where the midline surface crosses each line along the first axis: [1, J, K] voxels.

    A plane through the middles of the brain's extent, then from there to where the cut runs through fluid rather than tissue.
    """
    brain = (numbers > 0) & (numbers < 100) & (numbers != 24) | (numbers == 136) | (numbers == 137)
    crossed = brain.any(0)
    first, last = brain.argmax(0), brain.shape[0] - 1 - brain[::-1].argmax(0)
    j, k = np.nonzero(crossed)
    middle, weight = ((first + last) / 2)[crossed], (last - first)[crossed].astype(float)
    columns = np.column_stack([np.ones_like(j), j, k]).astype(float)
    for _ in range(10):
        plane = np.linalg.lstsq(columns * weight[:, None] ** 0.5, middle * weight**0.5, rcond=None)[0]
        weight = (last - first)[crossed] / (1 + np.abs(middle - columns @ plane) / 2)
    j, k = np.indices(crossed.shape)
    flat = plane[0] + plane[1] * j + plane[2] * k
    tissue = brain & ~np.isin(numbers, FISSURE_FREE)
    shifts = np.arange(-REACH, REACH + 1)
    costs = []
    for shift in shifts:
        place = np.clip(np.rint(flat + shift), 0, numbers.shape[0] - 1).astype(int)
        cut = np.take_along_axis(tissue, place[None], 0)[0].astype(float)
        costs.append(ndimage.gaussian_filter(cut, SMOOTH / 2) + STRAY * abs(shift))
    # A soft minimum, so that the surface does not jump where two places are as good.
    likely = np.exp(-np.array(costs) / 0.05)
    bent = (likely * shifts[:, None, None]).sum(0) / likely.sum(0)
    return (flat + ndimage.gaussian_filter(bent, SMOOTH))[None] + 0.5


def share_on_wrong_side(numbers: np.ndarray) -> float:
    """Of the sided voxels of a map with known sides, those that `split_sides` would put on the other."""
    left_of = {right: left for left, right in RIGHT_OF.items()}
    sided = np.isin(numbers, [*RIGHT_OF, *left_of])
    merged = numbers.copy()
    for right, left in left_of.items():
        merged[numbers == right] = left
    return float((split_sides(merged) != numbers)[sided].sum() / sided.sum())


def with_small_ventricles(numbers: np.ndarray) -> np.ndarray:
    """The map with the shares `REMAINING` of its ventricles, the deepest voxels of each; the tissue nearest to the others takes their place."""
    tissue = ~np.isin(numbers, FLUID)
    lost = np.zeros(numbers.shape, bool)
    for ventricle, share in REMAINING.items():
        inside = np.isin(numbers, ventricle)
        if inside.any():
            depth = ndimage.gaussian_filter(inside.astype(np.float32), DEPTH)
            lost |= inside & (depth < np.quantile(depth[inside], 1 - share))
    nearest = ndimage.distance_transform_edt(~tissue, return_distances=False, return_indices=True)
    return np.where(lost, numbers[tuple(nearest)], numbers)


def ratios(numbers: np.ndarray) -> str:
    counts = {name: [int((numbers == number).sum()) for number in pair] for name, pair in SIDED.items()}
    return ", ".join(f"{name} {left / max(right, 1):.2f}" for name, (left, right) in counts.items())


def options_for(learned_as: Mapping[int, int] = LEARNED_AS) -> list[str]:
    """The options of `attentionseg train` for these maps."""
    return ["--label-names", ",".join(NAMES), "--learn-as", ",".join(f"{value}={label}" for value, label in learned_as.items())]


if __name__ == "__main__":
    main()
