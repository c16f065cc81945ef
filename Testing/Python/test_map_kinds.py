"""Every map has a name in words."""

from __future__ import annotations

import pytest
from AttentionSegLib.map_kinds import in_millimeters, map_kind


@pytest.mark.parametrize(
    ("name", "title", "unit"),
    [
        ("gate_2", "Attention gate, level 2", "share let through"),
        ("guided_scale3_step1", "Guided attention, scale 3", "share of the largest"),
        ("position_scale1_step1", "Position attention received, scale 1", "times the average"),
        ("probe_position_scale1_step1", "Position attention of the marked voxel, scale 1", "times the average"),
        ("uncertainty", "Uncertainty", "0 sure, 1 unsure"),
        ("probability Hippocampus, anterior", "Probability of Hippocampus, anterior", "probability"),
        ("something_new", "something new", ""),
    ],
)
def test_words(name, title, unit):
    kind = map_kind(name)
    assert (kind.title, kind.unit) == (title, unit)


def test_steps_are_told_apart_where_there_are_several():
    names = ["position_scale1_step1", "position_scale1_step2"]
    assert [map_kind(name, names).title for name in names] == [
        "Position attention received, scale 1, step 1",
        "Position attention received, scale 1, step 2",
    ]


def test_every_map_of_every_network_is_known():
    pytest.importorskip("torch")
    from AttentionSegLib.networks import AttentionUNet, GuidedAttention

    networks = [AttentionUNet(3, 1, 2, channels=(2, 2, 2, 2)), GuidedAttention(3, 1, 2, backbone=10, backbone_width=0.05, width=8)]
    names = [name for network in networks for name in network.attention_strides]
    kinds = [map_kind(name, names) for name in names]
    assert {kind.group for kind in kinds} == {"Attention gates", "Guided attention", "Position attention"}
    assert len({kind.title for kind in kinds}) == len(names)


def test_resolutions():
    assert in_millimeters((2.0, 2.0, 2.0000001)) == "2 mm"
    assert in_millimeters((1.5, 1.5, 3)) == "1.5 x 1.5 x 3 mm"


def test_maps_of_the_network_tell_their_resolution():
    assert map_kind("gate_2").title_at((2, 2, 2)) == "Attention gate, level 2 (2 mm)"
    assert map_kind("gate_2").title_at((2, 2, 1), known=False) == "Attention gate, level 2 (2 x 2 pixels)"
    assert map_kind("uncertainty").title_at((2, 2, 2)) == "Uncertainty"
