"""The map that is shown first."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from AttentionSegLib.image import Image
from AttentionSegLib.reporting.telling_map import most_telling_map

SHAPE = (24, 24, 24)
FOUND = np.zeros(SHAPE, np.uint8)
FOUND[8:16, 8:16, 8:16] = 1


def on_grid(values, stride):
    affine = np.diag([stride, stride, stride, 1.0])
    affine[:3, 3] = (stride - 1) / 2
    coarse = values.reshape([size for n in SHAPE for size in (n // stride, stride)]).mean((1, 3, 5))
    return Image(coarse[None].astype(np.float32), affine)


def predicted(labels=FOUND, **attention):
    return SimpleNamespace(labels=Image(labels[None], np.eye(4)), attention=attention)


BRIGHT = np.where(FOUND, 0.9, 0.1)
NOISE = np.random.default_rng(1).random(SHAPE)


def test_the_one_that_stands_out_where_something_was_found():
    found = predicted(gate_2=on_grid(NOISE, 2), gate_3=on_grid(BRIGHT, 4), gate_4=on_grid(1 - BRIGHT, 4))
    assert most_telling_map(found) == "gate_3"


def test_never_one_that_is_everywhere_the_same():
    found = predicted(gate_2=on_grid(np.ones(SHAPE), 2), gate_3=on_grid(np.where(FOUND, 0.5, 0.4), 4))
    assert most_telling_map(found) == "gate_3"


def test_of_equals_the_finest():
    found = predicted(gate_4=on_grid(BRIGHT, 8), gate_2=on_grid(BRIGHT, 2), gate_3=on_grid(BRIGHT, 4))
    assert most_telling_map(found) == "gate_2"


def test_sinks_do_not_count():
    sinks = np.full(SHAPE, 0.5)
    sinks[10, 10, 10] = 1e4
    looked_at = np.where(FOUND, 6.0, 0.5)
    found = predicted(position_scale1_step1=on_grid(sinks, 2), position_scale2_step1=on_grid(looked_at, 2))
    assert most_telling_map(found) == "position_scale2_step1"


@pytest.mark.parametrize("labels", [np.zeros(SHAPE, np.uint8), np.ones(SHAPE, np.uint8)])
def test_where_nothing_was_found_the_one_that_varies(labels):
    found = predicted(labels, gate_2=on_grid(np.ones(SHAPE), 2), gate_3=on_grid(NOISE, 2))
    assert most_telling_map(found) == "gate_3"


def test_none_without_maps():
    assert most_telling_map(predicted()) is None
