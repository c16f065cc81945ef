"""Anatomical planes in radiological convention, and sampling of volumes along them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..image import Image
from ..inference.parts import affine_from, beneath
from ..inference.resampling import along, inside, voxel_map
from ..inference.resampling import sample as resampled

if TYPE_CHECKING:
    from ..inference.prediction import Prediction

AXIS_ENDS = (("R", "L"), ("A", "P"), ("S", "I"))
# RAS axes across and up the picture, and the axis that the plane is perpendicular to.
VIEWS = {"axial": (0, 1, 2), "coronal": (0, 2, 1), "sagittal": (1, 2, 0)}


def views_of(image: Image) -> tuple[str, ...]:
    """The views to show of an image: all, or of a single slice the one in which it lies, as the others would be a line."""
    if not image.is_slice:
        return tuple(VIEWS)
    return tuple(view for view, (_, _, through) in VIEWS.items() if image.shape[image.nearest_axes[through]] == 1)


def upright(image: Image, prediction: Prediction) -> tuple[Image, Prediction]:
    """A single slice with its result, turned around its center until it lies along RAS axes; volumes as they are.

    A view through a slice that lies oblique in the patient would show a band of it.
    """
    if not image.is_slice:
        return image, prediction
    turn = np.eye(4)
    directions = image.affine[:3, :3] / image.spacing
    aligned = np.zeros((3, 3))
    for ras, axis in enumerate(image.nearest_axes):
        aligned[ras, axis] = 1 if directions[ras, axis] > 0 else -1
    turn[:3, :3] = aligned @ directions.T
    center = image.corners().mean(axis=0)
    turn[:3, 3] = center - turn[:3, :3] @ center

    def turned(one: Image) -> Image:
        return replace(one, affine=turn @ one.affine)

    maps = {name: turned(one) for name, one in prediction.attention.items()}
    return turned(image), replace(prediction, labels=turned(prediction.labels), uncertainty=turned(prediction.uncertainty), attention=maps)


# Of a voxel in the value of a pixel.
LEAST_WEIGHT = 1e-5


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
        unit: of lengths in words: `pixels` for an image without spacing, whose pixels are taken to be 1 mm wide.
    """

    view: str
    center: tuple[float, float, float]
    side: float
    pixels: int
    unit: str = "mm"

    @property
    def position(self) -> float:
        """Position of the plane along its perpendicular axis, RAS mm."""
        return self.center[VIEWS[self.view][2]]

    @property
    def title(self) -> str:
        """The view and its position, or the view alone of a picture, which has no place in the patient."""
        axis = AXIS_ENDS[VIEWS[self.view][2]][0]
        return f"{self.view}, {axis} = {round(self.position, 1) + 0.0:g} mm" if self.unit == "mm" else self.view

    @property
    def letters(self) -> dict[str, str]:
        """The direction at the `left`, `right`, `top` and `bottom` of the picture: R, L, A, P, S or I."""
        across, up, _ = VIEWS[self.view]
        return dict(zip(("left", "right", "top", "bottom"), AXIS_ENDS[across] + AXIS_ENDS[up]))

    @property
    def affine(self) -> np.ndarray:
        """From rows and columns of the picture to RAS mm; the third axis is perpendicular to it. [4, 4]"""
        across, up, through = VIEWS[self.view]
        step, affine = self.side / self.pixels, np.zeros((4, 4))
        affine[up, 0] = affine[across, 1] = -step
        affine[through, 2] = affine[3, 3] = 1
        affine[:3, 3] = self.center
        affine[[up, across], 3] += (self.side - step) / 2
        return affine


def sample(image: Image, plane: Plane) -> np.ndarray:
    """Sample the first channel of an image along a plane, linearly: [rows, columns] float32, NaN outside of the image."""
    shape = _shape(plane)
    low, high = beneath(voxel_map(plane.affine, image.affine), shape, image.shape, 1)
    part = image.voxels[0][tuple(slice(a, b) for a, b in zip(low, high))].astype(np.float32)
    picture = resampled(torch.from_numpy(part)[None], voxel_map(plane.affine, affine_from(image.affine, low)), shape)[0, :, :, 0].numpy()
    picture[~_inside(image, plane)] = np.nan
    return picture


def sample_labels(labels: Image, plane: Plane) -> dict[int, np.ndarray]:
    """Sample a segmentation along a plane: by label value its fraction at each pixel, linear, [rows, columns] float32, 0..1.

    The contour at one half is the label's outline. Labels that the plane misses are left out.
    """
    matrix = voxel_map(plane.affine, labels.affine)
    index = np.ogrid[: plane.pixels, : plane.pixels]
    places = [along(row[[0, 1, 3]], index) for row in matrix[:3]]
    inside = _inside(labels, plane)
    low = [np.floor(place).astype(np.int32) for place in places]
    beyond = [(place - first).astype(np.float32) for place, first in zip(places, low)]
    # The two neighboring voxels along each axis. They are looked up, because the box around an oblique plane holds much of the scan.
    voxels = [[np.clip(first + step, 0, size - 1) for first, size in zip(low, labels.shape)] for step in (0, 1)]
    weights = [[1 - one for one in beyond], beyond]
    corners = []
    for corner in np.ndindex(2, 2, 2):
        first, second, third = (weights[step][axis] for axis, step in enumerate(corner))
        # Half of the corners or more have none, where the plane goes through centers of voxels.
        if min(first.max(), second.max(), third.max()) > LEAST_WEIGHT:
            found = np.where(inside, labels.voxels[0][tuple(voxels[step][axis] for axis, step in enumerate(corner))], 0)
            corners.append((found.ravel().astype(np.intp), np.broadcast_to(first * second * third, found.shape).ravel()))
    values = np.unique(np.concatenate([np.flatnonzero(np.bincount(found)) for found, _ in corners]))
    values = values[values > 0]
    shares = np.zeros((len(values), inside.size), np.float32)
    for found, weight in corners:
        labeled = np.flatnonzero(found)
        shares[np.searchsorted(values, found[labeled]), labeled] += weight[labeled]
    return dict(zip(values.tolist(), shares.reshape(-1, *inside.shape)))


def _inside(image: Image, plane: Plane) -> np.ndarray:
    """Whether pixels [rows, columns] lie in the image, up to the outer edges of its voxels."""
    return inside(voxel_map(plane.affine, image.affine), image.shape, _shape(plane))[:, :, 0]


def _shape(plane: Plane) -> tuple[int, int, int]:
    return plane.pixels, plane.pixels, 1
