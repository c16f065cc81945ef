"""Mirroring, its pairs of sides, and the labels of a plan."""

from __future__ import annotations

from dataclasses import replace

import pytest
from AttentionSegLib.datasets.sides import left_right_pairs, side_of
from AttentionSegLib.datasets.survey import Survey
from AttentionSegLib.models import Card
from AttentionSegLib.planning.labels import label_entries, plan_mirroring
from builders import make_card_document
from planning_surveys import OFF_CENTER, make_label, make_survey, note, plan


class TestSides:
    @pytest.mark.parametrize(
        ("name", "side", "structure"),
        [
            ("Left-Hippocampus", "left", ("hippocampus",)),
            ("kidney_right", "right", ("kidney",)),
            ("RightParotid", "right", ("parotid",)),
            ("LParotid", "left", ("parotid",)),
            ("Parotid gland, left", "left", ("parotid", "gland")),
            ("lung_upper_lobe_L", "left", ("lung", "upper", "lobe")),
            ("lh.cortex", "left", ("cortex",)),
        ],
    )
    def test_of_a_name(self, name, side, structure):
        assert side_of(name)[:2] == (side, structure)

    @pytest.mark.parametrize("name", ["Liver", "vertebra L4", "L4", "T12", "Bright spot", "Cleft", "Leber", "left right shunt"])
    def test_names_without_one(self, name):
        assert side_of(name) is None

    def test_pairs(self):
        names = {1: "Liver", 2: "kidney_left", 3: "Lung R", 4: "kidney_right", 5: "Lung L", 6: "left adrenal"}
        assert left_right_pairs(names) == [(2, 4), (5, 3)]

    def mirroring(self, survey: Survey, labels: list[dict] | None = None, is_region: bool = False) -> tuple[list[int], list[list[int]], str]:
        return plan_mirroring(labels or label_entries(survey.label_names), survey.train, is_region)

    def test_pairs_are_exchanged(self):
        survey = make_survey({1: make_label(center=OFF_CENTER), 2: make_label()}, {1: "RightParotid", 2: "LeftParotid"})
        axes, swaps, sentence = self.mirroring(survey)
        assert (axes, swaps) == ([0], [[2, 1]])
        assert sentence.endswith("which exchanges 'LeftParotid' with 'RightParotid'.")
        assert [entry["terminology"]["modifier"]["meaning"] for entry in label_entries(survey.label_names)] == ["Right", "Left"]

    def test_pairs_by_their_terms(self):
        parotid = {"scheme": "SCT", "value": "45289007", "meaning": "Parotid gland"}
        sides = ({"scheme": "SCT", "value": "7771000", "meaning": "Left"}, {"scheme": "SCT", "value": "24028007", "meaning": "Right"})
        labels = [
            {"value": value, "name": name, "color": [1, 2, 3], "terminology": {"category": parotid, "type": parotid, "modifier": side}}
            for value, name, side in zip((1, 2), ("Parotis links", "Parotis rechts"), sides)
        ]
        survey = make_survey({1: make_label(center=OFF_CENTER), 2: make_label()})
        assert self.mirroring(survey, labels)[:2] == ([0], [[1, 2]])
        assert self.mirroring(survey, [{**labels[0], "name": "Parotis"}, label_entries({2: "Tumor"})[0]])[:2] == ([], [])

    def test_one_of_a_pair_alone_forbids_mirroring(self):
        document = plan(make_survey(names={1: "Left kidney"}))
        assert document["training"]["mirror_axes"] == []
        assert "'Left kidney' is on one side by its name" in note(document, "No mirroring")

    def test_a_label_on_one_side_forbids_mirroring(self):
        axes, _, sentence = self.mirroring(make_survey({1: make_label(), 2: make_label(center=OFF_CENTER)}))
        assert axes == []
        assert "'Label 2' lies on one side in the cases" in sentence

    def test_a_label_on_either_side_does_not(self):
        survey = make_survey()
        other = {1: make_label(center=(-30.0, 0.0, 0.0))}
        cases = tuple(replace(case, labels=other if n % 2 else {1: make_label(center=OFF_CENTER)}) for n, case in enumerate(survey.cases))
        assert self.mirroring(replace(survey, cases=cases))[0] == [0]

    def test_the_middle_of_a_crop_tells_no_side(self):
        survey = make_survey({1: make_label(center=OFF_CENTER)})
        assert self.mirroring(survey, is_region=True)[0] == [0]
        assert self.mirroring(survey)[0] == []


class TestLabels:
    def test_they_are_valid_for_many(self):
        names = {value: f"Label {value}" for value in range(1, 31)}
        card = Card.from_document(make_card_document(labels=label_entries(names)))
        assert [label.name for label in card.labels] == list(names.values())
        assert len({label.color for label in card.labels[:20]}) == 20
        assert card.labels[0].terminology_entry.startswith("Segmentation category and type - 3D Slicer General Anatomy list~SCT^85756007^Tissue~")
