"""The memory that a run takes, in main memory and on a GPU: estimates before it, without loading torch, and a limit."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import NamedTuple

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
# Given to the network at a time, by device.
PATCHES_AT_A_TIME = {"cuda": 4, "mps": 1, "cpu": 1}
SLICES_AT_A_TIME = {"cuda": 16, "mps": 4, "cpu": 1}
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


def gpu_memory() -> int | None:
    """Bytes of the first CUDA device; None if there is none, or torch, which takes seconds to load, is not loaded yet."""
    torch = sys.modules.get("torch")
    return torch.cuda.get_device_properties(0).total_memory if torch is not None and torch.cuda.is_available() else None


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
    extent, regions = _seen(card, shape, spacing, region)
    parts = _parts(card, extent, shape, maps)
    scan, volume = bytes_per_voxel * channels * voxels, FLOAT * card.in_channels * parts.working
    pieces = COPIES * min(PIECE_BYTES, FLOAT * channels * voxels)
    per_voxel = 1 + FLOAT + (2 * classes if options.probabilities else 0)
    of_regions = max(1, regions) * parts.attention + regions * per_voxel * min(voxels, float(np.prod(extent)) / prod(spacing))
    result = per_voxel * voxels + of_regions + (FLOAT * len(maps) * voxels if options.attention_grid == "input" else 0)
    computing = volume + parts.sums + parts.attention + parts.network, volume + parts.sums + parts.slices + result
    return PROCESS_BYTES + scan + max(2 * volume + pieces, *computing, result + voxels)


def estimated_gpu_bytes(
    card: Card, shape: Sequence[int], spacing: Sequence[float], region: Region | None = None, maps: Sequence[Sequence[int]] = ()
) -> float:
    """Estimated peak of the memory of a CUDA device that a run takes there, without what the driver needs. Arguments as of `estimated_bytes`.

    The weights and the sums over all patches lie there, beside a batch of patches in the network and then the logits of a slice of the scan. Where
    this is too much, a run takes smaller batches, adds up in main memory, or in the end computes on the CPU.
    """
    parts = _parts(card, _seen(card, shape, spacing, region)[0], shape, maps)
    batch = (PATCHES_AT_A_TIME if card.slices is None else SLICES_AT_A_TIME)["cuda"]
    # Weights are stored in half of the precision in which they compute.
    return 2 * card.weights_bytes + parts.sums + parts.attention + max(batch * parts.network, parts.slices)


class _Parts(NamedTuple):
    """What a network and its output take: voxels of the working grid; bytes of the sums, of one patch in the network, of a slice, of the maps."""

    working: float
    sums: float
    network: float
    slices: float
    attention: float


def _seen(card: Card, shape: Sequence[int], spacing: Sequence[float], region: Region | None) -> tuple[np.ndarray, int]:
    """Edges in mm, ascending, of what the network sees at a time, and the number of regions; 0 for the whole scan."""
    extent = np.sort(np.multiply(shape, spacing))
    if region is not None:
        return np.sort(region.size), 1
    if card.found_by is not None and is_searched(extent, card):
        return np.sort(card.region_edges), len(card.found_by.regions)
    return extent, 0


def _parts(card: Card, extent: np.ndarray, shape: Sequence[int], maps: Sequence[Sequence[int]]) -> _Parts:
    classes = len(card.labels) + 1
    working = float(np.prod(np.maximum(np.ceil(extent / np.sort(card.spacing)), np.sort(card.patch_size))))
    return _Parts(
        working,
        sums=FLOAT * (classes + 1) * working,
        network=FLOAT * prod(card.patch_size) * (COPIES * classes + FEATURES),
        # A slice of the scan, and the two of the working grid beside it.
        slices=FLOAT * (COPIES + 2) * classes * prod(shape[:2]),
        attention=FLOAT * working * sum(1 / prod(stride) for stride in maps),
    )


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
