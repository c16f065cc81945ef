"""Resampling of logits from the working grid to labels on the grid of the input, slab by slab."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..errors import is_out_of_memory
from ..image import Image
from ..region import Region
from .devices import ran_out
from .parts import affine_from, bounds, held, slabs
from .progress import Progress
from .resampling import sample, voxel_map

SLAB_BYTES = 64 * 1024**2


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
    labels = np.zeros(image.shape, np.uint8 if classes <= 256 else np.uint16)
    uncertainty = np.zeros(image.shape, np.float32)
    kept = None
    if probabilities:
        kept = np.zeros((classes, *image.shape), np.float16)
        kept[0] = 1
    low, high = bounds(image, region)
    for first, last in slabs(low, high, SLAB_BYTES // (4 * 3 * classes)):
        progress.step((first[0] - low[0]) / (high[0] - low[0]))
        window = tuple(slice(a, b) for a, b in zip(first, last))
        matrix = voxel_map(affine_from(image.affine, first), affine)
        values = sample(logits, matrix, last - first)
        labels[window] = most_likely(values).cpu().numpy()
        doubt = _entropy(values) if own_uncertainty is None else sample(own_uncertainty, matrix, last - first)[0]
        uncertainty[window] = doubt.clamp(0, 1).cpu().numpy()
        if kept is not None:
            kept[(slice(None), *window)] = torch.softmax(values, 0).cpu().numpy()
        if region is not None:
            outside = ~held(image.affine, first, last, region)
            labels[window][outside] = 0
            uncertainty[window][outside] = 0
            if kept is not None:
                kept[(slice(None), *window)][:, outside] = np.eye(1, classes).T
    return Restored(labels, uncertainty, kept)


def most_likely(logits: Tensor) -> Tensor:
    """The class with the largest of the logits [classes, ...], int64 [...]."""
    # `argmax` along the first axis takes seven times as long on the CPU.
    return logits.max(0).indices


def _entropy(values: Tensor) -> Tensor:
    """Entropy of the probabilities of logits [classes, ...] over its largest possible value, 0..1.

    With d_c = logit_c - max and Z = sum_c exp(d_c), it is log(Z) - sum_c exp(d_c) d_c / Z: one pass, without an array of all probabilities.
    """
    peak = values.amax(0)
    mass, weighted = torch.zeros_like(peak), torch.zeros_like(peak)
    for logits in values:
        below = logits - peak
        share = below.exp()
        mass += share
        weighted += share.mul_(below)
    weighted /= mass
    return mass.log_().sub_(weighted).div_(float(np.log(len(values))))


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
