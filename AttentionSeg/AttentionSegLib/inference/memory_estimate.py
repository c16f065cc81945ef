"""The main memory that a run takes: an estimate before it, without torch, and a limit."""

from __future__ import annotations

import os
from collections.abc import Sequence
from math import prod
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..image import Image
from ..models import Card
from ..options import RunOptions
from ..region import Region
from .checks import is_searched
from .parts import PIECE_BYTES

GIGABYTE = 1e9
# Of a process that segments a scan of 32 x 32 x 32 voxels from the command line, packages included.
PROCESS_BYTES = 0.4e9
FLOAT = 4
# Copies of an array that exist at a time while it is resampled, or its patches are weighted and added.
COPIES = 3
# Features of a network per voxel of a patch that exist at a time.
FEATURES = 64
# Where Python cannot say how much memory there is, as on Windows.
ASSUMED_MEMORY = 8 * 2**30
CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


def main_memory() -> int:
    """Bytes of main memory that this process may take at most."""
    if not hasattr(os, "sysconf"):
        return ASSUMED_MEMORY
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = CGROUP_LIMIT.read_text().strip() if CGROUP_LIMIT.is_file() else "max"
    return min(memory, int(limit)) if limit.isdigit() else memory


def estimated_bytes(
    card: Card,
    shape: Sequence[int],
    spacing: Sequence[float],
    options: RunOptions,
    region: Region | None = None,
    bytes_per_voxel: int = 2,
    maps: Sequence[Sequence[int]] = (),
) -> float:
    """Estimated peak of the main memory of a process that segments a scan on the CPU and writes the results; nothing is loaded.

    The largest of the steps counts: resampling of the scan, the network with the sums over all patches, labels and uncertainty of the scan.
    The results of all regions that a model finds exist beside those of the scan; the network sees one at a time.

    Args:
        card: of the model.
        shape, spacing: of the scan, in voxels and mm.
        options: `probabilities` and `attention_grid` count.
        region: that is segmented; None for the whole scan, or the regions that the model finds.
        bytes_per_voxel: of the scan in memory and channel; 2 for the integers of most scans, 4 or 8 for floats.
        maps: strides of the attention maps that are asked for.
    """
    voxels, channels, classes = prod(shape), len(card.scans), len(card.labels) + 1
    extent, regions = np.sort(np.multiply(shape, spacing)), 0
    if region is not None:
        extent, regions = np.sort(region.size), 1
    elif card.found_by is not None and is_searched(extent, card):
        extent, regions = np.sort(card.region_edges), len(card.found_by.regions)
    seen = np.maximum(np.ceil(extent / np.sort(card.spacing)), np.sort(card.patch_size))
    working, patch = float(np.prod(seen)), float(np.prod(card.patch_size))
    scan, sums, volume = bytes_per_voxel * channels * voxels, FLOAT * (classes + 1) * working, FLOAT * card.in_channels * working
    pieces = COPIES * min(PIECE_BYTES, FLOAT * channels * voxels)
    network = FLOAT * patch * (COPIES * classes + FEATURES)
    # A slice of the scan, and the two of the working grid beside it.
    slices = FLOAT * (COPIES + 2) * classes * prod(shape[:2])
    attention = FLOAT * working * sum(1 / prod(stride) for stride in maps)
    per_voxel = 1 + FLOAT + (2 * classes if options.probabilities else 0)
    parts = max(1, regions) * attention + regions * per_voxel * min(voxels, float(np.prod(extent)) / prod(spacing))
    result = per_voxel * voxels + parts + (FLOAT * len(maps) * voxels if options.attention_grid == "input" else 0)
    steps = 2 * volume + pieces, volume + sums + attention + network, volume + sums + slices + result, result + voxels
    return PROCESS_BYTES + scan + max(steps)


def check_limit(image: Image, region: Region | None, card: Card, options: RunOptions, maps: Sequence[Sequence[int]]) -> None:
    """Raise InputError, with the estimate, if a run on the CPU would take more than `memory_limit_gb` (see `estimated_bytes`)."""
    if options.memory_limit_gb is None:
        return
    needed = estimated_bytes(card, image.shape, image.spacing.tolist(), options, region, image.voxels.dtype.itemsize, maps) / GIGABYTE
    if needed > options.memory_limit_gb:
        msg = (
            f"Segmenting {image.name} by the model {card.id} takes about {needed:.2g} GB on the CPU, and the limit is "
            f"{options.memory_limit_gb:g} GB; raise the limit (--memory-limit), give a region, or choose a scan with fewer voxels."
        )
        raise InputError(msg)
