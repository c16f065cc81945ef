"""Affines (IJK to RAS, mm) of every kind that scanners and programs write."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
from poses import axes_of
from scipy.spatial.transform import Rotation

SPACING = np.array([0.7, 1.3, 2.9])
ORIGIN = np.array([-91.3, 126.1, -71.9])
ROTATIONS = {"straight": np.eye(3), "oblique": Rotation.from_euler("xyz", [12, -31, 24], degrees=True).as_matrix()}


def affine_of(directions: np.ndarray, spacing: np.ndarray = SPACING, origin: np.ndarray = ORIGIN) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = directions * spacing
    affine[:3, 3] = origin
    return affine


def orders() -> list[str]:
    """All 48 axis orders, right- and left-handed."""
    return ["".join(letters) for pairs in permutations(("RL", "AP", "SI")) for letters in product(*pairs)]


def all_affines() -> list[np.ndarray]:
    return [affine_of(rotation @ axes_of(letters)) for rotation in ROTATIONS.values() for letters in orders()]


def farthest(first: np.ndarray, second: np.ndarray, shape: tuple[int, int, int]) -> float:
    """How far apart two affines place a voxel of a grid at most, mm."""
    corners = np.array(list(product(*((0, count - 1) for count in shape), (1,)))).T
    return float(np.linalg.norm(((first - second) @ corners)[:3], axis=0).max())
