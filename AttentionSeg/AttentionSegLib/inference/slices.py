"""2D networks for volumes: slice by slice, with or without neighboring slices, with the interface of a network for volumes."""

from __future__ import annotations

from dataclasses import replace
from typing import Union

import torch
from torch import Tensor, nn

from ..models import Card
from ..networks import NetworkOutput
from ..networks.contract import AttentionNetwork
from ..networks.output import ReturnAttention


def with_slices(stride: tuple[int, ...], axis: int | None) -> tuple[int, ...]:
    """Strides of a 2D network as strides in a volume: 1 from slice to slice. Those of a network for volumes (axis None) stay."""
    return stride if axis is None else (*stride[:axis], 1, *stride[axis:])


class StackedSlices:
    """A volume [C, I, J, K] as [C * (2N + 1), I, J, K], computed on indexing: each slice with the N before and after it, channel by channel.

    The first and the last slice are repeated beyond the ends.

    Args:
        volume: the volume.
        axis: the axis of the volume, 0..2, along which the slices lie one after the other.
        context: N.
    """

    def __init__(self, volume: Tensor, axis: int, context: int) -> None:
        self._volume, self._axis, self._context = volume, axis, context
        self.shape = (len(volume) * (2 * context + 1), *volume.shape[1:])

    def __getitem__(self, window: tuple[slice, ...]) -> Tensor:
        dim, count = self._axis + 1, self._volume.shape[self._axis + 1]
        places = torch.arange(count)[window[dim]]
        part = self._volume[(*window[:dim], slice(None), *window[dim + 1 :])]
        return torch.cat([part.index_select(dim, place) for place in neighbors(places, self._context, count)])


VolumeOrSlices = Union[Tensor, StackedSlices]


def with_neighbors(volume: Tensor, card: Card) -> VolumeOrSlices:
    """A volume [C, I, J, K] with neighboring slices as channels, as the network of a model expects."""
    return StackedSlices(volume, card.slice_axis, card.context) if card.slice_axis is not None and card.context else volume


def neighbors(place: Tensor, context: int, count: int) -> list[Tensor]:
    """The numbers of the slices that a network sees together with those at `place` of `count`, in the order of its channels."""
    return [(place + step).clamp(0, count - 1) for step in range(-context, context + 1)]


class SliceNetwork(nn.Module):
    """A 2D network that takes volumes and segments each of their slices, all slices of a batch at once.

    Args:
        network: for [B, C, H, W].
        axis: the axis of the volume, 0..2, along which the slices lie one after the other.

    Shapes: [B, C, I, J, K] -> those of the network, with the slices along `axis`. The batch of `positions` counts slices, those of a volume together;
    their grid has one voxel across.
    """

    def __init__(self, network: AttentionNetwork, axis: int) -> None:
        super().__init__()
        self.network, self.axis = network, axis

    @property
    def total_stride(self) -> tuple[int, ...]:
        """Voxels per voxel of the deepest level, along each axis: 1 from slice to slice."""
        return with_slices(self.network.total_stride, self.axis)

    @property
    def attention_strides(self) -> dict[str, tuple[int, ...]]:
        """Voxels per voxel of each attention map, along each axis."""
        return {name: with_slices(stride, self.axis) for name, stride in self.network.attention_strides.items()}

    @property
    def maps_scaled_per_volume(self) -> frozenset[str]:
        """See `Network`."""
        return self.network.maps_scaled_per_volume

    def forward(self, x: Tensor, return_attention: ReturnAttention = False) -> Tensor | NetworkOutput:
        """See `Network`; for a volume."""
        count, slices = x.shape[0], x.shape[2 + self.axis]
        pictures = x.movedim(2 + self.axis, 1).flatten(0, 1)

        def volume(values: Tensor) -> Tensor:
            return values.unflatten(0, (count, slices)).movedim(1, 2 + self.axis)

        output = self.network(pictures, return_attention)
        if not isinstance(output, NetworkOutput):
            return volume(output)
        return replace(
            output,
            logits=volume(output.logits),
            attention={name: volume(values) for name, values in output.attention.items()},
            side_logits=tuple(volume(values) for values in output.side_logits),
            uncertainty=None if output.uncertainty is None else volume(output.uncertainty),
            positions={name: replace(features, size=with_slices(features.size, self.axis)) for name, features in output.positions.items()},
        )
