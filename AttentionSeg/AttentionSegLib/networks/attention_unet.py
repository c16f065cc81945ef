"""Attention U-Net (Oktay et al. 2018, figure 1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from .attention_gate import GatedSkip
from .contract import RegionLoss, Variant
from .layers import are_counts, conv_block, convolution, crop, max_pool, normalization, pad_to_multiple, resize
from .levels import FEWEST_VOXELS, MOST_CHANNELS, MOST_LEVELS, PLANNED_CHANNELS, Layer, LeveledNetwork, Stride, default_first
from .output import NetworkOutput, ReturnAttention, wanted_maps
from .supervision import deep_supervision

GATES = ("grid", "full", "none")


@dataclass(frozen=True)
class UNetArguments:
    """The arguments of an Attention U-Net.

    Attributes:
        channels: features of each level, finest first.
        strides: downsampling between levels, one fewer than `channels`; a number or one per axis. 2 everywhere when left out.
        norm: `batch`, or `instance` for small batches.
        gate: `grid` (summed on the coarser grid, the default of the paper's code), `full` (at the resolution of the skip)
            or `none` (the plain U-Net, to compare with).
        gates_per_level: parallel gates on each gated skip, 1 or more.
        deep_supervision: predict at each decoder level and combine the predictions by a last 1x1 convolution.
        dropout: share of features dropped after each convolution block, 0..1.
    """

    channels: Sequence[int] = (16, 32, 64, 128, 256)
    strides: Sequence[Stride] | None = None
    norm: str = "batch"
    gate: str = "grid"
    gates_per_level: int = 1
    deep_supervision: bool = False
    dropout: float = 0.0


class AttentionUNet(LeveledNetwork):
    """U-Net whose skip connections have attention gates, with the coarser decoder features as gating signal.

    Levels count from 1, the full resolution. The skip of level 1 is not gated, because its features are too local.
    The gate of level l gives the map `gate_<l>` at the resolution of that level.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the input.
        out_channels: classes, background included.
        arguments: those of `UNetArguments`.

    Raises:
        ValueError: if an argument is not one of these.
    """

    def __init__(self, spatial_dims: int, in_channels: int, out_channels: int, **arguments: Any) -> None:
        given = UNetArguments(**arguments)
        super().__init__(spatial_dims, given.channels, given.strides)
        _check_arguments(given)
        channels, norm, gate, dropout = given.channels, given.norm, given.gate, given.dropout
        dims, levels = spatial_dims, len(channels)

        self.encoder = nn.ModuleList(conv_block(dims, i, o, norm, dropout) for i, o in zip((in_channels, *channels[:-1]), channels))
        self.pools = nn.ModuleList(max_pool(dims, stride) for stride in self.strides)
        self.decoder = nn.ModuleList(conv_block(dims, fine + coarse, fine, norm, dropout) for fine, coarse in zip(channels, channels[1:]))

        gated = range(1, levels - 1) if gate != "none" else ()
        self.skips = nn.ModuleDict(
            {str(i): GatedSkip(dims, channels[i], channels[i + 1], self.strides[i], norm, gate == "grid", given.gates_per_level) for i in gated}
        )
        self.gating_signal: nn.Module = nn.Identity()
        if gated:
            deepest = channels[-1]
            self.gating_signal = nn.Sequential(
                convolution(dims, deepest, deepest, 1, bias=False), normalization(dims, deepest, norm), nn.ReLU(inplace=True)
            )

        supervised = given.deep_supervision
        self.side_heads = nn.ModuleList(convolution(dims, c, out_channels, 1) for c in channels[:-1]) if supervised else None
        self.head = convolution(dims, out_channels * (levels - 1) if supervised else channels[0], out_channels, 1)

    @property
    def attention_strides(self) -> dict[str, tuple[int, ...]]:
        """Input voxels per voxel of each attention map, along each axis."""
        return {f"gate_{int(i) + 1}": self.stride_of(int(i)) for i in self.skips}

    @property
    def gates(self) -> dict[str, list[nn.Module]]:
        """The modules that give the coefficients of each gated skip, one per gate."""
        return {
            f"gate_{int(i) + 1}": [gate.get_submodule("alpha") for gate in skip.get_submodule("gates").children()] for i, skip in self.skips.items()
        }

    @property
    def explained_layers(self) -> dict[str, Layer]:
        """The levels of the decoder, and the bottleneck."""
        levels: dict[str, Layer] = {f"decoder_{i + 1}": (block, self.stride_of(i)) for i, block in enumerate(self.decoder)}
        return default_first({**levels, "bottleneck": (self.encoder[-1], self.total_stride)})

    @staticmethod
    def variants(device: str) -> list[Variant]:
        return [Variant(partial(_planned_arguments, first)) for first in PLANNED_CHANNELS[device]]

    @staticmethod
    def loss_terms(output: NetworkOutput, region: RegionLoss) -> dict[str, Tensor]:
        """Cross-entropy and Dice of the decoder levels, at half the weight for each coarser level."""
        return deep_supervision((output.logits, *reversed(output.side_logits)), region)

    def forward(self, x: Tensor, return_attention: ReturnAttention = False) -> Tensor | NetworkOutput:
        """Segment a batch.

        Args:
            x: [B, in_channels, *S], any size.
            return_attention: False for logits alone; True for all maps as well, or the names of some.

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
            {name: crop(attention[name], self.map_size(size, name)) for name in wanted},
            tuple(crop(side, size) for side in sides),
        )


def _planned_arguments(first: int, patch: Sequence[int], spacing: Sequence[float]) -> dict[str, Any]:
    strides = _planned_strides(patch, spacing)
    channels = [min(first * 2**level, MOST_CHANNELS) for level in range(len(strides) + 1)]
    anisotropic = {} if all(set(stride) == {2} for stride in strides) else {"strides": strides}
    return {"spatial_dims": len(patch), "channels": channels, **anisotropic, "norm": "instance", "gate": "grid", "deep_supervision": True}


def _planned_strides(patch: Sequence[int], spacing: Sequence[float]) -> list[list[int]]:
    """Strides of 2 along axes that are even and long enough, except those more than twice as coarse as the finest one (Isensee et al. 2021)."""
    size, mm = list(patch), [float(s) for s in spacing]
    strides: list[list[int]] = []
    while len(strides) < MOST_LEVELS - 1:
        stride = [2 if n % 2 == 0 and n // 2 >= FEWEST_VOXELS and s <= 2 * min(mm) else 1 for n, s in zip(size, mm)]
        if max(stride) == 1:
            break
        strides.append(stride)
        size, mm = [n // by for n, by in zip(size, stride)], [s * by for s, by in zip(mm, stride)]
    # Even a patch of a few voxels has two levels.
    return strides or [[1] * len(size)]


def _check_arguments(given: UNetArguments) -> None:
    msg = None
    if given.gate not in GATES:
        msg = f"There is no gate '{given.gate}'; choose one of {', '.join(GATES)}."
    elif not are_counts([given.gates_per_level]):
        msg = f"gates_per_level is {given.gates_per_level}; it must be a whole number of at least 1."
    if msg:
        raise ValueError(msg)
