"""Preprocessing: the working grid of a scan, and normalized intensities on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from ..image import Image
from ..models import Card, Channel
from ..region import Region
from .parts import PIECE_BYTES, affine_from, beneath, held, slabs
from .resampling import inside, sample, voxel_map

# Tolerance in working voxels for differences of edges that come from rounding alone.
SAME = 1e-3
# Largest share of `outside` voxels that a voxel of the grid may be interpolated from.
MOST_OUTSIDE = 0.1
_DIRECTION = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}


@dataclass(frozen=True, eq=False)
class WorkingGrid:
    """The grid on which a network runs: with the orientation and spacing of the card, centered on the image, at least as large as a patch.

    A 2D network gets the slices as they were acquired: the axes are those of the image, in the order of the card, and the distance between the slices
    is that of the image, unless the network sees neighboring slices, which are as far apart as in its training.

    Attributes:
        affine: voxel indices to RAS mm.
        shape: voxels along I, J, K.
        field: the first and one past the last voxel, along each axis, of the requested part; the rest is padding.
    """

    affine: np.ndarray
    shape: tuple[int, int, int]
    field: tuple[tuple[int, int], ...]


def working_grid(
    image: Image, region: Region | None, card: Card, patch: Sequence[int], multiple: Sequence[int], like: WorkingGrid | None = None
) -> WorkingGrid:
    """The smallest grid over the image, or over the region's part of it, grown to at least a patch and to a multiple of `multiple` voxels.

    The voxels of the grid lie symmetrically about the center of the image. So the grid does not depend on how the image is stored,
    different regions share one lattice, and an image that already has the card's spacing and orientation is not interpolated.
    If the grid of another region is given as `like`, the two are a multiple of `multiple` voxels apart, so their coarser maps share a lattice too.
    """
    directions, spacing = _axes(image, card)
    extent = image.corners() @ directions / spacing
    low, high = extent.min(0), extent.max(0)
    # Halves are always rounded down: the last digits depend on how the image is stored.
    count = np.maximum(np.ceil(high - low - 0.5 - SAME), 1)
    first_center = (low + high) / 2 - (count - 1) / 2
    start, stop = np.zeros(3), count
    if region is not None:
        box = region.corners() @ directions / spacing
        start = np.clip(np.ceil(box.min(0) - first_center - SAME), 0, count - 1)
        stop = np.clip(np.floor(box.max(0) - first_center + SAME) + 1, start + 1, count)

    wanted = (stop - start).astype(int)
    grown = np.array([max(-(-n // m) * m, patch) for n, m, patch in zip(wanted, multiple, patch)])
    before = (grown - wanted) // 2
    if like is not None:
        begin = directions.T @ like.affine[:3, 3] / spacing - first_center
        before += np.rint(start - before - begin).astype(int) % multiple
        before -= np.where(before >= multiple, multiple, 0)
        grown += np.where(before + wanted > grown, multiple, 0)
    affine = np.eye(4)
    affine[:3, :3] = directions * spacing
    affine[:3, 3] = directions @ ((first_center + start - before) * spacing)
    i, j, k = grown.tolist()
    return WorkingGrid(affine, (i, j, k), tuple((int(b), int(b + n)) for b, n in zip(before, wanted)))


def prepare(image: Image, region: Region | None, grid: WorkingGrid, card: Card) -> Tensor:
    """Resample the image to the working grid and normalize it; 0 outside the image, and where it has voxels that are `outside`.

    Intensity statistics come from the image within the region alone.

    Returns:
        [C, *grid.shape] float32 on the CPU.

    Raises:
        InputError: if the region holds a single intensity only, or too little of the image for a voxel of the grid.
    """
    working = torch.cat([_sampled(image, piece) for piece in _pieces(image, grid)], 3)
    valid = inside(voxel_map(grid.affine, image.affine), image.shape, grid.shape)
    if not valid.any():
        size = " x ".join(f"{s:g}" for s in card.spacing)
        msg = f"{image.name} is too thin there to hold a voxel of the model's grid ({size} mm); choose a larger region, or another scan."
        raise InputError(msg)
    counted = valid & _field_mask(grid, region)
    # If the region has too few voxels for statistics, those of the surrounding grid are used.
    counted = counted if counted.sum() > 1 else valid
    result = torch.zeros_like(working)
    hidden = np.zeros((len(working), *grid.shape), bool) if image.outside is None else _hidden(image.outside, image.affine, grid)
    for number, (channel, source, target) in enumerate(zip(card.inputs, working, result)):
        used, judged = (torch.from_numpy(mask & ~hidden[number]) for mask in (valid, counted))
        if not used.any():
            msg = f"{image.name} has no numbers there (NaN); choose another region, or another scan."
            raise InputError(msg)
        normalized = normalize(source, channel, judged if judged.any() else used, image.name, may_be_empty=card.in_colors)
        target[used] = normalized[used]
    return result


def normalize(volume: Tensor, channel: Channel, counted: Tensor, name: str, may_be_empty: bool = False) -> Tensor:
    """Normalize one channel as the card specifies.

    Args:
        volume: [I, J, K].
        channel: the channel's entry of the card.
        counted: bool [I, J, K], the voxels that are used for the statistics.
        name: of the image, for the message.
        may_be_empty: whether a channel of one intensity becomes 0, as one of a color image, instead of being refused.

    Raises:
        InputError: if statistics are needed and the counted voxels all have the same intensity.
    """
    rule = channel.normalization
    if rule["kind"] == "window":
        low, high = rule["window"]
        return (volume.clamp(low, high) - rule["mean"]) / rule["std"]
    values = volume[counted].numpy()
    low, high = np.percentile(values, rule["percentiles"])
    clipped = np.clip(values, low, high)
    mean, std = float(clipped.mean(dtype=np.float64)), float(clipped.std(dtype=np.float64))
    if not std > 1e-6 * max(abs(mean), 1e-30):
        if may_be_empty:
            return torch.zeros_like(volume)
        msg = f"{name} has the same intensity everywhere in the region; choose a region with tissue in it, or another scan."
        raise InputError(msg)
    return (volume.clamp(float(low), float(high)) - mean) / std


def _axes(image: Image, card: Card) -> tuple[np.ndarray, np.ndarray]:
    """The directions of the working axes in RAS, one per column, and the spacing in mm (see `WorkingGrid`)."""
    directions, spacing = np.zeros((3, 3)), np.array(card.spacing)
    places = [_DIRECTION[letter] for letter in card.orientation]
    for axis, (row, sign) in enumerate(places):
        directions[row, axis] = sign
    if card.slice_axis is None:
        return directions, spacing
    order = [image.nearest_axes[row] for row, _ in places]
    if not card.context:
        spacing[card.slice_axis] = image.spacing[order[card.slice_axis]]
    own = image.affine[:3, order] / image.spacing[order]
    # Removes the slight shear that an image may have.
    left, _, right = np.linalg.svd(own * np.sign((own * directions).sum(0)))
    return np.round(left @ right, 12), spacing


def _hidden(outside: np.ndarray, image_affine: np.ndarray, grid: WorkingGrid) -> np.ndarray:
    """Which voxels of the grid are `outside` of an image (see `Image`), bool [C, *grid.shape]."""
    outside, affine = _crop(outside, image_affine, grid)
    return (sample(torch.from_numpy(outside), voxel_map(grid.affine, affine), grid.shape) > MOST_OUTSIDE).numpy()


def _field_mask(grid: WorkingGrid, region: Region | None) -> np.ndarray:
    mask = np.zeros(grid.shape, dtype=bool)
    first, last = np.transpose(grid.field)
    window = tuple(slice(*ends) for ends in grid.field)
    mask[window] = True if region is None else held(grid.affine, first, last, region)
    return mask


def _pieces(image: Image, grid: WorkingGrid) -> Iterator[WorkingGrid]:
    """The grid cut along its last axis, so that a copy of the voxels of the image beneath each piece takes about `PIECE_BYTES`."""
    count = max(1, -(-4 * image.voxels.size // PIECE_BYTES))
    for first, last in slabs(np.zeros(3, int), np.array(grid.shape), -(-prod(grid.shape) // count)):
        i, j, k = (last - first).tolist()
        yield replace(grid, affine=affine_from(grid.affine, first), shape=(i, j, k))


def _sampled(image: Image, grid: WorkingGrid) -> Tensor:
    """The intensities [C, *grid.shape] at the voxels of a grid, blurred where it is coarser than the image."""
    voxels, affine = _crop(image.voxels, image.affine, grid)
    return sample(torch.from_numpy(voxels), voxel_map(grid.affine, affine), grid.shape, _blur(affine, grid))


def _crop(voxels: np.ndarray, affine: np.ndarray, grid: WorkingGrid) -> tuple[np.ndarray, np.ndarray]:
    """The part of voxels [C, I, J, K] that the grid covers, as float32, with its affine, and a margin wider than `_blur`."""
    matrix = voxel_map(grid.affine, affine)
    low, high = beneath(matrix, grid.shape, voxels.shape[1:], 2 + 2 * np.abs(matrix[:3, :3]).sum(1))
    part = voxels[(slice(None), *(slice(a, b) for a, b in zip(low, high)))]
    return part.astype(np.float32), affine_from(affine, low)


def _blur(affine: np.ndarray, grid: WorkingGrid) -> list[float]:
    """The blur along each axis, to prevent aliasing where the grid is coarser than the image; see `sample`."""
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    steps = np.linalg.norm(grid.affine[:3, :3].T @ (affine[:3, :3] / spacing), axis=0)
    return [(factor - 1) / 2 if factor > 1.01 else 0.0 for factor in (steps / spacing).tolist()]
