"""A segment as the header of a segmentation lists it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Segment:
    """One segment: the voxels of a layer that have its value.

    Attributes:
        name: for display.
        value: in its layer; segments in different layers may have the same value.
        layer: among those of the file, from 0.
    """

    name: str
    value: int
    layer: int
