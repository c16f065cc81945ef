"""Faster 3D convolutions of a single volume on the CPU."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Up to this product of channels, I and J, PyTorch multiplies matrices for a batch of one instead of calling oneDNN, which takes 2 to 5 times as long.
LARGEST_SMALL = 20_480
# With gradients, volumes of any size take less time in halves. Below this I the halves overlap too much.
SHORTEST = 8


class HalvedConv3d(nn.Conv3d):
    """A convolution that splits a single volume in two along I where that is faster, and computes the halves as a batch, equal but for rounding."""

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, I, J, K] -> [B, C', I', J', K']."""
        if not self._is_split(x):
            return super().forward(x)
        reach, *others = (size // 2 for size in self.kernel_size)
        length = x.shape[2]
        half = -(-length // 2)
        padded = F.pad(x, (0, 0, 0, 0, reach, reach + length % 2))
        halves = torch.cat([padded[:, :, : half + 2 * reach], padded[:, :, half:]])
        first, second = F.conv3d(halves, self.weight, self.bias, padding=(0, *others)).split(1)
        return torch.cat([first, second[:, :, : length - half]], 2)

    def _is_split(self, x: Tensor) -> bool:
        single = x.ndim == 5 and len(x) == 1 and x.shape[2] >= SHORTEST and x.device.type == "cpu" and x.dtype == torch.float32
        return single and (torch.is_grad_enabled() or prod(x.shape[1:4]) <= LARGEST_SMALL)


def halve_convolutions(network: nn.Module) -> None:
    """Make the convolutions of a network HalvedConv3d where they give one value per voxel from a neighborhood, if PyTorch has oneDNN."""
    if not torch.backends.mkldnn.is_available():
        return
    for module in network.modules():
        if type(module) is nn.Conv3d and _fits(module):
            module.__class__ = HalvedConv3d


def _fits(layer: nn.Conv3d) -> bool:
    plain = set(layer.stride) == set(layer.dilation) == {layer.groups} == {1} and layer.padding_mode == "zeros"
    return plain and layer.padding == tuple(size // 2 for size in layer.kernel_size) and layer.kernel_size[0] % 2 == 1 and prod(layer.kernel_size) > 1
