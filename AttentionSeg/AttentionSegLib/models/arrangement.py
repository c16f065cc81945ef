"""The block `arrangement` of a card: how the labels lie to each other in the training data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Point = tuple[float, float, float]


@dataclass(frozen=True)
class Arrangement:
    """How the labels of a model of whole scans lie to each other in its training cases.

    Attributes:
        centers: by label value, the mean center of mass in RAS mm, about the mean of all of them.
        misfit: the largest of a training case (see `inference.arrangement.misfit_of`).
    """

    centers: Mapping[int, Point]
    misfit: float

    @property
    def document(self) -> dict[str, Any]:
        """The block of a card."""
        centers = {str(value): [round(length, 2) for length in center] for value, center in sorted(self.centers.items())}
        return {"centers_mm": centers, "misfit": round(self.misfit, 3)}


def parse_arrangement(block: Mapping[str, Any]) -> Arrangement:
    """Parse the block of a document that is valid by the schema."""
    return Arrangement({int(value): tuple(center) for value, center in block["centers_mm"].items()}, block["misfit"])
