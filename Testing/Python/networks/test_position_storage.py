"""That position attention does not store the N x N matrix, and the maps that are made of its rows and columns."""

from __future__ import annotations

import itertools
from math import prod

import numpy as np
import pytest
import torch
from attention_equations import make_attention, matrix, random, whole_matrix_attention
from AttentionSegLib.networks import position_attention
from AttentionSegLib.networks import streamed_attention as streaming
from AttentionSegLib.networks.position_attention import PositionAttention, PositionFeatures, attend
from AttentionSegLib.networks.streamed_attention import streamed_attention
from half_precision import NEEDS_FLOAT16
from largest_tensor import LargestTensor
from torch import Tensor
from torch.testing import assert_close

ANISOTROPIC = (2, 3, 4)


def make_features(size: tuple[int, ...] = ANISOTROPIC) -> PositionFeatures:
    return PositionFeatures(random(2, prod(size), 3, seed=4), random(2, prod(size), 3, seed=5), size)


class TestStorage:
    SIZE = (64, 64)
    POSITIONS = prod(SIZE)

    def measure(self, channels: int) -> tuple[int, int]:
        """Entries of the largest tensor that exists in the forward and backward pass, and of all that is kept between them."""
        attention, x = make_attention(channels, self.SIZE).float(), random(1, channels, *self.SIZE).float().requires_grad_()
        kept: dict[int, int] = {}

        def pack(saved: Tensor) -> Tensor:
            kept[saved.data_ptr()] = saved.numel()
            return saved

        with LargestTensor() as largest:
            with torch.autograd.graph.saved_tensors_hooks(pack, lambda saved: saved):
                output, _ = attention(x)
            output.sum().backward()
        return largest.entries, sum(kept.values())

    @pytest.mark.parametrize(("function", "channels"), [(attend, 16), (attend, 12), (streamed_attention, 16)])
    @pytest.mark.parametrize(("threads", "copies"), [(1, 1), (2, 2), (8, 4)])
    def test_the_matrix_is_not_stored(self, monkeypatch, function, channels, threads, copies):
        """Each part of the queries, one for a thread and at most 4, has a copy of keys and values; the matrix is 256 times as large as one."""
        monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
        monkeypatch.setattr(position_attention, "attend", function)
        monkeypatch.setattr(streaming, "ENTRIES", 2**16)
        largest, kept = self.measure(channels)
        features = 16 * self.POSITIONS
        assert largest <= copies * features
        assert kept < (4 + 2 * copies) * features

    def test_the_measurement_sees_a_stored_matrix(self, monkeypatch):
        monkeypatch.setattr(position_attention, "attend", whole_matrix_attention)
        largest, kept = self.measure(16)
        assert largest >= self.POSITIONS**2
        assert kept >= self.POSITIONS**2

    def test_the_map_keeps_nothing_for_a_gradient(self, monkeypatch):
        monkeypatch.setattr(position_attention, "COMPARED_AT_A_TIME", 2**18)
        _, features = make_attention(16, self.SIZE).float()(random(1, 16, *self.SIZE).float())
        assert features.queries.requires_grad
        with LargestTensor() as largest:
            received = features.received()
        assert not received.requires_grad
        assert largest.entries < self.POSITIONS**2 / 50


class TestMaps:
    def test_a_row_is_the_row_of_the_matrix(self):
        features = make_features()
        rows = matrix(features.queries, features.keys)
        for image in range(2):
            for expected, position in zip(rows[image], itertools.product(*map(range, ANISOTROPIC))):
                row = features.row(position, image)
                assert_close(row.sum().item(), 1.0, rtol=0, atol=1e-12)
                assert_close(row, expected.reshape(ANISOTROPIC), rtol=0, atol=1e-12)
        assert torch.equal(features.row((1, 2, 3)), features.row(np.array((1, 2, 3)), 0))

    @pytest.mark.parametrize("compared", [1, 300, 2**22], ids=["one row at a time", "a short last part", "all at once"])
    def test_received_is_the_mean_of_the_columns(self, monkeypatch, compared):
        monkeypatch.setattr(position_attention, "COMPARED_AT_A_TIME", compared)
        features = make_features()
        received = features.received()
        expected = matrix(features.queries, features.keys).mean(1) * prod(ANISOTROPIC)
        assert_close(received, expected.reshape(2, 1, *ANISOTROPIC), rtol=0, atol=1e-9)
        assert_close(received.mean((1, 2, 3, 4)), torch.ones(2, dtype=torch.float64), rtol=0, atol=1e-12)
        assert received.max() > 1.5

    def test_one_voxel_that_looks_at_another(self):
        """A voxel with a query, another with a key: only their rows and columns show it, at their places."""
        attention = PositionAttention(3, 8).double()
        with torch.no_grad():
            for parameter in attention.parameters():
                parameter.zero_()
            attention.query.weight[0, 0] = attention.key.weight[0, 1] = 1
        looking, seen, x = (0, 1, 3), (1, 2, 0), torch.zeros(1, 8, *ANISOTROPIC, dtype=torch.float64)
        x[(0, 0, *looking)] = x[(0, 1, *seen)] = 6
        features = attention(x)[1]
        expected = torch.zeros(ANISOTROPIC, dtype=torch.float64)
        expected[seen] = 1
        assert_close(features.row(looking), expected, rtol=0, atol=1e-12)
        assert_close(features.row(seen), torch.full(ANISOTROPIC, 1 / 24, dtype=torch.float64))
        assert_close(features.received()[0, 0, 1, 2, 0].item(), 1 + 23 / 24)

    @pytest.mark.parametrize("position", [(2, 0, 0), (0, 0, 4), (0, -1, 0), (0, 0), (0, 0, 0, 0)])
    @pytest.mark.parametrize("kind", [tuple, np.array])
    def test_a_position_off_the_grid_is_refused(self, position, kind):
        written = ", ".join(map(str, position))
        with pytest.raises(IndexError) as caught:
            make_features().row(kind(position))
        assert str(caught.value) == f"There is no position ({written}) on the grid of 2 x 3 x 4."

    @pytest.mark.parametrize("kind", [torch.bfloat16, pytest.param(torch.float16, marks=NEEDS_FLOAT16)], ids=str)
    def test_half_precision_features_give_float32_maps(self, kind):
        features = make_features()
        rounded = PositionFeatures(300 * features.queries.to(kind), 300 * features.keys.to(kind), ANISOTROPIC)
        exact = PositionFeatures(rounded.queries.double(), rounded.keys.double(), ANISOTROPIC)
        # As in a network that runs under autocast; most of these energies are beyond float16.
        with torch.autocast("cpu", kind):
            row, received = rounded.row((1, 1, 1)), rounded.received()
        assert row.dtype == received.dtype == torch.float32
        assert_close(row.double(), exact.row((1, 1, 1)), rtol=0, atol=1e-3)
        assert_close(received.double(), exact.received(), rtol=0, atol=1e-2)
