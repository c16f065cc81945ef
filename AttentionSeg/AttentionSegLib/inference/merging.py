"""Merging of the regions of a scan, each segmented by itself, into one result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..image import Image
from ..region import Region
from .parts import affine_from, bounds, held
from .preprocessing import WorkingGrid
from .probe import Probe
from .restore import Restored


@dataclass(frozen=True, eq=False)
class Part:
    """The result for one region, or for the whole scan.

    Attributes:
        region: None for the whole scan.
        grid: on which the network ran.
        restored: arrays over the part of the input that the region covers (see `parts.bounds`).
        attention: maps by name, on the grid that they have in the network.
        probe, device, notes: see `Prediction`.
    """

    region: Region | None
    grid: WorkingGrid
    restored: Restored
    attention: dict[str, Image]
    probe: Probe
    device: str
    notes: tuple[str, ...]


def merge_restored(parts: Sequence[Part], offsets: Sequence[int], classes: int, image: Image) -> Restored:
    """The arrays of all parts in the geometry of the input; voxels outside the regions are background with uncertainty 0.

    Args:
        parts: one or more.
        offsets: added to the label values of each part.
        classes: of the result, background included.
        image: the input.
    """
    regions = [part.region for part in parts if part.region is not None]
    if len(regions) < len(parts):
        return parts[0].restored
    # In the memory layout of files and Slicer, so that neither has to transpose.
    labels = np.zeros(image.shape, np.uint8 if classes <= 256 else np.uint16, order="F")
    uncertainty = np.zeros(image.shape, np.float32, order="F")
    probabilities = None
    if parts[0].restored.probabilities is not None:
        probabilities = np.zeros((classes, *image.shape), np.float16)
        probabilities[0] = 1
    for number, (part, offset) in enumerate(zip(parts, offsets)):
        first, last = bounds(image, part.region)
        window = tuple(slice(a, b) for a, b in zip(first, last))
        mine = _owned(image, first, last, regions, number)
        found = part.restored.labels[mine]
        labels[window][mine] = np.where(found > 0, found + labels.dtype.type(offset), 0)
        uncertainty[window][mine] = part.restored.uncertainty[mine]
        kept = part.restored.probabilities
        if probabilities is not None and kept is not None:
            for value, one in enumerate(kept):
                probabilities[offset + value if value else 0][window][mine] = one[mine]
    return Restored(labels, uncertainty, probabilities)


def merge_maps(maps: Sequence[Image], regions: Sequence[Region]) -> Image:
    """The parts of an attention map, whose grids share one lattice, as one image that is 0 elsewhere.

    Args:
        maps: of the same spacing and axes, whole voxels apart.
        regions: one per map; a voxel in two of them belongs to the one with the nearer center.
    """
    if len(maps) == 1:
        return maps[0]
    first = maps[0]
    starts = np.array([np.rint(first.to_ijk(part.affine[:3, 3])) for part in maps]).astype(int)
    low = starts.min(0)
    shape = (starts + [part.shape for part in maps]).max(0) - low
    affine = affine_from(first.affine, low)
    values, nearest = np.zeros((1, *shape), np.float32), np.full(shape, np.inf)
    for part, start, region in zip(maps, starts - low, regions):
        window = tuple(slice(a, a + n) for a, n in zip(start, part.shape))
        distances = _distances(part.affine, np.zeros(3, int), np.array(part.shape), region)
        mine = distances < nearest[window]
        nearest[window][mine] = distances[mine]
        values[0][window][mine] = part.voxels[0][mine]
    return Image(values, affine, first.name)


def merge_on_input(maps: Sequence[Image], regions: Sequence[Region], image: Image) -> Image:
    """The parts of an attention map at the voxels of the input, each 0 outside its region, as one image."""
    if len(maps) == 1:
        return maps[0]
    values = np.zeros((1, *image.shape), np.float32)
    for number, (part, region) in enumerate(zip(maps, regions)):
        first, last = bounds(image, region)
        window = tuple(slice(a, b) for a, b in zip(first, last))
        mine = _owned(image, first, last, regions, number)
        values[0][window][mine] = part.voxels[0][window][mine]
    return Image(values, image.affine, maps[0].name)


def _owned(image: Image, first: np.ndarray, last: np.ndarray, regions: Sequence[Region], number: int) -> np.ndarray:
    """Which voxels from `first` to before `last` are in a region, and in no other whose center is nearer."""
    mine = held(image.affine, first, last, regions[number])
    own = _distances(image.affine, first, last, regions[number])
    for other, region in enumerate(regions):
        if other != number:
            theirs = held(image.affine, first, last, region)
            if theirs.any():
                distances = _distances(image.affine, first, last, region)
                mine &= ~(theirs & ((distances < own) | ((distances == own) & (other < number))))
    return mine


def _distances(affine: np.ndarray, first: np.ndarray, last: np.ndarray, region: Region) -> np.ndarray:
    """Distances of voxel centers from the center of a region, mm. [*(last - first)]"""
    i, j, k = np.ogrid[tuple(slice(int(a), int(b)) for a, b in zip(first, last))]
    offset = affine[:3, 3] - np.asarray(region.center, dtype=float)
    return np.sqrt(sum((row[0] * i + row[1] * j + row[2] * k + start) ** 2 for row, start in zip(affine[:3, :3], offset)))
