"""The region of a run: a box around the structure of interest."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .errors import InputError
from .image import box_corners


@dataclass(frozen=True, eq=False)
class Region:
    """A box in RAS mm, of any orientation.

    Args:
        center: center of the box, RAS mm.
        size: edge lengths in mm along the three axes, all positive.
        axes: 3x3 matrix whose columns are the unit directions of the edges in RAS; the identity when left out.

    Raises:
        InputError: if a number is missing or not finite, a size is not positive, or the axes are not orthonormal.
    """

    center: tuple[float, float, float]
    size: tuple[float, float, float]
    axes: np.ndarray = field(default_factory=lambda: np.eye(3))

    def __post_init__(self) -> None:
        center, size = np.asarray(self.center, dtype=float), np.asarray(self.size, dtype=float)
        if center.shape != (3,) or size.shape != (3,) or not np.isfinite([center, size]).all() or (size <= 0).any():
            msg = f"The region has center {self.center} and size {self.size}; give three coordinates and three positive sizes in mm."
            raise InputError(msg)
        axes = np.asarray(self.axes, dtype=float)
        if axes.shape != (3, 3) or not np.allclose(axes.T @ axes, np.eye(3), atol=1e-4):
            msg = "The region's axes are not three perpendicular unit directions; draw the region again."
            raise InputError(msg)

    @classmethod
    def parse(cls, text: str) -> Region:
        """Read `R,A,S,W,H,D`: center and size in mm, edges along right, anterior and superior."""
        try:
            right, anterior, superior, *size = (float(part) for part in text.split(","))
            width, depth, height = size
        except ValueError as error:
            msg = f"The region '{text}' is not six numbers R,A,S,W,H,D (center and size in mm, RAS), such as 26,-24,-13,36,52,36."
            raise InputError(msg) from error
        return cls((right, anterior, superior), (width, depth, height))

    def corners(self) -> np.ndarray:
        """The eight corners in RAS mm, [8, 3]."""
        half = np.asarray(self.size) / 2
        return box_corners(-half, half) @ np.asarray(self.axes).T + np.asarray(self.center)

    def contains(self, ras: np.ndarray) -> np.ndarray:
        """Whether points [..., 3] in RAS mm lie in the box (its faces included)."""
        local = (np.asarray(ras) - np.asarray(self.center)) @ np.asarray(self.axes)
        return (np.abs(local) <= np.asarray(self.size) / 2 + 1e-6).all(axis=-1)
