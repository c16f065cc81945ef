"""Labelled scans whose segmentation by `intensity_model` is known to the voxel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from AttentionSegLib.files import write_map
from AttentionSegLib.image import Image
from poses import AXES, affine_around

SHAPE = (20, 18, 16)
AFFINE = affine_around((20, -30, 40), SHAPE, AXES["LPS"], (1, 1, 1))
# Shift of label 1 in the reference, in voxels, by case.
SHIFTS = {"a": 0, "b": 3, "c": 1, "d": 4, "e": 2}
# In no scan is there a label 2, but its reference has one; and here neither has one.
MISSED, WITHOUT = "b", "c"
# In these scans a speck away from label 1 is as bright as it.
SPECKED = ("a", "d")


def truth(case: str) -> np.ndarray:
    """The reference labels [I, J, K]."""
    labels = np.zeros(SHAPE, np.uint8)
    first = 3 + SHIFTS[case]
    labels[first : first + 6, 4:10, 4:12] = 1
    if case != WITHOUT:
        labels[14:18, 4:12, 4:12] = 2
    return labels


def segmented(case: str) -> np.ndarray:
    """What `intensity_model` makes of the scan [I, J, K]."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[3:9, 4:10, 4:12] = 1
    if case not in (MISSED, WITHOUT):
        labels[14:18, 4:12, 4:12] = 2
    if case in SPECKED:
        labels[3:5, 14:16, 4:6] = 1
    return labels


def write_cases(folder: Path, cases: str = "abcde") -> tuple[Path, Path]:
    """Write scans and label maps, and give their folders."""
    images, labels = folder / "images", folder / "labels"
    images.mkdir(parents=True)
    labels.mkdir()
    noise = np.random.default_rng(0)
    for case in cases:
        intensities = np.choose(segmented(case), (10.0, 75.0, 125.0)) + noise.uniform(-5, 5, SHAPE)
        write_map(Image(intensities[None], AFFINE), images / f"{case}.nii.gz")
        write_map(Image(truth(case)[None], AFFINE), labels / f"{case}.nrrd")
    return images, labels


def everything_in(folder: Path) -> dict[str, bytes | None]:
    """What lies in a folder, hidden things included."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}
