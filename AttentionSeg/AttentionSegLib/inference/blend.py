"""Overlapping patches of a volume, and the weighted blending of a network's outputs for them.

Patches and weights are those of MONAI's `sliding_window_inference`, to the last bit. It is not called because MONAI can only be imported as a whole,
which takes longer than importing torch and a run together.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor

Window = tuple[slice, ...]

SIGMA = 0.125
SMALLEST_WEIGHT = 1e-3


def patch_windows(shape: Sequence[int], patch: Sequence[int], intervals: Sequence[int]) -> list[Window]:
    """The windows of the patches that cover a volume, the last axis first; the last patch along an axis is moved back to end with the volume.

    Args:
        shape: voxels of the volume along each axis, at least the patch's.
        patch: voxels of a patch.
        intervals: voxels from one patch to the next.
    """
    starts = [
        [min(index * step, size - length) for index in range(-(-(size - length) // step) + 1)] for size, length, step in zip(shape, patch, intervals)
    ]
    return [tuple(slice(start, start + length) for start, length in zip(corner, patch)) for corner in product(*starts)]


def gaussian_weights(patch: Sequence[int], device: torch.device) -> Tensor:
    """Weights [*patch] of the voxels of a patch, the largest in the middle: a Gaussian of an eighth of the patch, not below 1e-3."""
    weights = torch.ones((), device=device)
    for size in patch:
        x = torch.arange(-(size - 1) / 2, (size - 1) / 2 + 1, device=device)
        weights = weights[..., None] * torch.exp(x**2 / (-2 * (SIGMA * size) ** 2))
    return weights.clamp_(min=SMALLEST_WEIGHT)


class Blend:
    """Means over the patches that cover a voxel, weighted by how close it is to the center of each.

        blend = Blend(volume.shape[1:], windows, device, sum_device)
        blend.add("logits", network(patches), windows_of_the_patches)
        logits = blend.means()["logits"]

    Outputs may be coarser than the input; the coarser ones of a patch are added after the finer ones.

    Args:
        shape: voxels of the volume along each axis.
        windows: all patches (see `patch_windows`).
        device: where the network runs.
        sum_device: where the patches are summed.
    """

    def __init__(self, shape: Sequence[int], windows: Sequence[Window], device: torch.device, sum_device: torch.device) -> None:
        self._shape, self._windows, self._sum_device = shape, windows, sum_device
        self._patch = tuple(part.stop - part.start for part in windows[0])
        self._newest = gaussian_weights(self._patch, device)
        # By the size that an output has for a patch: the weights, and their sum over the volume.
        self._weights: dict[tuple[int, ...], Tensor] = {}
        self._totals: dict[tuple[int, ...], Tensor] = {}
        self._sums: dict[str, tuple[Tensor, Tensor]] = {}

    def add(self, name: str, values: Tensor, windows: Sequence[Window]) -> None:
        """Add an output of the network for some patches.

        Args:
            name: which output.
            values: [B, C, *size]; the patch is a whole multiple of the size along each axis.
            windows: where the B patches lie.
        """
        size = tuple(values.shape[2:])
        strides = [voxels // count for voxels, count in zip(self._patch, size)]
        if size not in self._weights:
            self._weigh(size, strides)
        if name not in self._sums:
            total = self._totals[size]
            self._sums[name] = total.new_zeros((values.shape[1], *total.shape)), total
        weighted = (values.float() * self._weights[size]).to(self._sum_device)
        for window, patch in zip(windows, weighted):
            self._sums[name][0][(slice(None), *_coarser(window, strides))] += patch

    def means(self) -> dict[str, Tensor]:
        """Every output that was added, by name: [C, *shape / stride], float32, on `sum_device`. Call it once, after all patches."""
        return {name: values.div_(total) for name, (values, total) in self._sums.items()}

    def _weigh(self, size: tuple[int, ...], strides: Sequence[int]) -> None:
        self._newest = F.interpolate(self._newest[None, None], size, mode="nearest-exact")[0, 0]
        total = torch.zeros([length // stride for length, stride in zip(self._shape, strides)], device=self._sum_device)
        weights = self._newest.to(self._sum_device)
        for window in self._windows:
            total[_coarser(window, strides)] += weights
        self._weights[size], self._totals[size] = self._newest, total


def _coarser(window: Window, strides: Sequence[int]) -> Window:
    return tuple(slice(part.start // stride, part.stop // stride) for part, stride in zip(window, strides))
