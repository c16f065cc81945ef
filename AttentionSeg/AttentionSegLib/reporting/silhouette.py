"""The thumbnail of a model: its labels rendered as solid bodies, without intensities of the scan."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image as Picture
from scipy.ndimage import affine_transform, gaussian_filter

from ..boxes import bounding_box
from ..image import Image, box_corners
from .planes import VIEWS

PIXELS = 128
# Factor by which it is drawn larger and then scaled down, so that edges are smooth.
FINER = 2
# Edge in pixels of the drafts from which the view is chosen.
DRAFT = 48
MARGIN = 0.04
# Gaussian smoothing of a label's mask, sigma in voxels, and the level of its surface: below one half, so that structures a voxel thin stay connected.
SMOOTHING, SURFACE = 0.9, 0.4
# Margin in voxels around a label for its smoothed mask.
AROUND = 3
# The viewer's direction in radiological convention: at the feet, in front, on the patient's left.
VIEWER = {"axial": -1, "coronal": 1, "sagittal": -1}
# Right, down and to the viewer: over the viewer's left shoulder.
LIGHT = np.array([-0.4, -0.5, 1.0]) / np.linalg.norm([-0.4, -0.5, 1.0])
AMBIENT, FARTHEST = 0.4, 0.65
STEEPEST = 3.0

Color = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class _Body:
    """One label: its smoothed mask [I, J, K] 0..1, the level of its surface, and the affine of the mask."""

    value: int
    share: np.ndarray
    surface: float
    affine: np.ndarray

    def corners(self, around: float = 0.0) -> np.ndarray:
        """Corners of its box with a margin of `around` voxels, RAS mm [8, 3]."""
        ends = box_corners(np.full(3, AROUND - 0.5 - around), np.array(self.share.shape) - AROUND - 0.5 + around)
        return ends @ self.affine[:3, :3].T + self.affine[:3, 3]


def draw_silhouette(labels: Image, colors: Mapping[int, Color]) -> bytes | None:
    """A PNG, 128 x 128 pixels with transparent background, of labels lit from the front and darker with depth.

    The view is coronal from the front, unless another one shows more labels, or as many on a larger area. Radiological convention.

    Args:
        labels: one channel of label values.
        colors: RGB, each 0..255, by the value of the labels to draw.

    Returns:
        The content of the file; None if no voxel has one of the labels.
    """
    bodies = [body for value in colors if (body := _body(labels, value)) is not None]
    if not bodies:
        return None
    drafts = {view: _render(bodies, view, DRAFT)[0] for view in ("coronal", "axial", "sagittal")}
    view = max(drafts, key=lambda view: (len(np.unique(drafts[view])), np.count_nonzero(drafts[view])))
    values, depth = _render(bodies, view, FINER * PIXELS)
    picture = np.zeros((*values.shape, 4))
    for value, color in colors.items():
        picture[values == value] = (*color, 255)
    picture[..., :3] *= _shade(np.where(values > 0, depth, np.nan))[..., None]
    drawn = Picture.fromarray(np.uint8(np.clip(picture, 0, 255)))
    # Premultiplied alpha, so that the transparent background does not darken edges.
    small = drawn.convert("RGBa").resize((PIXELS, PIXELS), Picture.Resampling.BOX).convert("RGBA")
    file = io.BytesIO()
    small.save(file, "PNG", optimize=True)
    return file.getvalue()


def _body(labels: Image, value: int) -> _Body | None:
    mask = labels.voxels[0] == value
    box = bounding_box(mask)
    if box is None:
        return None
    share = gaussian_filter(np.pad(mask[box], AROUND).astype(np.float32), SMOOTHING)
    affine = labels.affine.copy()
    affine[:3, 3] = labels.to_ras(np.array([part.start - AROUND for part in box]))
    # After smoothing, a label of few voxels may nowhere reach SURFACE.
    return _Body(value, share, min(SURFACE, 0.5 * float(share.max())), affine)


def _render(bodies: list[_Body], view: str, pixels: int) -> tuple[np.ndarray, np.ndarray]:
    """The visible label values [rows, columns], 0 for none, and their depth in pixels (infinite for none)."""
    across, up, through = VIEWS[view]
    corners = np.concatenate([body.corners() for body in bodies])
    low, high = corners.min(axis=0), corners.max(axis=0)
    step = (high - low)[[across, up]].max() * (1 + 2 * MARGIN) / pixels
    ends = np.concatenate([body.corners(AROUND) for body in bodies])[:, through]
    # The surface is interpolated between samples. Along the depth there are at most as many samples as pixels across.
    deep = max(2 * step, np.ptp(ends) / pixels)
    # Picture indices (row, column, depth) to RAS mm.
    to_ras = np.zeros((4, 4))
    to_ras[up, 0] = to_ras[across, 1] = -step
    to_ras[through, 2] = -VIEWER[view] * deep
    to_ras[:3, 3] = (low + high) / 2 - to_ras[:3, :2].sum(axis=1) * (pixels - 1) / 2
    to_ras[through, 3] = ends.max() if VIEWER[view] > 0 else ends.min()
    to_ras[3, 3] = 1

    seen = np.zeros((pixels, pixels), np.int64)
    nearest = np.full((pixels, pixels), np.inf)
    for body in bodies:
        places = (np.linalg.inv(to_ras) @ np.c_[body.corners(AROUND), np.ones(8)].T)[:3]
        first = np.maximum(np.floor(places.min(axis=1)), 0).astype(int)
        last = np.minimum(np.ceil(places.max(axis=1)) + 1, [pixels, pixels, np.inf]).astype(int)
        matrix = np.linalg.inv(body.affine) @ to_ras
        offset = matrix[:3, :3] @ first + matrix[:3, 3]
        share = affine_transform(body.share, matrix[:3, :3], offset, tuple(last - first), order=1)
        depth = (first[2] + _surface(share, body.surface)) * deep / step
        window = (slice(first[0], last[0]), slice(first[1], last[1]))
        front = depth < nearest[window]
        seen[window][front] = body.value
        nearest[window][front] = depth[front]
    return seen, nearest


def _surface(share: np.ndarray, level: float) -> np.ndarray:
    """The interpolated index where each ray along the last axis first reaches the level; infinite where it never does."""
    inside = share >= level
    first = inside.argmax(axis=2)
    after = np.take_along_axis(share, first[..., None], 2)[..., 0]
    before = np.where(first > 0, np.take_along_axis(share, np.maximum(first - 1, 0)[..., None], 2)[..., 0], 0)
    return np.where(inside.any(axis=2), first - (after - level) / np.maximum(after - before, 1e-6), np.inf)


def _shade(depth: np.ndarray) -> np.ndarray:
    """Brightness of a surface from its depth in pixels [rows, columns], NaN where there is none."""
    slopes = [np.clip(_slope(depth, axis), -STEEPEST, STEEPEST) for axis in (1, 0)]
    normals = np.stack([*slopes, np.ones(depth.shape)], axis=-1)
    lit = np.maximum(normals @ LIGHT / np.linalg.norm(normals, axis=-1), 0)
    behind = depth - np.nanmin(depth)
    farness = np.nan_to_num(behind / max(float(np.nanmax(behind)), 1.0))
    return (AMBIENT + (1 - AMBIENT) * lit) * (1 - (1 - FARTHEST) * farness) * 1.15


def _slope(depth: np.ndarray, axis: int) -> np.ndarray:
    """Slope of the depth along an axis, from the neighbors that have a depth."""
    steps = np.stack([np.diff(depth, axis=axis, prepend=np.nan), np.diff(depth, axis=axis, append=np.nan)])
    there = np.isfinite(steps)
    return np.where(there, steps, 0).sum(axis=0) / np.maximum(there.sum(axis=0), 1)
