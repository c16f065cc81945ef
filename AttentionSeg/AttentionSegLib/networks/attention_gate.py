"""Attention gates of Attention U-Net (Oktay et al. 2018, figure 2)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .layers import convolution, normalization, resize

# sigmoid(2) = 0.88: an untrained gate passes most of its input, as in the paper, and its gradient does not vanish.
INITIAL_PSI_BIAS = 2.0


class AttentionGate(nn.Module):
    """Additive attention gate (Oktay et al. 2018, eq. 1-2).

        q = psi^T ReLU(W_x x + W_g g + b_g) + b_psi,   alpha = sigmoid(q),   x_hat = alpha x

    `grid=True`: W_x strides down to the grid of g, and alpha is interpolated back to that of x (the reference code of the paper).
    `grid=False`: g is interpolated up, and everything runs at the resolution of x.

    Args:
        spatial_dims: 2 or 3.
        x_channels: F_l, channels of the skip connection.
        g_channels: F_g, channels of the gating signal.
        inner_channels: F_int, channels of the sum.
        stride: size of x over size of g along each axis.
        grid: whether the sum is computed on the grid of g, see above.

    Shapes: x [B, F_l, *S], g [B, F_g, *S/stride] -> x_hat [B, F_l, *S], alpha [B, 1, *S] in 0..1.
    """

    def __init__(self, spatial_dims: int, x_channels: int, g_channels: int, inner_channels: int, stride: Sequence[int], grid: bool = True) -> None:
        super().__init__()
        step = tuple(stride) if grid else (1,) * spatial_dims
        self.w_x = convolution(spatial_dims, x_channels, inner_channels, step, bias=False, stride=step)
        self.w_g = convolution(spatial_dims, g_channels, inner_channels, 1)
        self.psi = convolution(spatial_dims, inner_channels, 1, 1)
        self.alpha = nn.Sigmoid()
        nn.init.normal_(self.psi.weight, std=0.01)
        if self.psi.bias is not None:
            nn.init.constant_(self.psi.bias, INITIAL_PSI_BIAS)

    def forward(self, x: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
        theta = self.w_x(x)
        phi = resize(self.w_g(g), theta.shape[2:])
        alpha = self.alpha(self.psi(torch.relu(theta + phi)))
        alpha = resize(alpha, x.shape[2:])
        return x * alpha, alpha


class GatedSkip(nn.Module):
    """A skip connection with one or several attention gates, followed by a 1x1 convolution.

    One gate: conv 1, norm. Several: their products are concatenated, then conv 1, norm, ReLU ("multi attention" of the reference code),
    and the map is the mean of their alphas.

    Shapes: see `AttentionGate`.
    """

    def __init__(
        self, spatial_dims: int, x_channels: int, g_channels: int, stride: Sequence[int], norm: str, grid: bool = True, gates: int = 1
    ) -> None:
        super().__init__()
        self.gates = nn.ModuleList(AttentionGate(spatial_dims, x_channels, g_channels, x_channels, stride, grid) for _ in range(gates))
        combine = [convolution(spatial_dims, gates * x_channels, x_channels, 1, bias=False), normalization(spatial_dims, x_channels, norm)]
        self.combine = nn.Sequential(*combine, nn.ReLU(inplace=True)) if gates > 1 else nn.Sequential(*combine)

    def forward(self, x: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
        gated, alphas = zip(*(gate(x, g) for gate in self.gates))
        if len(alphas) == 1:
            return self.combine(gated[0]), alphas[0]
        return self.combine(torch.cat(gated, 1)), torch.stack(alphas).mean(0)
