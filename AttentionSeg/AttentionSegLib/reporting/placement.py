"""Where a mask lies in its grid, without ever listing all of its voxels."""

from __future__ import annotations

import numpy as np


def bounding_box(mask: np.ndarray) -> tuple[slice, slice, slice] | None:
    """The smallest box of voxels around a mask [I, J, K]; None when the mask is empty."""
    box = [slice(None)] * 3
    for axis in range(3):
        filled = np.flatnonzero(mask[tuple(box)].any(axis=_other_axes(axis)))
        if filled.size == 0:
            return None
        box[axis] = slice(int(filled[0]), int(filled[-1]) + 1)
    return tuple(box)


def nearest_voxel(mask: np.ndarray, point: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """The voxel [3] of a mask [I, J, K], not empty, that is nearest in mm to a point given in voxel indices [3]."""
    reach = 4 * float(np.max(spacing))
    while True:
        low = np.clip(np.floor(point - reach / spacing), 0, mask.shape).astype(int)
        high = np.clip(np.ceil(point + reach / spacing) + 1, 0, mask.shape).astype(int)
        voxels = np.argwhere(mask[low[0] : high[0], low[1] : high[1], low[2] : high[2]]) + low
        distances = np.linalg.norm((voxels - point) * spacing, axis=1)
        # A voxel in a corner of the box may be farther than one just outside a face, so only those within reach decide.
        if distances.size and distances.min() <= reach:
            return voxels[distances.argmin()]
        reach *= 2


def _other_axes(axis: int) -> tuple[int, ...]:
    return tuple(other for other in range(3) if other != axis)
