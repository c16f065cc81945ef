"""softmax(q k^T) v computed a few rows at a time, for devices and types without a kernel for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

# Entries of the matrix that are in memory at a time.
ENTRIES = 2**22


def streamed_attention(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """softmax(q k^T) v over the last axis but one, with memory that grows with N, not N^2, in the backward pass as well.

    Args:
        queries, keys: [B, N, D].
        values: [B, N, C].

    Returns:
        [B, N, C], of the type of the values.
    """
    with without_autocast(values):
        return _Streamed.apply(queries, keys, values)


def exact(x: Tensor) -> Tensor:
    """x as float32, or unchanged if float64: energies and sums over many positions exceed the range or precision of float16."""
    return x if x.dtype == torch.float64 else x.float()


def without_autocast(x: Tensor) -> torch.autocast:
    """A context in which products of tensors on the device of x keep their type."""
    # Before torch 2.5, autocast rejects the name "mps", and casts nothing on it.
    return torch.autocast("cuda" if x.is_cuda else "cpu", enabled=False)


class _Streamed(torch.autograd.Function):
    """Streamed attention whose backward pass recomputes each part of the matrix instead of storing it."""

    @staticmethod
    def forward(ctx: Any, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        output = torch.empty(*queries.shape[:2], values.shape[-1], dtype=values.dtype, device=values.device)
        q, k, v = exact(queries), exact(keys), exact(values)
        for part in _parts(q, k):
            output[:, part] = _rows(q[:, part], k) @ v
        ctx.save_for_backward(queries, keys, values)
        return output

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        queries, keys, values = ctx.saved_tensors
        q, k, v, g = (exact(t) for t in (queries, keys, values, gradient))
        to_queries, to_keys, to_values = torch.zeros_like(q), torch.zeros_like(k), torch.zeros_like(v)
        for part in _parts(q, k):
            rows = _rows(q[:, part], k)
            to_values += rows.transpose(1, 2) @ g[:, part]
            by_row = g[:, part] @ v.transpose(1, 2)
            energy = rows * (by_row - (rows * by_row).sum(-1, keepdim=True))
            to_queries[:, part] = energy @ k
            to_keys += energy.transpose(1, 2) @ q[:, part]
        return to_queries.to(queries.dtype), to_keys.to(keys.dtype), to_values.to(values.dtype)


def _rows(queries: Tensor, keys: Tensor) -> Tensor:
    return torch.softmax(queries @ keys.transpose(1, 2), -1)


def _parts(queries: Tensor, keys: Tensor) -> Iterator[slice]:
    rows = max(1, ENTRIES // (keys.shape[0] * keys.shape[1]))
    return (slice(start, start + rows) for start in range(0, queries.shape[1], rows))
