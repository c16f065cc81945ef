"""Attention U-Net (Oktay et al. 2018, figure 1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Union

import torch
from torch import Tensor, nn

from .attention_gate import GatedSkip
from .layers import conv_block, convolution, crop, max_pool, normalization, pad_to_multiple, resize
from .output import NetworkOutput, ReturnAttention, wanted_maps

Stride = Union[int, Sequence[int]]
GATES = ("grid", "full", "none")


class AttentionUNet(nn.Module):
    """U-Net whose skip connections pass attention gates, steered by the coarser decoder feature.

    Levels count from 1, the full resolution. The skip of level 1 is not gated: its features are too local to be steered.
    The gate of level l gives the map `gate_<l>` at the resolution of that level.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the input.
        out_channels: classes, background included.
        channels: features of each level, finest first.
        strides: downsampling between levels, one fewer than `channels`; a number or one per axis. 2 everywhere when left out.
        norm: `batch`, or `instance` for small batches.
        gate: `grid` (summed on the coarser grid, the default of the paper's code), `full` (at the resolution of the skip)
            or `none` (the plain U-Net, to compare with).
        gates_per_level: gates side by side on each gated skip, 1 or more.
        deep_supervision: predict at each decoder level and join the predictions by a last 1x1 convolution.
        dropout: share of features dropped after each convolution block, 0..1.

    Raises:
        ValueError: if an argument is not one of these.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        channels: Sequence[int] = (16, 32, 64, 128, 256),
        strides: Sequence[Stride] | None = None,
        norm: str = "batch",
        gate: str = "grid",
        gates_per_level: int = 1,
        deep_supervision: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.strides = _check_arguments(spatial_dims, channels, strides, gate, gates_per_level)
        self.spatial_dims = spatial_dims
        dims, levels = spatial_dims, len(channels)

        self.encoder = nn.ModuleList(conv_block(dims, i, o, norm, dropout) for i, o in zip((in_channels, *channels[:-1]), channels))
        self.pools = nn.ModuleList(max_pool(dims, stride) for stride in self.strides)
        self.decoder = nn.ModuleList(conv_block(dims, fine + coarse, fine, norm, dropout) for fine, coarse in zip(channels, channels[1:]))

        gated = range(1, levels - 1) if gate != "none" else ()
        self.skips = nn.ModuleDict(
            {str(i): GatedSkip(dims, channels[i], channels[i + 1], self.strides[i], norm, gate == "grid", gates_per_level) for i in gated}
        )
        self.gating_signal = nn.Identity()
        if gated:
            deepest = channels[-1]
            self.gating_signal = nn.Sequential(
                convolution(dims, deepest, deepest, 1, bias=False), normalization(dims, deepest, norm), nn.ReLU(inplace=True)
            )

        if deep_supervision:
            self.side_heads = nn.ModuleList(convolution(dims, c, out_channels, 1) for c in channels[:-1])
            self.head = convolution(dims, out_channels * (levels - 1), out_channels, 1)
        else:
            self.side_heads = None
            self.head = convolution(dims, channels[0], out_channels, 1)

    @property
    def total_stride(self) -> tuple[int, ...]:
        """Input voxels per voxel of the deepest level, along each axis."""
        return self._stride_of(len(self.strides))

    @property
    def attention_strides(self) -> dict[str, tuple[int, ...]]:
        """Input voxels per voxel of each attention map, along each axis."""
        return {f"gate_{int(i) + 1}": self._stride_of(int(i)) for i in self.skips}

    @property
    def maps_scaled_per_volume(self) -> frozenset[str]:
        """The maps to be shown as a share of the largest value in a volume: none, a gate is 0..1 by itself."""
        return frozenset()

    def forward(self, x: Tensor, return_attention: ReturnAttention = False) -> Tensor | NetworkOutput:
        """Segment a batch.

        Args:
            x: [B, in_channels, *S], any size.
            return_attention: False for logits alone; True for all maps as well, or the names of those wanted.

        Returns:
            Logits [B, out_channels, *S]; or a `NetworkOutput` with `gate_<l>` [B, 1, *S / stride of level l], 0..1.

        Raises:
            ValueError: if a map has another name.
        """
        size = x.shape[2:]
        wanted = wanted_maps(return_attention, self.attention_strides)
        x = pad_to_multiple(x, self.total_stride)
        skips = []
        for block, pool in zip(self.encoder, self.pools):
            skips.append(block(x))
            x = pool(skips[-1])
        x = self.encoder[-1](x)

        gating, attention, sides = self.gating_signal(x), {}, []
        for i in reversed(range(len(skips))):
            skip = skips.pop()
            if str(i) in self.skips:
                skip, attention[f"gate_{i + 1}"] = self.skips[str(i)](skip, gating)
            x = gating = self.decoder[i](torch.cat([skip, resize(x, skip.shape[2:])], 1))
            if self.side_heads is not None:
                sides.append(self.side_heads[i](x))

        if self.side_heads is not None:
            sides = [resize(side, x.shape[2:]) for side in sides]
            x = torch.cat(sides, 1)
        logits = crop(self.head(x), size)
        if return_attention is False:
            return logits
        return NetworkOutput(
            logits,
            {name: crop(attention[name], _ceil_divide(size, self.attention_strides[name])) for name in wanted},
            tuple(crop(side, size) for side in sides),
        )

    def _stride_of(self, level: int) -> tuple[int, ...]:
        total = [1] * self.spatial_dims
        for stride in self.strides[:level]:
            total = [t * s for t, s in zip(total, stride)]
        return tuple(total)


def _ceil_divide(size: Sequence[int], stride: Sequence[int]) -> list[int]:
    return [-(-s // d) for s, d in zip(size, stride)]


def _check_arguments(
    spatial_dims: int, channels: Sequence[int], strides: Sequence[Stride] | None, gate: str, gates_per_level: int
) -> list[tuple[int, ...]]:
    """The strides, one tuple per step down. Raises ValueError."""
    msg = None
    if spatial_dims not in (2, 3):
        msg = f"spatial_dims is {spatial_dims}; it must be 2 or 3."
    elif not _are_counts(channels) or len(channels) < 2:
        msg = f"channels is {channels}; give at least two levels, each a whole number of at least one feature."
    elif gate not in GATES:
        msg = f"There is no gate '{gate}'; choose one of {', '.join(GATES)}."
    elif not _are_counts([gates_per_level]):
        msg = f"gates_per_level is {gates_per_level}; it must be a whole number of at least 1."
    if msg:
        raise ValueError(msg)
    given = [2] * (len(channels) - 1) if strides is None else strides
    steps = [(s,) * spatial_dims if isinstance(s, int) else s for s in given] if isinstance(given, (list, tuple)) else []
    if len(steps) != len(channels) - 1 or any(not _are_counts(s) or len(s) != spatial_dims for s in steps):
        msg = (
            f"strides is {strides}; give one step per pair of levels ({len(channels) - 1}), "
            f"each a whole number or {spatial_dims} whole numbers of at least 1."
        )
        raise ValueError(msg)
    return [tuple(s) for s in steps]


def _are_counts(values: object) -> bool:
    """Whether this is a list or tuple of whole numbers of at least 1. Cards come from JSON, where anything may stand."""
    return isinstance(values, (list, tuple)) and all(isinstance(v, int) and not isinstance(v, bool) and v >= 1 for v in values)
