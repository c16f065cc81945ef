"""Post-processing of label maps: largest components, sides and holes."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..boxes import label_boxes
from ..components import keep_largest
from ..models import Card
from .sides import separate_sides


def postprocess(labels: np.ndarray, affine: np.ndarray, card: Card) -> str:
    """Clean labels as the card says, in place.

    First the largest component of all labels together is kept, then sides are separated, then the largest component of each label that the card names
    is kept, then holes are filled.

    Components are 26-connected. A hole is background that the label encloses (6-connected); other labels are never overwritten.

    Args:
        labels: [I, J, K] label values.
        affine: IJK to RAS in mm.

    Returns:
        A note if the sides could not be separated, else empty.
    """
    if card.largest_foreground:
        keep_largest(labels, None)
    note = separate_sides(labels, affine, card.side_pairs) if card.side_pairs else ""
    if not card.largest_component and not card.fill_holes:
        return note
    # Bounding boxes before post-processing stay valid: neither rule extends a label beyond its box.
    windows = label_boxes(labels)
    for value in sorted(windows.keys() & card.largest_component):
        keep_largest(labels[windows[value]], value)
    for value in sorted(windows.keys() & card.fill_holes):
        part = labels[windows[value]]
        part[_holes(part == value) & (part == 0)] = value
    return note


def _holes(label: np.ndarray) -> np.ndarray:
    """The voxels that the label encloses in an array [I, J, K] of whether a voxel has it. `binary_fill_holes` takes three times as long."""
    around, count = ndimage.label(~label)
    enclosed = np.ones(count + 1, bool)
    enclosed[0] = False
    for axis in range(3):
        for face in (0, -1):
            enclosed[around.take(face, axis)] = False
    return enclosed[around]
