"""Explanation of a label of a result, for its segment or for one voxel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError, memory_for
from ..image import Image
from ..map_kinds import WHY
from ..models import Card
from ..progress import Cancel, OnProgress
from ..region import Region
from ..same_grid import is_same_grid
from .attention_maps import shares_of_largest
from .explanation import Explanation, check_explain
from .fit import rescaled
from .parts import affine_from
from .prediction import Prediction
from .predictor import Predictor
from .preprocessing import WorkingGrid, prepare, working_grid
from .progress import Progress
from .region_search import offsets_of
from .resampling import voxel_map
from .slices import with_slices
from .sliding_window import windows_over


def explain_result(
    predictor: Predictor,
    prediction: Prediction,
    image: Image,
    label: str,
    at: Sequence[float] | None = None,
    *,
    on_progress: OnProgress | None = None,
    cancel: Cancel | None = None,
) -> Image:
    """Where a result has a label, or would have it at one voxel: which features raised it (see `Explanation`).

        why = explain_result(predictor, prediction, image, "Brainstem")
        why = explain_result(predictor, prediction, image, "Brainstem", at=(2, -35, -60))

    The network runs once more, on the patches that hold the segment, or on the one whose center is nearest to the voxel.

    Args:
        predictor: that gave the prediction.
        prediction: the result.
        image: that was segmented.
        label: name of a label in `prediction.card`.
        at: a place in RAS mm. With it, the sum of the equation has one term: the label's logit at that voxel of the working grid, whichever label the
            voxel has in the result, and the method is that of the options of the result. Without it, the sum is over the voxels of the segment.
        on_progress, cancel: see `Predictor`.

    Returns:
        [1, I, J, K] float32, shares of the largest value, on the grid of the layer over the region of the label (over the patch, with `at`).

    Raises:
        InputError: before the network runs, if the prediction has no such label, or no voxel of it; `at` is outside the region in which the label was
            looked for; or the image has another grid than the result.
        OutOfMemory: if there is not enough memory.
        Cancelled: if `cancel` returned True.
    """
    model, options = predictor.model, replace(prediction.options, explain=(label,))
    check_explain(options, prediction.card.labels, model)
    if not is_same_grid(image, prediction.labels.shape, prediction.labels.affine):
        msg = f"{image.name} has another grid than the result; segment it again."
        raise InputError(msg)
    with memory_for(image.name):
        progress = Progress(on_progress, cancel)
        progress.stage("prepare")
        image = rescaled(image, model.card) if options.rescale else image
        value = next(one.value for one in prediction.card.labels if one.name == label)
        part, grid, channel = _part_with(value, predictor, prediction, image)
        place = None if at is None else _voxel(at, grid, label)
        volume = prepare(image, part, grid, model.card)
        if place is None:
            labels = _on_grid(prediction.labels, value, grid) * channel
            if not labels.any():
                msg = f"{label} has no voxels in the result, so there is nothing to explain."
                raise InputError(msg)
        else:
            labels = torch.zeros(grid.shape, dtype=torch.uint8)
            labels[place] = channel
            window = _nearest_window(place, predictor, grid)
            volume, labels, grid = volume[(slice(None), *window)], labels[window], _grid_of(window, grid)
        progress.stage("network")
        explanation = Explanation(model, options.explain_layer, options.explain_method, {label: channel}, predictor.patch, predictor.overlap)
        maps, _notes = explanation.images_of(volume, labels, grid, predictor.device, progress)
        (found,) = shares_of_largest([maps[WHY + label]])
        progress.finish()
        return found


def _part_with(value: int, predictor: Predictor, prediction: Prediction, image: Image) -> tuple[Region | None, WorkingGrid, int]:
    """The region that a label value of the result belongs to, its working grid, and the value in the network's output."""
    card, found = predictor.model.card, prediction.found
    regions = [prediction.region] if found is None else list(found.regions.values())
    multiple = with_slices(predictor.model.network.total_stride, card.slice_axis)
    first: WorkingGrid | None = None
    for part, offset in zip(regions, offsets_of(found, card)):
        grid = working_grid(image, part, card, predictor.patch, multiple, first)
        first = first or grid
        if 0 < value - offset <= len(card.labels):
            return part, grid, value - offset
    msg = f"The region of the label '{_name_of(value, prediction.card)}' was not found in {image.name}, so there is nothing to explain."
    raise InputError(msg)


def _name_of(value: int, card: Card) -> str:
    return next(label.name for label in card.labels if label.value == value)


def _voxel(at: Sequence[float], grid: WorkingGrid, label: str) -> tuple[int, ...]:
    """The voxel of the working grid at a place."""
    place = np.rint(np.linalg.solve(grid.affine, [*at, 1.0])[:3]).astype(int)
    low, high = np.transpose(grid.field)
    if not ((place >= low) & (place < high)).all():
        msg = f"The place ({', '.join(f'{c:.0f}' for c in at)}) is outside the region in which {label} was looked for; choose one inside."
        raise InputError(msg)
    return tuple(place.tolist())


def _on_grid(labels: Image, value: int, grid: WorkingGrid) -> Tensor:
    """1 where the voxel of the result that is nearest has the value, else 0; uint8 [*grid.shape]."""
    # Imported here because it takes a while.
    from scipy.ndimage import affine_transform

    matrix = voxel_map(grid.affine, labels.affine)
    found = (labels.voxels[0] == value).view(np.uint8)
    return torch.from_numpy(affine_transform(found, matrix[:3, :3], matrix[:3, 3], grid.shape, order=0))


def _nearest_window(place: tuple[int, ...], predictor: Predictor, grid: WorkingGrid) -> tuple[slice, ...]:
    """The patch whose center is nearest to a voxel; all slices of it for a 2D network, which may need neighbors."""
    axis, patch = predictor.model.card.slice_axis, predictor.patch
    multiple = with_slices(predictor.model.network.total_stride, axis)
    windows = windows_over(grid.shape, patch, predictor.overlap, multiple)
    middle = (np.array(patch) - 1) / 2
    nearest = min(windows, key=lambda window: np.linalg.norm([p - part.start for p, part in zip(place, window)] - middle))
    return tuple(slice(0, size) if index == axis else part for index, (part, size) in enumerate(zip(nearest, grid.shape)))


def _grid_of(window: tuple[slice, ...], grid: WorkingGrid) -> WorkingGrid:
    """The part of a working grid in a window."""
    first, last = ([getattr(part, end) for part in window] for end in ("start", "stop"))
    field = tuple((max(low - a, 0), min(high, b) - a) for (low, high), a, b in zip(grid.field, first, last))
    return WorkingGrid(affine_from(grid.affine, np.array(first)), tuple(b - a for a, b in zip(first, last)), field)
