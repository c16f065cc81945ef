"""What a card asks for after the arg max."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..models import Card

_FULL_CONNECTIVITY = np.ones((3, 3, 3), bool)


def postprocess(labels: np.ndarray, card: Card) -> None:
    """Keep the largest component and fill the holes of the labels that the card names, in place.

    Components are 26-connected. A hole is background that the label encloses (6-connected); other labels are never overwritten.

    Args:
        labels: [I, J, K] label values.
    """
    for value in sorted(card.largest_component):
        window = _window(labels == value)
        if window is not None:
            _keep_largest(labels[window], value)
    for value in sorted(card.fill_holes):
        window = _window(labels == value)
        if window is not None:
            part = labels[window]
            part[ndimage.binary_fill_holes(part == value) & (part == 0)] = value


def _window(mask: np.ndarray) -> tuple[slice, ...] | None:
    found = ndimage.find_objects(mask.astype(np.uint8))
    return found[0] if found else None


def _keep_largest(part: np.ndarray, value: int) -> None:
    components, count = ndimage.label(part == value, _FULL_CONNECTIVITY)
    if count > 1:
        sizes = np.bincount(components.ravel())
        sizes[0] = 0
        part[(components > 0) & (components != sizes.argmax())] = 0
