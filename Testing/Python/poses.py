"""One anatomy in every pose: the same voxels stored in any order of axes, and grids turned any way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations, product

import numpy as np
from AttentionSegLib.image import Image
from scipy.spatial.transform import Rotation

OBLIQUE = Rotation.from_euler("xyz", [17, -24, 31], degrees=True).as_matrix()
PERMUTED = np.array([[0.0, 0.0, -1.0], [-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
AXES = {"RAS": np.eye(3), "LPS": np.diag([-1.0, -1.0, 1.0]), "PSL": PERMUTED, "oblique": OBLIQUE, "oblique PSL": OBLIQUE @ PERMUTED}


def axes_of(letters: str) -> np.ndarray:
    """Directions of I, J and K that point as the letters say, such as LPS."""
    sides = {letter: sign * np.eye(3)[axis] for axis, pair in enumerate(("RL", "AP", "SI")) for letter, sign in zip(pair, (1, -1))}
    return np.stack([sides[letter] for letter in letters], axis=1)


@dataclass(frozen=True)
class Storage:
    """One of the 48 ways to keep a volume in memory: the order of its axes, and which of them run backward."""

    order: tuple[int, int, int]
    backward: tuple[bool, bool, bool]

    def store(self, image: Image) -> Image:
        """The image kept this way; each voxel stays at its place in the patient."""
        voxels = image.voxels.transpose(0, *(axis + 1 for axis in self.order))
        affine = image.affine[:, [*self.order, 3]]
        for axis, turned in enumerate(self.backward):
            if turned:
                affine[:3, 3] += affine[:3, axis] * (voxels.shape[axis + 1] - 1)
                affine[:3, axis] *= -1
        return Image(self._turned(voxels), affine, image.name)

    def unstore(self, voxels: np.ndarray) -> np.ndarray:
        """Voxels [C, I, J, K] kept this way in the order that they had before."""
        return self._turned(voxels).transpose(0, *(axis + 1 for axis in np.argsort(self.order)))

    def _turned(self, voxels: np.ndarray) -> np.ndarray:
        return np.flip(voxels, [axis + 1 for axis, turned in enumerate(self.backward) if turned])


def storages() -> Iterator[Storage]:
    """All 48."""
    return (Storage(order, backward) for order in permutations(range(3)) for backward in product((False, True), repeat=3))


def affine_around(center: Sequence[float], shape: Sequence[int], axes: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """The affine of a grid whose middle lies at `center`, RAS mm."""
    affine = np.eye(4)
    affine[:3, :3] = axes * spacing
    affine[:3, 3] = center - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return affine


def centers(affine: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Where the voxels of a grid lie, RAS mm, [I, J, K, 3]."""
    index = np.stack(np.meshgrid(*(np.arange(count) for count in shape), indexing="ij"), -1)
    return index @ affine[:3, :3].T + affine[:3, 3]
