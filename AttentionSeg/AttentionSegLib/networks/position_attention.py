"""Position attention (Sinha & Dolz 2020, section III-A) without storing the N x N matrix."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import gcd, log, prod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layers import are_counts, convolution
from .streamed_attention import exact, streamed_attention, without_autocast

# Entries of the matrix that are computed at a time for a map: 2**22 numbers, 16 MiB.
COMPARED_AT_A_TIME = 2**22
# Number of rows from which the information of a map is estimated.
COMPARED_ROWS = 256
QUERY_SHARE = 8
# Each part of the queries has its own copy of keys and values.
MOST_PARTS = 4
SIMILARITIES = ("dot", "cosine")
TAU_AT_FIRST, LARGEST_TAU = 10.0, 100.0


@dataclass(frozen=True, eq=False)
class PositionFeatures:
    """Queries and keys of one position attention, from which its rows and maps are computed.

    Attributes:
        queries, keys: [B, N, D] with N positions, the last axis of the grid running fastest.
        size: the grid of the positions.
    """

    queries: Tensor
    keys: Tensor
    size: tuple[int, ...]

    def row(self, position: Sequence[int], image: int = 0) -> Tensor:
        """The attention of one position to all others: one row of S = softmax(q^T k).

        Args:
            position: voxel of the grid.
            image: index in the batch.

        Returns:
            [*size] float32 (float64 for such features), at least 0, with the sum 1.

        Raises:
            IndexError: if the position is not on the grid.
        """
        if len(position) != len(self.size) or not all(0 <= p < n for p, n in zip(position, self.size)):
            msg = f"There is no position ({', '.join(map(str, position))}) on the grid of {' x '.join(map(str, self.size))}."
            raise IndexError(msg)
        index = 0
        for p, n in zip(position, self.size):
            index = index * n + int(p)
        with without_autocast(self.keys):
            return torch.softmax(exact(self.keys[image]) @ exact(self.queries[image, index]), 0).view(self.size)

    @torch.no_grad()
    def information(self, image: int = 0) -> float:
        """The mutual information of query position and attended position in bits, from rows evenly spread over the grid.

        0 if all rows are the same, however concentrated; so voxels to which all positions attend add nothing.
        """
        queries, keys = exact(self.queries[image]), exact(self.keys[image])
        rows = max(2, min(COMPARED_ROWS, COMPARED_AT_A_TIME // len(keys)))
        step = -(-len(queries) // rows)
        # Otherwise all rows would come from the same few planes of the grid.
        while gcd(step, prod(self.size)) > 1:
            step += 1
        with without_autocast(self.keys):
            shares = torch.softmax(queries[::step] @ keys.T, -1)
        return float(_bits(shares.mean(0)) - _bits(shares).mean())

    # A gradient would need all rows of the matrix in memory.
    @torch.no_grad()
    def received(self) -> Tensor:
        """The attention received by each position: mean over queries i of S[i, j], times N, so that 1 is the average. [B, 1, *size], no gradient."""
        queries, keys = exact(self.queries), exact(self.keys).transpose(1, 2)
        total = torch.zeros_like(queries[..., 0])
        with without_autocast(self.keys):
            for part in self._parts():
                total += torch.softmax(queries[:, part] @ keys, -1).sum(1)
        return total.view(-1, 1, *self.size)

    def _parts(self) -> Iterator[slice]:
        batch, positions = self.keys.shape[:2]
        rows = max(1, COMPARED_AT_A_TIME // (batch * positions))
        return (slice(start, start + rows) for start in range(0, positions, rows))


class PositionAttention(nn.Module):
    """Adds to each position a sum of the values of all positions, weighted by the similarity of query and key.

        q = W_q x,  k = W_k x,  v = W_v x,   S = softmax(q^T k) over positions,   y = gamma (S v) + x

    gamma is learned and starts at 0. S is never stored: memory grows with N, not with N^2, in the forward and the backward pass.

    Args:
        spatial_dims: 2 or 3.
        channels: C.
        query_channels: D, channels of queries and keys, at most C; None for those of the paper, C / 8 (at least 1).
        similarity: `dot` as above, without a scale, as in the paper; or `cosine`, so that no key draws attention by its length: queries and keys are
            brought to length 1, and S = softmax(tau q^T k) with a learned tau, at first 10 and at most 100 (scaled cosine attention, Liu et al. 2022,
            arXiv:2111.09883).

    Shapes: x [B, C, *S] -> y [B, C, *S] and the `PositionFeatures` of the grid S.

    Raises:
        ValueError: if an argument is not one of these.
    """

    def __init__(self, spatial_dims: int, channels: int, query_channels: int | None = None, similarity: str = "dot") -> None:
        super().__init__()
        inner = max(1, channels // QUERY_SHARE) if query_channels is None else query_channels
        _check_arguments(channels, inner, similarity)
        self.query = convolution(spatial_dims, channels, inner, 1)
        self.key = convolution(spatial_dims, channels, inner, 1)
        self.value = convolution(spatial_dims, channels, channels, 1)
        self.gamma = nn.Parameter(torch.zeros(1))
        self.log_tau = nn.Parameter(torch.full((1,), log(TAU_AT_FIRST))) if similarity == "cosine" else None

    def forward(self, x: Tensor) -> tuple[Tensor, PositionFeatures]:
        size = tuple(x.shape[2:])
        queries, keys, values = (_positions(layer(x)) for layer in (self.query, self.key, self.value))
        if self.log_tau is not None:
            tau = self.log_tau.clamp(max=log(LARGEST_TAU)).exp()
            queries, keys = tau * F.normalize(queries, dim=-1), F.normalize(keys, dim=-1)
        taken_up = attend(queries, keys, values).transpose(1, 2).reshape(x.shape)
        return self.gamma * taken_up + x, PositionFeatures(queries, keys, size)


def attend(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """softmax(q k^T) v, streamed. queries, keys [B, N, D], values [B, N, C] with D <= C -> [B, N, C]"""
    if not _has_kernel(values):
        return streamed_attention(queries, keys, values)
    if values.device.type == "cpu" and torch.is_grad_enabled():
        parts = _parts_to_differentiate(*queries.shape[:2])
        keys, values_of_parts = (t.repeat_interleave(parts, 0) for t in (keys, values))
        return _by_kernel(queries.reshape(len(keys), -1, queries.shape[-1]), keys, values_of_parts).reshape(values.shape)
    return _by_kernel(queries, keys, values)


def _by_kernel(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    # The kernels that store no matrix need the same width, a multiple of 8, for queries, keys and values, and contiguous features.
    width = -(-values.shape[-1] // 8) * 8
    queries, keys, padded = (F.pad(t, (0, width - t.shape[-1])).contiguous().unsqueeze(1) for t in (queries, keys, values))
    return F.scaled_dot_product_attention(queries, keys, padded, scale=1.0)[:, 0, :, : values.shape[-1]]


def _parts_to_differentiate(batch: int, positions: int) -> int:
    """In how many parts of equal size the CPU's kernel gets the queries: its backward pass uses one thread for each item of a batch."""
    most = max(1, min(torch.get_num_threads() // batch, MOST_PARTS))
    return next(parts for parts in range(most, 0, -1) if positions % parts == 0)


def _bits(shares: Tensor) -> Tensor:
    """Entropy along the last axis, in bits."""
    return -torch.xlogy(shares, shares).sum(-1) / log(2)


def _has_kernel(values: Tensor) -> bool:
    """Whether torch has a kernel that stores no matrix: for float64 on a GPU, and on Apple's devices, it would store the whole matrix."""
    return values.device.type == "cpu" or (values.device.type == "cuda" and values.dtype != torch.float64)


def _positions(x: Tensor) -> Tensor:
    """[B, C, *S] -> [B, N, C]"""
    return x.reshape(*x.shape[:2], prod(x.shape[2:])).transpose(1, 2)


def _check_arguments(channels: int, query_channels: int, similarity: str) -> None:
    msg = None
    if not are_counts([query_channels]) or query_channels > channels:
        msg = f"query_channels is {query_channels}; it must be a whole number from 1 to the width, {channels}."
    elif similarity not in SIMILARITIES:
        msg = f"There is no similarity '{similarity}'; choose one of {', '.join(SIMILARITIES)}."
    if msg:
        raise ValueError(msg)
