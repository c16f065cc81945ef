"""The regions of a model that were found in a scan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..image import Image
from ..region import Region

# Smallest share of a region's box that has to lie in the scan.
LEAST_OF_BOX = 0.75
# Sample points along each edge of a box for this share.
ALONG_EDGE = 13


@dataclass(frozen=True, eq=False)
class FoundRegions:
    """The regions that were found in a scan.

    Attributes:
        regions: by name, such as `right` and `left`, in the order of the card; only those inside the scan.
        how: the method that found them, in words.
        similarity: correlation of scan and template around them after registration, 0..1; None if a model found them.
        notes: one sentence for each region that was left out.
    """

    regions: dict[str, Region]
    how: str
    similarity: float | None
    notes: tuple[str, ...] = ()


def left_out(placed: dict[str, Region], image: Image) -> tuple[dict[str, Region], tuple[str, ...]]:
    """The regions of which the scan contains enough, and a sentence for each of the others."""
    shares = {name: _share_inside(region, image) for name, region in placed.items()}
    notes = tuple(
        f"The region '{name}' was left out: {image.name} holds {100 * share:.0f} % of it." for name, share in shares.items() if share < LEAST_OF_BOX
    )
    return {name: region for name, region in placed.items() if shares[name] >= LEAST_OF_BOX}, notes


def _share_inside(region: Region, image: Image) -> float:
    """The share of a region's box that lies within the edges of an image."""
    along = (np.arange(ALONG_EDGE) + 0.5) / ALONG_EDGE - 0.5
    points = np.stack(np.meshgrid(*(along * size for size in region.size), indexing="ij"), -1).reshape(-1, 3)
    index = image.to_ijk(points @ np.asarray(region.axes).T + np.array(region.center))
    return float(((index >= -0.5) & (index <= np.array(image.shape) - 0.5)).all(1).mean())
