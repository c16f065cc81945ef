"""Post-processing of label maps: largest components and holes."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..boxes import label_boxes
from ..components import keep_largest
from ..models import Card


def postprocess(labels: np.ndarray, card: Card) -> None:
    """Keep the largest component and fill the holes of the labels that the card names, in place.

    Components are 26-connected. A hole is background that the label encloses (6-connected); other labels are never overwritten.

    Args:
        labels: [I, J, K] label values.
    """
    if not card.largest_component and not card.fill_holes:
        return
    # Bounding boxes before post-processing stay valid: neither rule extends a label beyond its box.
    windows = label_boxes(labels)
    for value in sorted(windows.keys() & card.largest_component):
        keep_largest(labels[windows[value]], value)
    for value in sorted(windows.keys() & card.fill_holes):
        part = labels[windows[value]]
        part[ndimage.binary_fill_holes(part == value) & (part == 0)] = value
