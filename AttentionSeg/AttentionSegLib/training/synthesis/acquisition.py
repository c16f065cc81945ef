"""Simulated acquisition: per axis, matrices that blur, take slices and resample them to the working grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .geometry import interpolation_matrix
from .settings import Synthesis

# Sigma of the blur, in slice thicknesses: it leaves a tenth of the signal at the highest frequency that slices can represent (Billot et al. 2023).
BLUR = 2 * np.log(10) / (2 * np.pi)
BLUR_FACTORS = (0.95, 1.05)
THINNEST_MM = 1.0


class Axis(NamedTuple):
    """`seen`: [scanned, fine] weights from the body to the scan; `shown`: [working, scanned] from there to the working grid, None if equal."""

    seen: np.ndarray
    shown: np.ndarray | None = None


def draw_axes(synthesis: Synthesis, fine: Sequence[int], spacing: Sequence[float], rng: np.random.Generator) -> list[Axis]:
    """Draw a random acquisition of a patch, for each of its axes.

    Working voxel i is at fine voxel i times `synthesis.steps`. Thin voxels are blurred as inference blurs them for its grid; thick slices have a
    thickness between 1 mm and their distance.

    Args:
        synthesis: ranges, and fine voxels per working voxel.
        fine: voxels of the patch of the body.
        spacing: of the working grid in mm.
        rng: random numbers.
    """
    slices = int(rng.integers(3)) if rng.random() < synthesis.slice_share else None
    width = rng.uniform(min(THINNEST_MM, min(spacing)), max(THINNEST_MM, min(spacing)))
    axes = []
    for axis, (n, by, working) in enumerate(zip(fine, synthesis.steps, spacing)):
        voxel = working / by
        places = np.arange(0, n, by)
        distance = rng.uniform(*synthesis.slice_mm) if axis == slices else width
        blur = BLUR * rng.uniform(*BLUR_FACTORS)
        if distance <= working:
            sigma = np.hypot(blur * min(distance, width), (working - distance) / 2)
            axes.append(Axis(_gaussian(places, n, sigma / voxel)))
        else:
            thickness = rng.uniform(min(THINNEST_MM, distance), distance)
            gap = distance / voxel
            centers = np.arange(rng.uniform(-gap / 2, gap / 2), n - 1 + gap / 2, gap)
            shown = interpolation_matrix((places - centers[0]) / gap, len(centers))
            axes.append(Axis(_gaussian(centers, n, blur * thickness / voxel), shown))
    return axes


def _gaussian(centers: np.ndarray, n: int, sigma: float) -> np.ndarray:
    """[centers, n] float32 weights of a Gaussian, each row of sum 1; those of the nearest voxel without blur."""
    distance = (np.arange(n) - np.clip(centers, 0, n - 1)[:, None]) / max(sigma, 0.05)
    weights = np.exp(-0.5 * (distance**2 - (distance**2).min(1, keepdims=True)))
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)
