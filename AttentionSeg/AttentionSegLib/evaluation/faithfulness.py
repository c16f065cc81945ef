"""Measures of how much a segmentation depends on its attention maps: by changing gates, and by deleting attended positions."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..image import Image
from ..inference import Predictor
from ..inference.backends import prepare_backend
from ..inference.blend import patch_windows
from ..inference.preprocessing import prepare, working_grid
from ..inference.slices import with_neighbors
from ..models import Model
from ..networks import build_network
from ..networks.contract import with_maps

# By the key of the measure: the change of the coefficients of a gate.
GATE_CHANGES: dict[str, Callable[[Tensor], Tensor]] = {
    "dice_lost_mean": lambda alpha: alpha.mean(tuple(range(2, alpha.ndim)), keepdim=True).expand_as(alpha),
    "dice_lost_inverted": lambda alpha: 1 - alpha,
}
# Number of voxels of a label that are probed, share of the positions that is deleted, and number of random draws to compare with.
PROBED, DELETED, DRAWS = 3, 0.05, 2
# Radius, in positions, of the neighborhood of the probed one that is never deleted, and of the mean that replaces a deleted one.
KEPT_AROUND, MEAN_OVER = 1, 2


def with_gate(model: Model, name: str, change: Callable[[Tensor], Tensor]) -> Model:
    """A copy of a model with changed coefficients in the gate of a map; it does not run with OpenVINO, which has no hooks."""
    network = copy.deepcopy(model.network)
    for module in network.gates[name]:
        module.register_forward_hook(lambda _module, _inputs, alpha: change(alpha))
    return replace(model, network=network)


def with_random_weights(model: Model, seed: int) -> Model:
    """A copy of a model with random weights, as before training."""
    card = model.card
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build_network(card.network, card.in_channels, len(card.labels) + 1, card.network_arguments)
    return replace(model, network=network.eval())


class Deletion:
    """Measures how much the probability of a voxel falls when the positions that it attends to are deleted.

    Args:
        predictor: of a model with position attention.
        image: a scan that is segmented as a whole.
    """

    def __init__(self, predictor: Predictor, image: Image) -> None:
        card, patch = predictor.model.card, predictor.patch
        self._network = prepare_backend("torch", predictor.model, patch).network
        if isinstance(self._network, nn.Module):
            self._network.to(predictor.device)
        self._device, self._patch = predictor.device, np.array(patch)
        grid = working_grid(image, None, card, patch, self._network.total_stride)
        self._affine, self._volume = grid.affine, with_neighbors(prepare(image, None, grid, card), card)
        # Patches with an overlap of one half.
        self._windows = patch_windows(grid.shape, patch, [max(1, size // 2) for size in patch])

    def probability_lost(self, labels: Image, value: int, names: Sequence[str], rng: np.random.Generator) -> np.ndarray:
        """The measure `probability_lost` of each position map, mean over a few voxels of a label. [maps], NaN where the label has no voxel.

        Args:
            labels: the segmentation, in the geometry of the scan.
            value: of the label.
            names: the position maps.
            rng: to draw voxels and positions.
        """
        voxels = np.argwhere(labels.voxels[0] == value)
        if not len(voxels):
            return np.full(len(names), np.nan)
        drawn = voxels[rng.choice(len(voxels), min(PROBED, len(voxels)), replace=False)]
        return np.mean([self._of_voxel(labels.to_ras(voxel), value, names, rng) for voxel in drawn], axis=0)

    @torch.inference_mode()
    def _of_voxel(self, ras: np.ndarray, value: int, names: Sequence[str], rng: np.random.Generator) -> list[float]:
        voxel = np.rint(np.linalg.solve(self._affine, [*np.ravel(ras), 1.0])[:3]).clip(0, np.array(self._volume.shape[1:]) - 1).astype(int)
        window = min(self._windows, key=lambda window: np.linalg.norm([v - (w.start + w.stop - 1) / 2 for v, w in zip(voxel, window)]))
        place = tuple(int(v) - w.start for v, w in zip(voxel, window))
        x = self._volume[(slice(None), *window)][None].to(self._device)
        output = with_maps(self._network, x, names)
        # All position attention of a network is on the same grid.
        stride = self._network.attention_strides[names[0]]
        size = [int(n) // s for n, s in zip(self._patch, stride)]
        position = [p // s for p, s in zip(place, stride)]
        others = np.flatnonzero(np.max([np.abs(axis - p) for axis, p in zip(np.indices(size), position)], axis=0) > KEPT_AROUND)
        count = max(1, round(DELETED * len(others)))
        x_mean = _local_mean(x, stride)

        def probability_without(positions: np.ndarray) -> float:
            deleted = torch.zeros(size, device=x.device)
            deleted.view(-1)[torch.from_numpy(positions).to(x.device)] = 1
            mask = F.interpolate(deleted[None, None], x.shape[2:], mode="nearest-exact") > 0
            logits = with_maps(self._network, torch.where(mask, x_mean, x), ()).logits
            return float(torch.softmax(logits[(0, slice(None), *place)].float(), 0)[value])

        at_random = np.mean([probability_without(rng.choice(others, count, replace=False)) for _ in range(DRAWS)])
        rows = [output.positions[name].row(position)[tuple(slice(n) for n in size)].cpu().numpy().ravel()[others] for name in names]
        return [float(at_random) - probability_without(others[np.argsort(-row, kind="stable")[:count]]) for row in rows]


def _local_mean(x: Tensor, stride: Sequence[int]) -> Tensor:
    """The mean of [1, C, I, J, K] over cubes with MEAN_OVER positions to each side, cut off at the edges of the patch."""
    reach = [min(MEAN_OVER * s, size - 1) for s, size in zip(stride, x.shape[2:])]
    return F.avg_pool3d(x, [2 * r + 1 for r in reach], stride=1, padding=reach, count_include_pad=False)
