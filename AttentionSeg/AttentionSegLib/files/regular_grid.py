"""Resampling of DICOM slices at irregular positions, such as of a tilted gantry or with two distances, to a regular grid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..image import LPS_TO_RAS
from .slices import Slice

# A voxel counts as outside of the scan if more than this share of it lies beside the slices.
BESIDE = 0.01
# Positions that differ by up to this share of a pixel count as equal, because of rounding.
SAME_PIXEL = 1e-4


def resample_slices(voxels: np.ndarray, slices: Sequence[Slice]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Resample slices linearly to a grid that covers all of them: along their normal at the smallest distance of two slices, or the nearest to it
    that ends at the last one, and within the plane at the pixels of the first slice.

    Args:
        voxels: [columns, rows, slices].
        slices: in this order (see `slices.stack`).

    Returns:
        The voxels [I, J, K] float32, with the smallest value outside of the slices; the 4x4 matrix from voxel indices to RAS mm; and the mask of
        voxels outside of the slices, bool [I, J, K].
    """
    # Imported here because it takes a while.
    from scipy.ndimage import shift

    first = slices[0]
    normal = np.cross(*first.directions)
    moved = np.array([one.position - first.position for one in slices])
    places, beside = moved @ normal, moved @ first.directions.T / first.spacing
    beside = np.where(np.abs(beside - np.rint(beside)) < SAME_PIXEL, np.rint(beside), beside)
    count = max(1, round(places[-1] / np.diff(places).min()))
    low = np.floor(beside.min(0)).astype(int)
    more = np.ceil(beside.max(0)).astype(int) - low
    lowest = float(voxels.min())
    within = np.full((voxels.shape[0] + more[0], voxels.shape[1] + more[1], len(slices)), lowest, np.float32)
    covered = np.zeros_like(within)
    for k, offset in enumerate(beside - low):
        covered[: voxels.shape[0], : voxels.shape[1], k] = 1
        covered[..., k] = shift(covered[..., k], offset, order=1, mode="constant", cval=0)
        within[: voxels.shape[0], : voxels.shape[1], k] = voxels[..., k]
        within[..., k] = shift(within[..., k], offset, order=1, mode="constant", cval=lowest)
    distance = places[-1] / count
    at = np.interp(np.arange(count + 1) * distance, places, np.arange(len(places)))
    before = np.minimum(np.floor(at + 1e-6).astype(int), len(places) - 2)
    share = np.clip(at - before, 0, 1).astype(np.float32)
    result, there = (values[..., before] * (1 - share) + values[..., before + 1] * share for values in (within, covered))
    affine = np.eye(4)
    affine[:3, :3] = np.stack([*(first.directions * first.spacing[:, None]), normal * distance], axis=1)
    affine[:3, 3] = first.position + low @ (first.directions * first.spacing[:, None])
    return result, LPS_TO_RAS @ affine, there < 1 - BESIDE
