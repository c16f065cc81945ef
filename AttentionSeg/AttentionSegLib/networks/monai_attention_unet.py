"""MONAI's `AttentionUnet` as a `Network`: weights trained with MONAI run unchanged, and the gates give attention maps."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Union

import torch
from torch import Tensor, nn

from .contract import RegionLoss, Variant
from .layers import are_counts, crop, pad_to_multiple
from .levels import FEWEST_VOXELS, MOST_CHANNELS, MOST_LEVELS, PLANNED_CHANNELS, Layer, LeveledNetwork, Stride, default_first
from .output import NetworkOutput, ReturnAttention, wanted_maps
from .supervision import deep_supervision

# Keys of a state dict: the first convolution, the last one, and for each level the first convolution below it.
FIRST, LAST = "model.0.conv.0.conv.weight", "model.2.conv.weight"
BELOW = re.compile(r"model\.1((?:\.submodule\.1)*)\.submodule(?:\.0)?\.conv\.0\.conv\.weight")
UP = "model.1.upconv.up.conv.weight"

Kernel = Union[int, Sequence[int]]


@dataclass(frozen=True)
class MonaiArguments:
    """The arguments of the network, with MONAI's names.

    Attributes:
        channels: features of each level, finest first.
        strides: downsampling between levels, one fewer than `channels`; a number or one per axis.
        kernel_size, up_kernel_size: of the convolutions, and of the transposed ones; a number or one per axis.
        dropout: share of features dropped, 0..1.
    """

    channels: Sequence[int] = (16, 32, 64, 128, 256)
    strides: Sequence[Stride] | None = None
    kernel_size: Kernel = 3
    up_kernel_size: Kernel = 3
    dropout: float = 0.0


class MonaiAttentionUNet(LeveledNetwork):
    """MONAI's Attention U-Net (after Oktay et al. 2018), with a gate at the resolution of every skip connection, the finest one included.

    Its tensors have MONAI's names. Sizes that the strides do not divide are padded with 0, and the logits are cropped. The gate of level l, from 1
    at full resolution, gives the map `gate_<l>`.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the input.
        out_channels: classes, background included.
        arguments: those of `MonaiArguments`; strides are 2 everywhere when left out.

    Raises:
        ValueError: if an argument is not one of these.
    """

    def __init__(self, spatial_dims: int, in_channels: int, out_channels: int, **arguments: Any) -> None:
        given = MonaiArguments(**arguments)
        super().__init__(spatial_dims, given.channels, given.strides)
        _check_kernels(given, spatial_dims)
        # Imported here because MONAI takes seconds; its constants are created on the CPU, on whatever device the network is built.
        with torch.device("cpu"):
            from monai.networks.nets import AttentionUnet
        kernels: Any = {"kernel_size": given.kernel_size, "up_kernel_size": given.up_kernel_size}
        # MONAI accepts one number per axis as well, unlike its annotation.
        strides: Any = self.strides
        built = AttentionUnet(spatial_dims, in_channels, out_channels, given.channels, strides, **kernels, dropout=given.dropout)
        self.model = built.model

    @property
    def attention_strides(self) -> dict[str, tuple[int, ...]]:
        """Input voxels per voxel of each attention map, along each axis."""
        return {f"gate_{level + 1}": self.stride_of(level) for level in range(len(self.strides))}

    @property
    def gates(self) -> dict[str, list[nn.Module]]:
        """The last module of each `psi`, whose output is the coefficients."""
        return {f"gate_{level}": [layer.attention.psi[-1]] for level, layer in enumerate(_layers(self.model[1]), start=1)}

    @property
    def explained_layers(self) -> dict[str, Layer]:
        """The levels of the decoder."""
        return default_first({f"decoder_{i + 1}": (layer.merge, self.stride_of(i)) for i, layer in enumerate(_layers(self.model[1]))})

    @staticmethod
    def variants(device: str) -> list[Variant]:
        return [Variant(partial(_planned_arguments, first)) for first in PLANNED_CHANNELS[device]]

    @staticmethod
    def loss_terms(output: NetworkOutput, region: RegionLoss) -> dict[str, Tensor]:
        """Cross-entropy and Dice."""
        return deep_supervision([output.logits], region)

    @staticmethod
    def read_arguments(state: Mapping[str, Tensor]) -> dict[str, Any]:
        """Derive the arguments of the constructor from the shapes of weights, with the numbers of channels and classes, but without the strides.

        Raises:
            ValueError: if these are not weights of this network.
        """
        below = sorted((len(found[1]), tensor) for name, tensor in state.items() if (found := BELOW.fullmatch(name)))
        if not {FIRST, LAST, UP} <= state.keys() or not below:
            msg = f"they are no weights of MONAI's AttentionUnet, which has '{FIRST}', '{UP}' and '{LAST}'"
            raise ValueError(msg)
        first = state[FIRST]
        return {
            "spatial_dims": first.ndim - 2,
            "in_channels": first.shape[1],
            "out_channels": state[LAST].shape[0],
            "channels": [first.shape[0], *(tensor.shape[0] for _, tensor in below)],
            "kernel_size": _kernel_of(first),
            "up_kernel_size": _kernel_of(state[UP]),
        }

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
        # Norms need more than one voxel at the deepest level in training only.
        x = pad_to_multiple(x, self.total_stride, None if self.training else (1,) * self.spatial_dims)
        head, levels, classify = self.model
        gates: list[Tensor] = []
        logits = crop(classify(_decoded(levels, head(x), gates)), size)
        if return_attention is False:
            return logits
        attention = {name: crop(gates[int(name.rpartition("_")[2]) - 1], self.map_size(size, name)) for name in wanted}
        return NetworkOutput(logits, attention)


def _layers(layer: Any) -> Iterator[Any]:
    """MONAI's `AttentionLayer` of each level, finest first."""
    yield layer
    if isinstance(layer.submodule, nn.Sequential):
        yield from _layers(layer.submodule[1])


def _decoded(layer: nn.Module, skip: Tensor, gates: list[Tensor]) -> Tensor:
    """The output of MONAI's `AttentionLayer`; appends the gate of each level, finest first, to a list."""
    gates.append(skip)
    place = len(gates) - 1
    parts = dict(layer.named_children())
    block, below = dict(parts["attention"].named_children()), parts["submodule"]
    # Except at the deepest level, the submodule is a convolution block and another such layer.
    coarse = _decoded(below[1], below[0](skip), gates) if isinstance(below, nn.Sequential) else below(skip)
    signal = parts["upconv"](coarse)
    gates[place] = block["psi"](block["relu"](block["W_g"](signal) + block["W_x"](skip)))
    return parts["merge"](torch.cat([skip * gates[place], signal], 1))


def _planned_arguments(first: int, patch: Sequence[int], _spacing: Sequence[float]) -> dict[str, Any]:
    size = list(patch)
    strides: list[list[int]] = []
    while len(strides) < MOST_LEVELS - 1 and (not strides or max(strides[-1]) > 1):
        strides.append([2 if n % 2 == 0 and n // 2 >= FEWEST_VOXELS else 1 for n in size])
        size = [n // by for n, by in zip(size, strides[-1])]
    if len(strides) > 1 and max(strides[-1]) == 1:
        strides.pop()
    channels = [min(first * 2**level, MOST_CHANNELS) for level in range(len(strides) + 1)]
    # A single number if all axes are equal, as MONAI's users write it.
    return {"spatial_dims": len(patch), "channels": channels, "strides": [step[0] if len(set(step)) == 1 else step for step in strides]}


def _kernel_of(weight: Tensor) -> Kernel:
    """The size of a kernel, a single number if all axes are equal."""
    size = list(weight.shape[2:])
    return size[0] if len(set(size)) == 1 else size


def _check_kernels(given: MonaiArguments, spatial_dims: int) -> None:
    kernels = [given.kernel_size, given.up_kernel_size]
    sizes = [[size] * spatial_dims if isinstance(size, int) else size for size in kernels]
    if any(not are_counts(size) or len(size) != spatial_dims or any(n % 2 == 0 for n in size) for size in sizes):
        msg = f"kernel_size and up_kernel_size are {kernels[0]} and {kernels[1]}; give odd whole numbers, or {spatial_dims} of them."
        raise ValueError(msg)
