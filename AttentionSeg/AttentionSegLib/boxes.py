"""Bounding boxes of the labeled voxels of an array."""

from __future__ import annotations

import numpy as np

Box = tuple[slice, ...]


def bounding_box(mask: np.ndarray) -> Box | None:
    """The smallest box around the nonzero voxels of an array [I, J, K]; None if all are 0."""
    box = [slice(None)] * 3
    # The axis with the largest stride first: its slices are contiguous in memory, and the other axes then search a smaller box.
    for axis in np.argsort(mask.strides)[::-1].tolist():
        filled = np.flatnonzero([part.any() for part in np.moveaxis(mask[tuple(box)], axis, 0)])
        if filled.size == 0:
            return None
        box[axis] = slice(int(filled[0]), int(filled[-1]) + 1)
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
    found = enumerate(ndimage.find_objects(labels[around]), start=1)
    return {value: _moved(box, around) for value, box in found if box is not None}


def _moved(box: Box, around: Box) -> Box:
    return tuple(slice(inner.start + outer.start, inner.stop + outer.start) for inner, outer in zip(box, around))
