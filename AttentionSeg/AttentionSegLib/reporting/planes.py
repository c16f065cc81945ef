"""Anatomical planes in radiological convention, and sampling of volumes along them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import map_coordinates

from ..image import Image

AXIS_ENDS = (("R", "L"), ("A", "P"), ("S", "I"))
# RAS axes across and up the picture, and the axis that the plane is perpendicular to.
VIEWS = {"axial": (0, 1, 2), "coronal": (0, 2, 1), "sagittal": (1, 2, 0)}


@dataclass(frozen=True)
class Plane:
    """A square picture of the patient along two RAS axes, in radiological convention.

    The patient's right, or front, is on the left of the picture; front, or top, is up. So RAS coordinates decrease
    from left to right and from top to bottom in every view.

    Args:
        view: `axial`, `coronal` or `sagittal`.
        center: center of the picture, RAS mm; its coordinate perpendicular to the plane is the plane's position.
        side: edge of the picture in mm.
        pixels: edge of the picture in pixels.
    """

    view: str
    center: tuple[float, float, float]
    side: float
    pixels: int

    @property
    def position(self) -> float:
        """Position of the plane along its perpendicular axis, RAS mm."""
        return self.center[VIEWS[self.view][2]]

    @property
    def title(self) -> str:
        axis = AXIS_ENDS[VIEWS[self.view][2]][0]
        return f"{self.view}, {axis} = {round(self.position, 1) + 0.0:g} mm"

    @property
    def letters(self) -> dict[str, str]:
        """The direction at the `left`, `right`, `top` and `bottom` of the picture: R, L, A, P, S or I."""
        across, up, _ = VIEWS[self.view]
        return dict(zip(("left", "right", "top", "bottom"), AXIS_ENDS[across] + AXIS_ENDS[up]))

    def points(self) -> np.ndarray:
        """RAS mm of the pixel centers, [rows, columns, 3]."""
        across, up, through = VIEWS[self.view]
        offsets = self.side * (0.5 - (np.arange(self.pixels) + 0.5) / self.pixels)
        points = np.empty((self.pixels, self.pixels, 3))
        points[..., across] = self.center[across] + offsets[None, :]
        points[..., up] = self.center[up] + offsets[:, None]
        points[..., through] = self.position
        return points


def sample(image: Image, plane: Plane) -> np.ndarray:
    """Sample the first channel of an image along a plane, linearly: [rows, columns] float32, NaN outside of the image."""
    indices = image.to_ijk(plane.points())
    volume = image.voxels[0]
    # scipy's interpolation supports neither half floats nor booleans.
    volume = volume.astype(np.float32) if volume.dtype in (np.float16, np.bool_) else volume
    picture = map_coordinates(volume, np.moveaxis(indices, -1, 0), output=np.float32, order=1, mode="nearest")
    picture[~_inside(indices, image.shape)] = np.nan
    return picture


def sample_labels(labels: Image, plane: Plane) -> dict[int, np.ndarray]:
    """Sample a segmentation along a plane: by label value its fraction at each pixel, linear, [rows, columns] float32, 0..1.

    The contour at one half is the label's outline. Labels that the plane misses are left out.
    """
    indices = labels.to_ijk(plane.points())
    inside = _inside(indices, labels.shape)
    low = np.floor(indices).astype(np.int32)
    beyond = np.moveaxis((indices - low).astype(np.float32), -1, 0)
    # The two neighboring voxels along each axis.
    voxels = [np.moveaxis(np.clip(low + step, 0, np.array(labels.shape, np.int32) - 1), -1, 0) for step in (0, 1)]
    weights = [1 - beyond, beyond]
    shares: dict[int, np.ndarray] = {}
    for corner in np.ndindex(2, 2, 2):
        found = np.where(inside, labels.voxels[0][tuple(voxels[step][axis] for axis, step in enumerate(corner))], 0)
        weight = np.prod([weights[step][axis] for axis, step in enumerate(corner)], axis=0)
        for value in np.unique(found[found > 0]):
            share = shares.setdefault(int(value), np.zeros(found.shape, np.float32))
            share += weight * (found == value)
    return shares


def _inside(indices: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Whether voxel indices [..., 3] lie in the volume, up to the outer edges of its voxels."""
    slack = 1e-6
    return np.all((indices >= -0.5 - slack) & (indices <= np.array(shape) - 0.5 + slack), axis=-1)
