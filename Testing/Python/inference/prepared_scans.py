"""Scans of a ramp or of noise, and what the network gets to see of them."""

from __future__ import annotations

import numpy as np
from AttentionSegLib.image import Image
from AttentionSegLib.inference.preprocessing import WorkingGrid, prepare, working_grid
from poses import affine_around, centers
from scipy.ndimage import gaussian_filter
from tiny_models import make_card

ONE = (1, 1, 1)
Z_SCORE = {"kind": "z-score", "percentiles": [0, 100]}
UPRIGHT = np.eye(3)
SLOPE = np.array([3.0, -2.0, 1.5])


def ramp(ras: np.ndarray) -> np.ndarray:
    """An anatomy whose intensity tells where one is; linear, so that neither blur nor interpolation changes it."""
    return ras @ SLOPE + 7


def ramp_image(shape, axes=UPRIGHT, spacing=(1.0, 1.0, 1.0), center=(10.0, -20.0, 30.0)) -> Image:
    affine = affine_around(center, shape, axes, spacing)
    return Image(ramp(centers(affine, shape))[None], affine, "scan")


def noise_image(shape, axes=UPRIGHT, spacing=(1.0, 1.0, 1.0), center=(10.0, -20.0, 30.0), seed=0) -> Image:
    voxels = gaussian_filter(np.random.default_rng(seed).normal(size=shape), 1) * 300
    return Image(voxels[None], affine_around(center, shape, axes, spacing), "scan")


def seen(image: Image, roi=None, card=None, patch=ONE, multiple=ONE) -> tuple[np.ndarray, WorkingGrid]:
    card = card or make_card()
    grid = working_grid(image, roi, card, patch, multiple)
    return prepare(image, roi, grid, card).numpy(), grid
