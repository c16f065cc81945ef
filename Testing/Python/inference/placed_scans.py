"""Scans whose intensities tell where one is, and how to compare what was found with what lies there."""

from __future__ import annotations

import numpy as np
from AttentionSegLib.image import Image
from AttentionSegLib.inference import Prediction
from poses import AXES, Storage, affine_around, centers

CENTER = np.array([20.0, -30.0, 40.0])
SLOPE = np.array([3.0, -2.0, 1.5])
SPACINGS = {"same": (1.0, 1.0, 1.0), "fine": (0.7, 0.6, 0.8), "anisotropic": (0.8, 2.7, 1.3)}


def ramp(ras: np.ndarray) -> np.ndarray:
    """Intensities around 75 that tell where one is; linear, so that neither blur, interpolation nor a block mean changes them."""
    return (ras - CENTER) @ SLOPE + 75


def grid_over(side: float, axes: np.ndarray, spacing: tuple[float, ...]) -> tuple[np.ndarray, tuple[int, ...]]:
    shape = tuple(int(side / s) for s in spacing)
    return affine_around(CENTER, shape, axes, spacing), shape


def ramp_image(axes: np.ndarray = AXES["RAS"], spacing: tuple[float, ...] = SPACINGS["same"], side: float = 32) -> Image:
    affine, shape = grid_over(side, axes, spacing)
    return Image(ramp(centers(affine, shape))[None], affine, "scan")


def deep_in(image: Image, ras: np.ndarray, margin: float) -> np.ndarray:
    """Points at least so many mm from the faces of the image."""
    half = np.array(image.shape) * image.spacing / 2
    return (np.abs((ras - image.corners().mean(0)) @ (image.affine[:3, :3] / image.spacing)) < half - margin).all(-1)


def dice(first: np.ndarray, second: np.ndarray, value: int) -> float:
    return 2 * ((first == value) & (second == value)).sum() / ((first == value).sum() + (second == value).sum())


def assert_alike_when_stored(storage: Storage, found: Prediction, first: Prediction) -> None:
    """The result of a scan stored in another order is that of the scan."""
    np.testing.assert_array_equal(storage.unstore(found.labels.voxels), first.labels.voxels)
    np.testing.assert_allclose(storage.unstore(found.uncertainty.voxels), first.uncertainty.voxels, atol=1e-4)
    for name, attention in found.attention.items():
        np.testing.assert_allclose(attention.affine, first.attention[name].affine, atol=1e-9)
        np.testing.assert_allclose(attention.voxels, first.attention[name].voxels, atol=1e-4)
