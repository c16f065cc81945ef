"""How much a row of position attention tells of the voxel that looks."""

from __future__ import annotations

import pytest
import torch
from AttentionSegLib.networks.position_attention import PositionFeatures

SIZE = (8, 8, 8)
# Where each position is, -1..1 along every axis.
CODES = torch.stack(torch.meshgrid(*(torch.linspace(-1, 1, n) for n in SIZE), indexing="ij"), -1).reshape(1, -1, 3)


def features(queries, keys):
    return PositionFeatures(queries, keys, SIZE)


def test_rows_that_are_all_alike_tell_nothing_however_sharp():
    keys = CODES.clone()
    keys[0, 100] = 50.0
    assert features(torch.ones_like(CODES), keys).information() == pytest.approx(0, abs=1e-4)


def test_rows_that_follow_the_voxel_tell_of_it():
    near = [features(sharpness * CODES, CODES).information() for sharpness in (0, 2, 20)]
    assert near[0] == pytest.approx(0, abs=1e-4)
    assert near[2] > near[1] + 1 > 1


def test_an_axis_of_even_length_is_not_missed():
    last_axis_alone = CODES * torch.tensor([0.0, 0.0, 20.0])
    large = PositionFeatures(last_axis_alone.repeat(1, 2, 1), CODES.repeat(1, 2, 1), (16, 8, 8))
    assert large.information() > 1
