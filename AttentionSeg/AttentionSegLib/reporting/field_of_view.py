"""The part of the patient that an overview shows: the segmentation with a margin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..boxes import Box, bounding_box
from ..image import Image, box_corners
from ..inference.parts import bounds, held
from .measurements import Measurement
from .placement import nearest_voxel
from .planes import VIEWS, Plane

if TYPE_CHECKING:
    from ..inference.prediction import Prediction
    from ..region import Region

MARGIN_MM = 25.0


@dataclass(frozen=True, eq=False)
class FieldOfView:
    """A box along the RAS axes, and the point in it where the three planes intersect.

    Args:
        focus: intersection of the planes, RAS mm [3].
        low, high: corners of the box, RAS mm [3] each.
        unit: of lengths in words, see `Plane`.
    """

    focus: np.ndarray
    low: np.ndarray
    high: np.ndarray
    unit: str = "mm"

    def plane(self, view: str, pixels: int) -> Plane:
        """The square plane of a view that contains the box, at the same scale in every view."""
        through = VIEWS[view][2]
        center = (self.low + self.high) / 2
        center[through] = self.focus[through]
        side = (self.high - self.low).max()
        right, anterior, superior = center.tolist()
        return Plane(view, (right, anterior, superior), float(side), pixels, self.unit)


def field_of_view(image: Image, prediction: Prediction, measurements: list[Measurement]) -> FieldOfView:
    """The bounding box of the segmentation with a margin, clipped to the image. The planes go through its center.

    The center is the labeled voxel nearest to the centroid, so that the planes cut a ring or a pair of organs too. If several separate regions were
    found and a plane through the center would pass between them, it is that of the first region. Without a labeled voxel, the box is that of the
    voxels with uncertainty above 0, or the whole image.
    """
    labels, unit = prediction.labels, "mm" if image.spacing_known else "pixels"
    image_low, image_high = _ends(image.corners())
    box = bounding_box(labels.voxels[0] != 0)
    if box is None:
        searched = bounding_box(prediction.uncertainty.voxels[0] > 0)
        low, high = _ends(_box_in_ras(prediction.uncertainty, searched)) if searched else (image_low, image_high)
        return FieldOfView((low + high) / 2, low, high, unit)
    low, high = _ends(_box_in_ras(labels, box))
    return FieldOfView(_focus(prediction, measurements), np.maximum(low - MARGIN_MM, image_low), np.minimum(high + MARGIN_MM, image_high), unit)


def _focus(prediction: Prediction, measurements: list[Measurement]) -> np.ndarray:
    labels = prediction.labels
    found = [measurement for measurement in measurements if measurement.voxels]
    centroid = np.average([m.center for m in found], axis=0, weights=[m.voxels for m in found])
    regions = list(prediction.regions.values())
    first = next((center for region in regions if (center := _centroid(labels, region)) is not None), None)
    if len(regions) < 2 or first is None:
        return labels.to_ras(nearest_voxel(labels.voxels[0] != 0, labels.to_ijk(centroid), labels.spacing))
    low, high = (np.array([end(region.corners(), axis=0) for region in regions]) for end in (np.min, np.max))
    return np.where(((low < centroid) & (centroid < high)).all(axis=0), centroid, first)


def _centroid(labels: Image, region: Region) -> np.ndarray | None:
    """Centroid of the labeled voxels in a region, RAS mm; None if there are none."""
    first, last = bounds(labels, region)
    window = tuple(slice(a, b) for a, b in zip(first, last))
    index = np.argwhere((labels.voxels[0][window] != 0) & held(labels.affine, first, last, region))
    return labels.to_ras(first + index.mean(axis=0)) if len(index) else None


def _box_in_ras(image: Image, box: Box) -> np.ndarray:
    low = np.array([part.start for part in box]) - 0.5
    high = np.array([part.stop for part in box]) - 0.5
    return image.to_ras(box_corners(low, high))


def _ends(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return corners.min(axis=0), corners.max(axis=0)
