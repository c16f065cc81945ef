"""Layers in 2 or 3 dimensions that are shared by the networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, Literal, Union

import torch.nn.functional as F
from torch import Tensor, nn

Convolution = Union[nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d]
_CONV: dict[int, Callable[..., Convolution]] = {2: nn.Conv2d, 3: nn.Conv3d}
_TRANSPOSED: dict[int, Callable[..., Convolution]] = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
_POOL = {2: nn.MaxPool2d, 3: nn.MaxPool3d}
_NORM: dict[str, dict[int, type[nn.Module]]] = {
    "batch": {2: nn.BatchNorm2d, 3: nn.BatchNorm3d},
    "instance": {2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d},
}
_LINEAR = {2: "bilinear", 3: "trilinear"}


def convolution(spatial_dims: int, in_channels: int, out_channels: int, kernel: int | Sequence[int], bias: bool = True, **kwargs: Any) -> Convolution:
    """An n-dimensional convolution with Kaiming-normal weights and zero bias."""
    return _initialized(_CONV[spatial_dims](in_channels, out_channels, kernel, bias=bias, **kwargs))


def transposed_convolution(spatial_dims: int, in_channels: int, out_channels: int, stride: int, bias: bool = True) -> Convolution:
    """A transposed convolution whose kernel equals its stride, with Kaiming-normal weights and zero bias. [B, in, *S] -> [B, out, *S * stride]"""
    return _initialized(_TRANSPOSED[spatial_dims](in_channels, out_channels, stride, stride, bias=bias), mode="fan_out")


def _initialized(layer: Convolution, mode: Literal["fan_in", "fan_out"] = "fan_in") -> Convolution:
    nn.init.kaiming_normal_(layer.weight, mode=mode, nonlinearity="relu")
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def normalization(spatial_dims: int, channels: int, kind: str) -> nn.Module:
    """Batch or instance norm with learned scale and shift."""
    if kind not in _NORM:
        msg = f"There is no norm '{kind}'; choose one of {', '.join(_NORM)}."
        raise ValueError(msg)
    return _NORM[kind][spatial_dims](channels, affine=True)


def max_pool(spatial_dims: int, stride: Sequence[int]) -> nn.Module:
    """Max pooling whose window equals its stride, so that a coarse voxel covers exactly its fine voxels."""
    return _POOL[spatial_dims](tuple(stride), tuple(stride))


def max_pool_3(spatial_dims: int) -> nn.Module:
    """The max pooling of a ResNet's stem: window 3, stride 2."""
    return _POOL[spatial_dims](3, 2, padding=1)


def conv_norm_prelu(spatial_dims: int, in_channels: int, out_channels: int, kernel: int, norm: str) -> nn.Sequential:
    """Convolution, norm, PReLU, of the same size. [B, in, *S] -> [B, out, *S]"""
    return nn.Sequential(
        convolution(spatial_dims, in_channels, out_channels, kernel, bias=False, padding=kernel // 2),
        normalization(spatial_dims, out_channels, norm),
        nn.PReLU(),
    )


def conv_block(spatial_dims: int, in_channels: int, out_channels: int, norm: str, dropout: float = 0.0) -> nn.Sequential:
    """Two times convolution 3, norm, ReLU. [B, in, *S] -> [B, out, *S]"""
    layers: list[nn.Module] = []
    for channels in (in_channels, out_channels):
        layers += [
            convolution(spatial_dims, channels, out_channels, 3, bias=False, padding=1),
            normalization(spatial_dims, out_channels, norm),
            nn.ReLU(inplace=True),
        ]
    if dropout:
        layers.append(nn.Dropout(dropout))
    return nn.Sequential(*layers)


def resize(x: Tensor, size: Sequence[int]) -> Tensor:
    """Linear interpolation to `size`, voxel edges aligned. [B, C, *S] -> [B, C, *size]"""
    if tuple(x.shape[2:]) == tuple(size):
        return x
    return F.interpolate(x, tuple(size), mode=_LINEAR[x.ndim - 2], align_corners=False)


def pad_to_multiple(x: Tensor, multiple: Sequence[int], coarsest: Sequence[int] | None = None) -> Tensor:
    """Zero-pad at the end of each axis to a multiple of `multiple`, and to at least two voxels of the coarsest level, which instance norm needs.

    Args:
        x: [B, C, *S].
        multiple: along each axis.
        coarsest: stride of the coarsest level along each axis; `multiple` when left out.
    """
    coarsest = coarsest or multiple
    target = [-(-size // m) * m for size, m in zip(x.shape[2:], multiple)]
    if prod(-(-t // c) for t, c in zip(target, coarsest)) < 2:
        target[-1] = coarsest[-1] + multiple[-1]
    padding = [amount for size, t in zip(reversed(x.shape[2:]), reversed(target)) for amount in (0, t - size)]
    return F.pad(x, padding) if any(padding) else x


def crop(x: Tensor, size: Sequence[int]) -> Tensor:
    """The first `size` voxels along each axis. [B, C, *S] -> [B, C, *size]"""
    return x[(slice(None), slice(None), *(slice(0, s) for s in size))]


def are_counts(values: object) -> bool:
    """Whether this is a list or tuple of whole numbers of at least 1. Cards are JSON, in which it can be of any type."""
    return isinstance(values, (list, tuple)) and all(isinstance(v, int) and not isinstance(v, bool) and v >= 1 for v in values)
