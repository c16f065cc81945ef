"""Resampling of logits from the working grid to labels on the grid of the input, slab by slab."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import repeat

import numpy as np
import torch
from torch import Tensor

from ..errors import is_out_of_memory
from ..image import Image
from ..region import Region
from .devices import ran_out
from .parts import affine_from, bounds, held
from .progress import Progress
from .resampling import sampled_slabs, voxel_map


@dataclass(frozen=True, eq=False)
class Restored:
    """Arrays in the geometry of the input: labels and uncertainty [I, J, K], probabilities [classes, I, J, K] or None."""

    labels: np.ndarray
    uncertainty: np.ndarray
    probabilities: np.ndarray | None


@torch.inference_mode()
def restore(
    logits: Tensor, own_uncertainty: Tensor | None, affine: np.ndarray, image: Image, region: Region | None, probabilities: bool, progress: Progress
) -> Restored:
    """Sample logits at the voxels of the input, and reduce them slab by slab to labels, uncertainty and, on request, probabilities.

    Args:
        logits: [classes, *working grid], on any device.
        own_uncertainty: the network's own, [1, *working grid] from 0 to 1; None for the entropy of the probabilities over its largest possible value.
        affine: of the working grid.
        image: the input.
        region: voxels whose center is not in it become background with uncertainty 0.
        probabilities: whether to return them.
        progress: called for each slab.
    """
    classes = logits.shape[0]
    # In the memory layout of files and Slicer, so that neither has to transpose.
    labels = np.zeros(image.shape, np.uint8 if classes <= 256 else np.uint16, order="F")
    uncertainty = np.zeros(image.shape, np.float32, order="F")
    kept = None
    if probabilities:
        kept = np.zeros((classes, *image.shape), np.float16)
        kept[0] = 1
    low, high = bounds(image, region)
    matrix = voxel_map(affine_from(image.affine, low), affine)
    own = repeat(None) if own_uncertainty is None else sampled_slabs(own_uncertainty, matrix, high - low)
    end = low[2]
    for values, unsure in zip(sampled_slabs(logits, matrix, high - low), own):
        first, end = end, end + values.shape[3]
        progress.step((first - low[2]) / (high[2] - low[2]))
        window = slice(low[0], high[0]), slice(low[1], high[1]), slice(first, end)
        found, peak = _most_likely(values)
        labels[window] = found.cpu().numpy()
        if kept is not None:
            kept[(slice(None), *window)] = torch.softmax(values, 0).cpu().numpy()
        uncertainty[window] = (_entropy(values, peak) if unsure is None else unsure[0]).clamp(0, 1).cpu().numpy()
        if region is not None:
            outside = ~held(image.affine, np.array([*low[:2], first]), np.array([*high[:2], end]), region)
            labels[window][outside] = 0
            uncertainty[window][outside] = 0
            if kept is not None:
                kept[(slice(None), *window)][:, outside] = np.eye(1, classes).T
    return Restored(labels, uncertainty, kept)


def most_likely(logits: Tensor) -> Tensor:
    """The class with the largest of the logits [classes, ...], the first of equal ones: [...] uint8, or int32 for more than 256 classes."""
    return _most_likely(logits)[0]


def _most_likely(logits: Tensor) -> tuple[Tensor, Tensor]:
    """The most likely class and its logit."""
    # `argmax` and `max` along the first axis take three to seven times as long on the CPU.
    peak = logits[0].clone()
    labels = torch.zeros_like(peak, dtype=torch.uint8 if len(logits) <= 256 else torch.int32)
    for value in range(1, len(logits)):
        # Of all classes above those before them the last is the largest, and has the largest number.
        labels = torch.maximum(labels, (logits[value] > peak).to(labels.dtype).mul_(value))
        torch.maximum(peak, logits[value], out=peak)
    return labels, peak


def _entropy(logits: Tensor, peak: Tensor) -> Tensor:
    """Entropy of the probabilities of logits [classes, ...], which are overwritten, over its largest possible value, 0..1.

    With d_c = logit_c - peak and Z = sum_c exp(d_c), it is log(Z) - sum_c exp(d_c) d_c / Z: one pass, without an array of all probabilities.

    Args:
        logits: of all classes.
        peak: the largest of them.
    """
    mass, weighted, share = torch.zeros_like(peak), torch.zeros_like(peak), torch.empty_like(peak)
    for logit in logits:
        below = logit.sub_(peak)
        torch.exp(below, out=share)
        mass += share
        weighted.addcmul_(share, below)
    weighted /= mass
    return mass.log_().sub_(weighted).div_(float(np.log(len(logits))))


def restore_with_fallback(
    logits: Tensor, own_uncertainty: Tensor | None, affine: np.ndarray, image: Image, region: Region | None, probabilities: bool, progress: Progress
) -> tuple[Restored, str]:
    """`restore` where the logits are, or on the CPU if this runs out of memory; a note then says so, else it is empty."""
    device, note = logits.device, ""
    # mps does not support 3D interpolation on arbitrary grids.
    if device.type != "mps":
        try:
            return restore(logits, own_uncertainty, affine, image, region, probabilities, progress), note
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
        note = f"{ran_out(device)} while labels were resampled to the scan; the CPU was used instead."
    own_uncertainty = None if own_uncertainty is None else own_uncertainty.cpu()
    return restore(logits.cpu(), own_uncertainty, affine, image, region, probabilities, progress), note
