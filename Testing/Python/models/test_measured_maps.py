"""What was measured of a map, in words; an explanation at a voxel was not measured."""

from __future__ import annotations

import pytest
from AttentionSegLib.map_kinds import why_map
from AttentionSegLib.models.measured_maps import MeasuredMap, measured_map, measured_maps


@pytest.mark.parametrize(
    ("figures", "sentence"),
    [
        ({"roc_auc": 0.9}, "in 90 % of pairs (by chance 50 %)."),
        ({"roc_auc": 0.3, "roc_auc_random": 0.7}, "A bright place is not the structure."),
        ({"roc_auc": 0.6, "roc_auc_random": 0.7}, "It shows nothing that was learned."),
        ({"roc_auc": 0.9, "dice_lost": -0.01}, "With this gate open evenly, the Dice does not fall."),
        ({"roc_auc": 0.9, "probability_lost": 0.03}, "Without what a voxel attends to, its probability falls by 0.030."),
    ],
)
def test_in_words(figures, sentence):
    assert MeasuredMap(cases=5, **figures).text.endswith(sentence)


def test_those_of_segments_count_for_every_label_and_not_at_a_voxel():
    maps = measured_maps({"maps": [{"map": "why", "roc_auc": 0.9, "data": "scans", "cases": 5, "command": "attentionseg evaluate --maps"}]})
    assert measured_map(maps, why_map("Brainstem")).roc_auc == 0.9
    assert measured_map(maps, why_map("Brainstem", (2, -35.4, -60))) is None
    assert measured_map(maps, "gate_2") is None
