"""A copy of a network that is optimized for inference."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ..networks import Network
from ..networks.small_convolutions import halve_convolutions

_CONVOLUTIONS = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_TRANSPOSED = (nn.ConvTranspose2d, nn.ConvTranspose3d)
_BATCH_NORMS = (nn.BatchNorm2d, nn.BatchNorm3d)


def accelerated(network: Network) -> Network:
    """Return a copy for inference that gives the same numbers except for rounding.

    Batch norm is folded into the convolution before it, PReLU of one slope becomes leaky ReLU in place, weights are stored channels last, and 3D
    convolutions of a single small volume are computed in halves.

    Args:
        network: stays as it is.
    """
    result = copy.deepcopy(network).eval().requires_grad_(False)
    for module in list(result.modules()):
        _fold(module)
    for module in result.modules():
        if isinstance(module, _CONVOLUTIONS):
            weight = module.weight
            weight.data = weight.data.contiguous(memory_format=torch.channels_last if weight.ndim == 4 else torch.channels_last_3d)
    halve_convolutions(result)
    return result


def _fold(parent: nn.Module) -> None:
    """Fold layers that follow each other among the children. Networks here register a norm right after the convolution whose output it takes."""
    children = list(parent.named_children())
    for (name, child), (next_name, following) in zip(children, [*children[1:], ("", None)]):
        if isinstance(child, nn.PReLU) and child.num_parameters == 1:
            setattr(parent, name, nn.LeakyReLU(child.weight.item(), inplace=True))
        if isinstance(child, _CONVOLUTIONS) and isinstance(following, _BATCH_NORMS):
            setattr(parent, name, fuse_conv_bn_eval(child, following, transpose=isinstance(child, _TRANSPOSED)))
            setattr(parent, next_name, nn.Identity())
