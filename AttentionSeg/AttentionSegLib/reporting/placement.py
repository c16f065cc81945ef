"""The voxel of a mask that is nearest to a point."""

from __future__ import annotations

import numpy as np


def nearest_voxel(mask: np.ndarray, point: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """The voxel [3] of a mask [I, J, K], not empty, that is nearest in mm to a point given in voxel indices [3]."""
    reach = 4 * float(np.max(spacing))
    while True:
        low = np.clip(np.floor(point - reach / spacing), 0, mask.shape).astype(int)
        high = np.clip(np.ceil(point + reach / spacing) + 1, 0, mask.shape).astype(int)
        voxels = np.argwhere(mask[low[0] : high[0], low[1] : high[1], low[2] : high[2]]) + low
        distances = np.linalg.norm((voxels - point) * spacing, axis=1)
        # A voxel in a corner of the box may be farther away than one just outside a face, so only voxels within `reach` count.
        if distances.size and distances.min() <= reach:
            return voxels[distances.argmin()]
        reach *= 2
