"""Parts of paired structures that lie on the other side of the body, found by a plane between the sides."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from ..boxes import label_boxes
from ..components import keep_largest

# Voxels that the plane is fitted to.
SAMPLE = 8000
# Widths of the band around the plane in which a voxel's distance counts, from coarse to fine, and how far a voxel may lie on the other side, as
# shares of the distance between the centers of both sides: of a head, whose midline is bent by 2 mm, about 60 mm.
BANDS = (1 / 2, 1 / 4, 1 / 8, 1 / 16)
MARGIN = 1 / 20
CONNECTED = np.ones((3, 3, 3), bool)
# Smallest share of all voxels on one side, smallest share of a side's voxels that the plane must leave to it, and smallest cosine of the angle
# between the plane's normal and the patient's left-right axis.
SMALLEST_SIDE, SMALLEST_FIT, SMALLEST_COSINE = 0.05, 0.8, 0.5
NO_PLANE = "No plane separates the left structures of this scan from the right ones, so mistaken sides were not corrected."


def separate_sides(labels: np.ndarray, affine: np.ndarray, pairs: Sequence[tuple[int, int]]) -> str:
    """Take away what lies beyond the plane between the sides, in place; what touches the largest component of the other label of its pair joins that.

    All of it does if the other label is nowhere else. The plane is fitted to the largest component of each label, because stray parts lie anywhere.

    Args:
        labels: [I, J, K] label values.
        affine: IJK to RAS in mm.
        pairs: values of the two labels of each paired structure, those of one side always first.

    Returns:
        A note if both sides are there and no plane separates them, so that nothing is changed; else empty.
    """
    one, other = np.array(pairs).T
    sides = np.zeros(np.iinfo(labels.dtype).max + 1, np.int8)
    partners = np.zeros(len(sides), labels.dtype)
    sides[one], sides[other], partners[one], partners[other] = -1, 1, other, one
    order = np.argsort(labels.strides)[::-1]
    voxels, axes, start = labels.transpose(order), affine[:3, order], affine[:3, 3]
    clean = voxels.copy()
    for value, window in label_boxes(clean).items():
        if sides[value]:
            keep_largest(clean[window], value)
    side = sides[clean]
    places = np.flatnonzero(side)
    places = places[:: len(places) // SAMPLE + 1]
    seen = side.ravel()[places]
    if not ((seen < 0).any() and (seen > 0).any()):
        return ""
    plane = fit_plane(np.stack(np.unravel_index(places, voxels.shape), 1) @ axes.T + start, seen)
    if plane is None:
        return NO_PLANE
    normal, offset, margin = plane
    along = [(step * np.arange(size)).astype(np.float32) for step, size in zip(normal @ axes, voxels.shape)]
    across = np.add.outer(along[1], along[2]) + np.float32(normal @ start - offset)
    wrong = np.stack([sides[part] * (across + first) < -margin for part, first in zip(voxels, along[0])])
    clean[wrong] = 0
    there = label_boxes(clean).keys()
    for value, window in label_boxes(np.where(wrong, voxels, 0)).items():
        around = tuple(slice(max(part.start - 1, 0), part.stop + 1) for part in window)
        mistaken = wrong[around] & (voxels[around] == value)
        parts, count = ndimage.label(mistaken, CONNECTED)
        becomes = np.full(count + 1, 0 if partners[value] in there else partners[value])
        becomes[parts[ndimage.binary_dilation(clean[around] == partners[value], CONNECTED)]] = partners[value]
        voxels[around][mistaken] = becomes[parts[mistaken]]
    return ""


def fit_plane(points: np.ndarray, sides: np.ndarray) -> tuple[np.ndarray, float, float] | None:
    """The plane with most voxels on their own side; None if none separates them.

    The count is smooth and bounded: voxels far from the plane do not pull at it, wherever they lie.

    Args:
        points: [N, 3] RAS in mm.
        sides: [N] -1 or 1, both present.

    Returns:
        Unit normal, which points to side 1; offset in mm, so that `normal @ point` equals it on the plane; and margin in mm.
    """
    # Imported here because it is slow.
    from scipy.optimize import minimize

    centers = np.stack([points[sides == side].mean(0) for side in (-1, 1)])
    middle, width = centers.mean(0), float(np.linalg.norm(centers[1] - centers[0]))
    shares = np.array([(sides == side).mean() for side in (-1, 1)])
    if not width or shares.min() < SMALLEST_SIDE:
        return None
    scaled = (points - middle) / width
    plane = np.append((centers[1] - centers[0]) / width, 0)
    for band in BANDS:
        plane = minimize(lambda plane, band: -(np.tanh(_distances(scaled, plane) / band) * sides).mean(), plane, (band,)).x
    right = _distances(scaled, plane) * sides > 0
    normal = plane[:3] / np.linalg.norm(plane[:3])
    if min(right[sides < 0].mean(), right[sides > 0].mean()) < SMALLEST_FIT or abs(normal[0]) < SMALLEST_COSINE:
        return None
    return normal, float(normal @ middle + width * plane[3]), MARGIN * width


def _distances(points: np.ndarray, plane: np.ndarray) -> np.ndarray:
    return points @ (plane[:3] / np.linalg.norm(plane[:3])) - plane[3]
