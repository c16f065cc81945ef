"""How well the hippocampi are found in whole heads, and whether other scans are refused.

python Testing/benchmarks/finding.py --heads HEADS --others SCAN ...

HEADS holds images/ and labels/ with the hippocampi as 53 (right) and 17 (left), as FreeSurfer numbers them. Every head is looked at as it is, turned
by 15 and 30 degrees about each axis, stored in another order of axes, without what has no label, and cut; with inverted intensities it has to be
refused, and so have the other scans, noise, and crops in a large dark field.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "AttentionSeg"))

from AttentionSegLib.errors import InputError
from AttentionSegLib.files import read_image
from AttentionSegLib.image import Image
from AttentionSegLib.inference import find_regions
from AttentionSegLib.models import list_models

SIDES = {"right": 53, "left": 17}
FAR = 1000.0
# Boxes around the middle between both hippocampi, mm: from right, anterior, superior to the same.
CUTS = {
    "right half": ((0, -FAR, -FAR), (FAR, FAR, FAR)),
    "axial slab of 60 mm": ((-FAR, -FAR, -25), (FAR, FAR, 35)),
    "without the crown": ((-FAR, -FAR, -FAR), (FAR, FAR, 35)),
    "crown alone": ((-FAR, -FAR, 25), (FAR, FAR, FAR)),
}

# A name, the scan, and the true centers by side; none where it has to be refused.
Trial = tuple[str, Image, dict[str, np.ndarray]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="hippocampus-mr-attention-unet", help="id of the model (default: %(default)s)")
    parser.add_argument("--heads", required=True, type=Path, help="folder with images/ and labels/")
    parser.add_argument("--others", nargs="*", default=[], help="scans that show no T1-weighted head")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="take every n-th turn of every head (default: all)")
    options = parser.parse_args()
    model = next(entry for entry in list_models() if entry.id == options.model)
    rows = defaultdict(list)
    for kind, image, centers in trials(options.heads, options.others, options.every):
        started = time.process_time()
        try:
            found = find_regions(model, image)
            distances = {name: float(np.linalg.norm(region.center - centers[name])) for name, region in found.regions.items()} if centers else {}
            told = f"found {', '.join(found.regions)}, correlation {found.similarity:.2f}, " + " ".join(f"{d:.1f} mm" for d in distances.values())
            rows[kind].append((distances, True))
        except InputError as error:
            told = f"refused: {error}"
            rows[kind].append(({}, False))
        print(f"{kind}, {image.name}: {told} ({time.process_time() - started:.1f} s of one core)", flush=True)
    print()
    for kind, results in rows.items():
        distances = [d for found, _ in results for d in found.values()]
        told = f"mean {np.mean(distances):.1f} mm, largest {max(distances):.1f} mm" if distances else ""
        print(f"{kind}: {len(results)} scans, {sum(found for _, found in results)} accepted, {len(distances)} sides found, {told}")


def trials(heads: Path, others: list[str], every: int) -> Iterator[Trial]:
    for number, path in enumerate(sorted((heads / "images").glob("*.nii.gz"))):
        image, labels = read_image(path), read_image(heads / "labels" / path.name)
        centers = {}
        for side, value in SIDES.items():
            places = labels.to_ras(np.argwhere(labels.voxels[0] == value))
            centers[side] = (places.min(0) + places.max(0)) / 2
        yield "as they are", image, centers
        for axis, degrees in list(product(range(3), (15, -15, 30, -30)))[number % every :: every]:
            yield f"turned by {abs(degrees)} degrees", *turned(image, centers, axis, degrees)
        stored = Image(image.voxels[:, ::-1].transpose(0, 3, 1, 2), image.affine @ _reversed_and_permuted(image.shape), image.name)
        yield "stored in another order", stored, centers
        yield "without skull", Image(image.voxels * (labels.voxels > 0), image.affine, image.name), centers
        middle = (centers["right"] + centers["left"]) / 2
        for name, (low, high) in CUTS.items():
            yield name, part(image, middle + low, middle + high), {} if name == "crown alone" else centers
        yield "inverted", Image(image.voxels.max() - image.voxels, image.affine, image.name), {}
    for path in others:
        image = read_image(path)
        yield "others", image, {}
        if max(image.spacing * image.shape) < 80:
            padded = np.pad(image.voxels, ((0, 0), *[(45, 45)] * 3))
            affine = image.affine.copy()
            affine[:3, 3] = image.to_ras(np.full(3, -45))
            yield "others in a dark field", Image(padded, affine, image.name), {}
    for seed in range(3):
        noise = np.random.default_rng(seed).normal(size=(1, 110, 110, 90)).astype(np.float32)
        yield "noise", Image(noise, np.diag([2.0, 2.0, 2.0, 1.0]), f"noise {seed}"), {}


def turned(image: Image, centers: dict[str, np.ndarray], axis: int, degrees: float) -> tuple[Image, dict[str, np.ndarray]]:
    """A head turned about the middle of its scan."""
    one, other = (index for index in range(3) if index != axis)
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    matrix = np.eye(4)
    matrix[one, one] = matrix[other, other] = cosine
    matrix[one, other], matrix[other, one] = -sine, sine
    middle = image.corners().mean(0)
    matrix[:3, 3] = middle - matrix[:3, :3] @ middle
    moved = {side: matrix[:3, :3] @ center + matrix[:3, 3] for side, center in centers.items()}
    return Image(image.voxels, matrix @ image.affine, f"{image.name} ({'RAS'[axis]} {degrees:+.0f})"), moved


def part(image: Image, low: np.ndarray, high: np.ndarray) -> Image:
    """What of an image lies in a box, for images whose axes are those of the body."""
    ends = np.sort(np.rint(image.to_ijk(np.array([low, high]))).astype(int), axis=0)
    first, last = np.clip(ends[0], 0, None), np.minimum(ends[1], image.shape)
    affine = image.affine.copy()
    affine[:3, 3] = image.to_ras(first)
    return Image(image.voxels[(slice(None), *(slice(a, b) for a, b in zip(first, last)))], affine, image.name)


def _reversed_and_permuted(shape: tuple[int, int, int]) -> np.ndarray:
    """New voxel indices to old ones, for voxels reversed along I and then stored as K, I, J."""
    matrix = np.zeros((4, 4))
    matrix[2, 0] = matrix[1, 2] = matrix[3, 3] = 1
    matrix[0, 1], matrix[0, 3] = -1, shape[0] - 1
    return matrix


if __name__ == "__main__":
    main()
