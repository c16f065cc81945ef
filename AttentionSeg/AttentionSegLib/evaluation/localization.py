"""Measures of how well a map locates a label."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..image import Image
from ..inference.parts import slabs
from ..inference.resampling import voxel_map

VOXELS_AT_A_TIME = 2_000_000


class LabelsOnGrid:
    """Counts of the voxels of a scan, and of each label, in each voxel of a map's grid.

    A map is evaluated at the voxels of the scan, each with the value of the map's voxel that contains it. With the counts on the coarser grid this is
    fast, and no array of the size of the scan is kept.

    Args:
        like: an image on the grid of the map.
        reference: label values [1, I, J, K] on the grid of the scan.
        values: the labels.
        ignored: the ignore label; its voxels are left out.
    """

    def __init__(self, like: Image, reference: Image, values: Sequence[int], ignored: int | None = None) -> None:
        self.affine, self.shape = like.affine, like.shape
        size = int(np.prod(like.shape))
        self.all = np.zeros(size, np.int64)
        self.inside = np.zeros((len(values), size), np.int64)
        matrix = voxel_map(reference.affine, like.affine)
        for first, last in slabs(np.zeros(3, int), np.array(reference.shape), VOXELS_AT_A_TIME):
            window = tuple(slice(a, b) for a, b in zip(first, last))
            labels, holders = reference.voxels[0][window], _holders(matrix, first, last, like.shape)
            counted = labels != ignored
            self.all += np.bincount(holders[counted], minlength=size)
            for row, value in zip(self.inside, values):
                row += np.bincount(holders[labels == value], minlength=size)

    def localization(self, values: np.ndarray) -> np.ndarray:
        """ROC AUC, share of the sum inside, and pointing game of a map, see LOCALIZATION. [labels, 3], NaN for labels that the reference lacks.

        Args:
            values: of the map, at least 0, on the grid.
        """
        flat = values.ravel().astype(np.float64)
        levels, level_of = np.unique(flat, return_inverse=True)
        everywhere = np.bincount(level_of, self.all, len(levels))
        found = [self._of_label(flat, level_of, everywhere, inside) for inside in self.inside]
        return np.array(found).reshape(-1, 3)

    def nearness(self) -> np.ndarray:
        """A map on the grid that falls with the distance in mm from its center, from 1 to 0 at the largest distance."""
        index = np.indices(self.shape).reshape(3, -1).T - (np.array(self.shape) - 1) / 2
        distances = np.linalg.norm(index @ self.affine[:3, :3].T, axis=1)
        return 1 - distances / max(distances.max(), 1e-9)

    def _of_label(self, flat: np.ndarray, level_of: np.ndarray, everywhere: np.ndarray, inside: np.ndarray) -> tuple[float, float, float]:
        if not inside.any():
            return (np.nan,) * 3
        positive = np.bincount(level_of, inside, len(everywhere))
        negative = everywhere - positive
        below = np.cumsum(negative) - negative
        pairs = positive.sum() * negative.sum()
        auc = float(positive @ (below + negative / 2) / pairs) if pairs else np.nan
        total = float(flat @ self.all)
        top = np.flatnonzero(everywhere)[-1]
        return auc, float(flat @ inside / total) if total > 0 else np.nan, float(positive[top] / everywhere[top])


def _holders(matrix: np.ndarray, first: np.ndarray, last: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """For each voxel of a window of the scan the voxel of the map that contains it, as an index into the map's flattened grid."""
    i, j, k = np.ogrid[tuple(slice(int(a), int(b)) for a, b in zip(first, last))]
    index = np.zeros(tuple(last - first), np.int64)
    for row, size in zip(matrix[:3], shape):
        place = np.rint(row[0] * i + row[1] * j + row[2] * k + row[3]).astype(np.int64)
        # The outermost voxels of the scan may reach beyond the working grid by a part of a voxel.
        index = index * size + place.clip(0, size - 1)
    return index
