"""Encoder-decoder networks with several levels: their strides, and the layer at which labels are explained by default."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Union

from torch import nn

from .contract import Network
from .layers import are_counts

Stride = Union[int, Sequence[int]]
# A layer, and its input voxels per voxel along each axis.
Layer = tuple[nn.Module, tuple[int, ...]]
# The level of the decoder at which labels are explained by default.
DEFAULT_EXPLAINED = 3
# Limits for plans: features of the finest level by type of device, best first; the most levels and features; the fewest voxels along an axis of the
# deepest level.
PLANNED_CHANNELS = {"cpu": (16, 8), "gpu": (32, 16)}
MOST_LEVELS, MOST_CHANNELS, FEWEST_VOXELS = 5, 256, 4


class LeveledNetwork(Network):
    """A network whose levels count from 1, the full resolution.

    Args:
        spatial_dims: 2 or 3.
        channels: features of each level, finest first.
        strides: downsampling between levels, one fewer than `channels`; a number or one per axis. 2 everywhere when None.

    Raises:
        ValueError: if one of these is not valid.
    """

    size_arguments: ClassVar = ("channels", "strides")

    def __init__(self, spatial_dims: int, channels: Sequence[int], strides: Sequence[Stride] | None) -> None:
        super().__init__()
        self.strides = _checked_strides(spatial_dims, channels, strides)
        self.spatial_dims = spatial_dims

    @property
    def total_stride(self) -> tuple[int, ...]:
        """Input voxels per voxel of the deepest level, along each axis."""
        return self.stride_of(len(self.strides))

    def stride_of(self, steps: int) -> tuple[int, ...]:
        """Input voxels per voxel after so many steps down, along each axis."""
        total = [1] * self.spatial_dims
        for stride in self.strides[:steps]:
            total = [t * s for t, s in zip(total, stride)]
        return tuple(total)

    def map_size(self, size: Sequence[int], name: str) -> list[int]:
        """The voxels of an attention map along each axis, for an input of this size."""
        return [-(-s // stride) for s, stride in zip(size, self.attention_strides[name])]


def default_first(layers: dict[str, Layer]) -> dict[str, Layer]:
    """The layers with the default one first: level 3 of the decoder, or the deepest if there are fewer.

    In the shipped hippocampus model, explanations at that level differ most from those of random weights (docs/clinician/maps.md).
    """
    default = f"decoder_{min(DEFAULT_EXPLAINED, sum(name.startswith('decoder_') for name in layers))}"
    return {name: layers[name] for name in sorted(layers, key=lambda name: name != default)}


def _checked_strides(spatial_dims: int, channels: Sequence[int], strides: Sequence[Stride] | None) -> list[tuple[int, ...]]:
    """One tuple per step down. Raises ValueError."""
    msg = None
    if spatial_dims not in (2, 3):
        msg = f"spatial_dims is {spatial_dims}; it must be 2 or 3."
    elif not are_counts(channels) or len(channels) < 2:
        msg = f"channels is {channels}; give at least two levels, each a whole number of at least one feature."
    if msg:
        raise ValueError(msg)
    listed = [2] * (len(channels) - 1) if strides is None else strides
    steps = [(s,) * spatial_dims if isinstance(s, int) else s for s in listed] if isinstance(listed, (list, tuple)) else []
    if len(steps) != len(channels) - 1 or any(not are_counts(s) or len(s) != spatial_dims for s in steps):
        msg = (
            f"strides is {strides}; give one step per pair of levels ({len(channels) - 1}), "
            f"each a whole number or {spatial_dims} whole numbers of at least 1."
        )
        raise ValueError(msg)
    return [tuple(s) for s in steps]
