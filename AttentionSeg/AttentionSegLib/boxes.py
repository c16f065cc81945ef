"""Bounding boxes of the labeled voxels of an array."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

Box = tuple[slice, ...]


def bounding_box(mask: np.ndarray) -> Box | None:
    """The smallest box around the nonzero voxels of an array [I, J, K]; None if all are 0."""
    # Passes over contiguous voxels alone, which are many times as fast.
    across = int(np.argmax(mask.strides))
    slices = np.moveaxis(mask, across, 0)
    plane = np.asarray(slices.any(axis=0))
    if not plane.any():
        return None
    box = [_ends(plane.any(axis=1)), _ends(plane.any(axis=0))]
    box.insert(across, _ends(np.array([part.any() for part in slices])))
    return tuple(box)


def label_boxes(labels: np.ndarray) -> dict[int, Box]:
    """The smallest box around the voxels of each label, by label value.

    Args:
        labels: [I, J, K], integers; 0 is background.
    """
    # Imported here because it is slow.
    from scipy import ndimage

    around = bounding_box(labels)
    if around is None:
        return {}
    # In the order of memory, which is ten times as fast.
    order = np.argsort(labels.strides)[::-1]
    found = enumerate(ndimage.find_objects(labels[around].transpose(order)), start=1)
    return {value: _moved([box[axis] for axis in np.argsort(order)], around) for value, box in found if box is not None}


def _ends(filled: ArrayLike) -> slice:
    places = np.flatnonzero(filled)
    return slice(int(places[0]), int(places[-1]) + 1)


def _moved(box: Sequence[slice], around: Box) -> Box:
    return tuple(slice(inner.start + outer.start, inner.stop + outer.start) for inner, outer in zip(box, around))
