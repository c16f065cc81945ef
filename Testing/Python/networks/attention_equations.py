"""Position attention by its equations, with the whole N x N matrix, and inputs for both."""

from __future__ import annotations

from typing import Any

import torch
from AttentionSegLib.networks.position_attention import PositionAttention
from torch import Tensor


def make_attention(channels: int, size: tuple[int, ...], **arguments: Any) -> PositionAttention:
    """An attention whose parameters are all far from zero, gamma too, so that every term of the equations counts."""
    torch.manual_seed(1)
    attention = PositionAttention(len(size), channels, **arguments).double()
    for parameter in attention.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    torch.nn.init.constant_(attention.gamma, 1.7)
    return attention


def random(*shape: int, seed: int = 2, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def matrix(queries: Tensor, keys: Tensor) -> Tensor:
    """S = softmax(q^T k) over the second position. [B, N, D], [B, N, D] -> [B, N, N]"""
    energy = torch.einsum("bid,bjd->bij", queries, keys)
    share = torch.exp(energy - energy.amax(2, keepdim=True))
    return share / share.sum(2, keepdim=True)


def whole_matrix_attention(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    return torch.einsum("bij,bjc->bic", matrix(queries, keys), values)
