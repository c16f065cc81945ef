"""Channel attention (Sinha & Dolz 2020, section III-B)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .streamed_attention import exact, without_autocast


class ChannelAttention(nn.Module):
    """Adds to each channel a weighted sum of all channels, in which those that differ most from it have the largest weights.

        E = X X^T (C x C),   S = softmax(max(E) - E) = softmax(-E),   y = gamma (S X) + x

    X holds the positions of each channel as a row; there is no projection. gamma is learned and starts at 0. The energy is a sum over all
    positions, beyond the range of half precision, so it is computed in float32 whatever the type of x.

    Shapes: x [B, C, *S] -> [B, C, *S].
    """

    def __init__(self) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        rows = x.flatten(2)
        with without_autocast(x):
            wide = exact(rows)
            similarity = torch.softmax(-(wide @ wide.transpose(1, 2)), -1)
        taken_up = similarity.to(rows.dtype) @ rows
        return self.gamma * taken_up.reshape(x.shape) + x
