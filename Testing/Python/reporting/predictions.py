"""Segmentations with known answers, on grids in every pose."""

from __future__ import annotations

from typing import Any

import numpy as np
from AttentionSegLib.image import Image
from AttentionSegLib.inference.prediction import Prediction
from AttentionSegLib.models import Card
from builders import make_card_document
from scipy.spatial.transform import Rotation

# Voxel axes to RAS axes: as they are, and two left-handed or permuted orders as scanners store them.
UPRIGHT = np.eye(3)
LPS = np.diag([-1.0, -1.0, 1.0])
PERMUTED = np.array([[0.0, 0.0, -1.0], [-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
OBLIQUE = Rotation.from_euler("xyz", [12, -9, 25], degrees=True).as_matrix() @ PERMUTED
AXES = {"upright": UPRIGHT, "lps": LPS, "permuted": PERMUTED, "oblique": OBLIQUE}
SPACING = (0.8, 3.0, 1.5)


def affine_around(center: tuple[float, float, float], shape: tuple[int, int, int], axes: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    """The affine of a grid whose middle lies at `center`, RAS mm."""
    affine = np.eye(4)
    affine[:3, :3] = axes * spacing
    affine[:3, 3] = center - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return affine


def make_prediction(labels: np.ndarray, affine: np.ndarray, attention: dict[str, Image] | None = None, **changes: Any) -> Prediction:
    """A prediction with these labels [I, J, K] and an uncertainty of 0.25 for each voxel; `changes` go into the card."""
    uncertainty = np.full((1, *labels.shape), 0.25, np.float32)
    return Prediction(
        labels=Image(labels[None].astype(np.uint8), affine),
        uncertainty=Image(uncertainty, affine),
        attention=attention or {},
        probabilities=None,
        card=Card.from_document(make_card_document(**changes)),
        device="cpu",
        seconds={"predict": 1.23456, "restore": 0.5},
        notes=("The GPU had too little memory, so the CPU was used.",),
    )


def coarse_map(image: Image, stride: int, seed: int = 0) -> Image:
    """A random map on the grid that a network has after so many strides: every voxel covers stride^3 of the image's."""
    shape = [max(length // stride, 1) for length in image.shape]
    affine = image.affine.copy()
    affine[:3, 3] = image.to_ras(np.full(3, (stride - 1) / 2))
    affine[:3, :3] *= stride
    return Image(np.random.default_rng(seed).random((1, *shape), dtype=np.float32), affine)
