"""Explanation of labels by HiResCAM (Draelos and Carin 2020, arXiv:2011.08891) or Seg-Grad-CAM (Vinogradova et al. 2020, arXiv:2002.11434)."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..errors import InputError, is_out_of_memory
from ..image import Image
from ..map_kinds import WHY
from ..models import Card, Label, Model, card_of_sides
from ..networks.small_convolutions import halve_convolutions
from ..options import SEG_GRAD_CAM, RunOptions
from ..region import Region
from .attention_maps import attention_image
from .blend import Blend
from .checks import is_searched
from .devices import ran_out
from .preprocessing import WorkingGrid
from .progress import Progress
from .restore import most_likely
from .slices import SliceNetwork, with_neighbors, with_slices
from .sliding_window import Placement, windows_over


class Wanted(NamedTuple):
    """Requested results of a run besides its labels: names of attention maps, whether to return probabilities, and labels to explain."""

    attention: list[str]
    probabilities: bool
    explanation: Explanation


def labels_of_result(image: Image, region: Region | None, card: Card) -> tuple[Label, ...]:
    """The labels in the result of a run: with one per side if the model finds its regions."""
    searched = region is None and is_searched(image.spacing * image.shape, card)
    return (card_of_sides(card) if searched else card).labels


def check_explain(options: RunOptions, labels: Sequence[Label], model: Model) -> None:
    """Raise InputError if a label to be explained is not among `labels`, or the network does not have the layer."""
    if not options.explain:
        return
    card, layers = model.card, getattr(model.network, "explained_layers", {})
    names = [label.name for label in labels]
    unknown = [name for name in options.explain if name not in names]
    msg = None
    if unknown:
        msg = f"The model {card.id} gives no label '{unknown[0]}' that could be explained; choose one of {'; '.join(names)}."
    elif not layers:
        msg = f"The network '{card.network}' has no layer at which a label could be explained; choose another model."
    elif options.explain_layer not in (None, *layers):
        msg = f"The network '{card.network}' has no layer '{options.explain_layer}'; choose one of {', '.join(layers)}."
    if msg:
        raise InputError(msg)


@dataclass(frozen=True, eq=False)
class Explanation:
    """Maps of what raised the logits of labels over a volume, patch by patch, blended like the logits.

        G_k = d(sum of the label's logits over its voxels) / d A_k
        HiResCAM:      L = ReLU(sum_k G_k A_k), each position weighted by its own gradient
        Seg-Grad-CAM:  L = ReLU(sum_k (mean over positions of G_k) A_k)

    A are the features of a layer for a patch. A patch without a voxel of the label adds 0. The sum is over the voxels
    that the network assigns to the label. It needs a few times the memory of a patch's forward pass, and for each label one map at a time.

    Only the features around a label reach its logits. Mean weights make the same features bright anywhere in the patch; weights of their own leave 0
    where the gradient is 0.

    Attributes:
        model: its network is not changed; it is run by torch, with the weights as they were loaded.
        layer: name of the layer, see `Network.explained_layers`; the first when None.
        method: `hirescam` or `seg-grad-cam`.
        values: channel of the logits by label name; None for a label that this volume cannot have, whose map is 0.
        patch, overlap: see `sliding_window.run`.
    """

    model: Model
    layer: str | None
    method: str
    values: Mapping[str, int | None]
    patch: Sequence[int]
    overlap: float

    def images(
        self, volume: Tensor, logits: Tensor, grid: WorkingGrid, placement: Placement, progress: Progress
    ) -> tuple[dict[str, Image], tuple[str, ...]]:
        """The maps by name, at least 0, on the grid of the layer; and notes.

        Args:
            volume: [C, I, J, K] on the CPU.
            logits: of the network for this volume.
            grid: of the volume.
            placement: of the run that computed the logits.
            progress: checked for cancellation between two patches.
        """
        return self.images_of(volume, most_likely(logits).cpu(), grid, placement.device, progress) if self.values else ({}, ())

    def images_of(
        self, volume: Tensor, labels: Tensor, grid: WorkingGrid, device: torch.device, progress: Progress
    ) -> tuple[dict[str, Image], tuple[str, ...]]:
        """The maps for voxels that are given: those of `labels`, int [I, J, K], with the channel of a label; see `images`."""
        notes: tuple[str, ...] = ()
        try:
            maps, stride = self._maps(volume, labels, device, progress)
        except RuntimeError as error:
            if device.type == "cpu" or not is_out_of_memory(error):
                raise
            notes = (f"{ran_out(device)} while labels were explained; the CPU did this instead.",)
        if notes:
            maps, stride = self._maps(volume, labels, torch.device("cpu"), progress)
        return {WHY + name: attention_image(values, stride, grid, WHY + name) for name, values in maps.items()}, notes

    def _maps(self, volume: Tensor, labels: Tensor, device: torch.device, progress: Progress) -> tuple[dict[str, Tensor], tuple[int, ...]]:
        axis = self.model.card.slice_axis
        network = copy.deepcopy(self.model.network).requires_grad_(False).eval().to(device)
        halve_convolutions(network)
        layers = network.explained_layers
        module, stride = layers[self.layer or next(iter(layers))]
        stride = with_slices(stride, axis)
        kept: list[Tensor] = []

        def keep(_module: nn.Module, _inputs: object, features: Tensor) -> Tensor:
            kept[:] = [features.detach().requires_grad_()]
            return kept[0]

        module.register_forward_hook(keep)
        whole = network if axis is None else SliceNetwork(network, axis)
        inputs = with_neighbors(volume, self.model.card)
        windows = windows_over(volume.shape[1:], self.patch, self.overlap, whole.total_stride)
        blend = Blend(volume.shape[1:], windows, device, torch.device("cpu"))
        size = [int(length) // s for length, s in zip(self.patch, stride)]
        known = {name: value for name, value in self.values.items() if value is not None}
        for window in windows:
            progress.step(1.0)
            here = {name: (labels[window] == value).to(device) for name, value in known.items()}
            here = {name: mask for name, mask in here.items() if mask.any()}
            if not here:
                continue
            with torch.enable_grad():
                found = whole(inputs[(slice(None), *window)][None].to(device))[0]
            for number, (name, mask) in enumerate(here.items(), start=1):
                (gradient,) = torch.autograd.grad(found[known[name]][mask].sum(), kept[0], retain_graph=number < len(here))
                values = _weighted(kept[0].detach(), _mean(gradient) if self.method == SEG_GRAD_CAM else gradient)
                values = values if axis is None else values.movedim(0, 1 + axis)[None]
                blend.add(name, values[(slice(None), slice(None), *(slice(n) for n in size))], [window])
        means = blend.means()
        zeros = torch.zeros([1, *(length // s for length, s in zip(volume.shape[1:], stride))])
        return {name: means.get(name, zeros) for name in self.values}, stride


def _mean(gradient: Tensor) -> Tensor:
    """The mean over the positions: [B, C, *S] -> [B, C, *1]."""
    return gradient.sum(tuple(range(2, gradient.ndim)), keepdim=True) / prod(gradient.shape[2:])


def _weighted(features: Tensor, weights: Tensor) -> Tensor:
    """ReLU of the weighted sum of the features [B, C, *S] -> [B, 1, *S]."""
    return (weights * features).sum(1, keepdim=True).relu()
