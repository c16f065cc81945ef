"""The numbers that a plan is made of, found by reading every case once."""

from __future__ import annotations

import json

import numpy as np
import pytest
from AttentionSegLib.datasets.case_set import folder_cases
from AttentionSegLib.datasets.survey import make_survey, write_survey
from AttentionSegLib.errors import Cancelled
from surveyed_data import SHAPE, SPACING, affine, make_case


class TestNumbers:
    def test_geometry_and_labels(self, data):
        case = data.survey().cases[0]
        assert (case.id, case.role, case.shape, case.spacing_mm, case.orientation, case.oblique_degrees) == ("a", "train", SHAPE, SPACING, "RAS", 0)
        assert case.extent_mm == (12, 21, 32)
        assert case.labels_box_mm == (9, 9, 8)
        left = case.labels[1]
        assert (left.voxels, left.box_mm, left.components, left.hole_voxels, left.at_edge) == (72, (3, 9, 8), 1, 0, False)
        assert left.center_mm == (-2.5, -1.5, -4)
        assert case.labels[2].center_mm == (3.5, -1.5, -4)

    def test_a_scan_stored_another_way_measures_the_same(self, data):
        def turned(voxels: np.ndarray) -> np.ndarray:
            return voxels[::-1].transpose(2, 0, 1).copy()

        image, labels = make_case(0)
        # Superior, left, anterior.
        placed = affine() @ np.array([[0, -1, 0, SHAPE[0] - 1], [0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1.0]])
        data.write("images", "b", turned(image), placed)
        data.write("labels", "b", turned(labels), placed)
        first, other = data.survey().cases[:2]
        assert other.orientation == "SLA"
        assert (other.shape, other.spacing_mm, other.labels, other.labels_box_mm) == (
            first.shape,
            first.spacing_mm,
            first.labels,
            first.labels_box_mm,
        )

    def test_parts_and_holes(self, data):
        labels = make_case(0)[1]
        labels[3, 5, 5] = 0
        labels[9, 5, 5] = 1
        data.write_labels(a=labels)
        found = data.survey().cases[0].labels
        # The hole of label 2 is filled with label 1, so there is nothing to fill.
        assert (found[1].components, found[1].hole_voxels) == (2, 1)
        assert (found[2].components, found[2].hole_voxels) == (1, 0)

    def test_intensities(self, data):
        image = make_case(0)[0]
        image[:, :, :8] = -1000
        data.write("images", "a", image)
        of = data.survey().cases[0].intensities[0]
        assert (of.minimum, of.maximum, of.share_at_minimum) == (-1000, image.max(), 0.5)
        assert (of.percentile_0_5, of.median, of.percentile_99_5) == pytest.approx(np.percentile(image, (0.5, 50, 99.5)))

    def test_foreground_is_of_labelled_voxels_to_learn_from(self, data):
        data.write("images", "d", make_case(3)[0] + 5000)
        voxels = np.concatenate([image[labels > 0] for image, labels in map(make_case, range(3))])
        of = data.survey().foreground[0]
        assert (of.mean, of.std) == pytest.approx((voxels.mean(), voxels.std()), rel=0.02)
        assert (of.percentile_0_5, of.percentile_99_5) == pytest.approx(np.percentile(voxels, (0.5, 99.5)), rel=0.05)

    def test_ignored_voxels_are_no_label(self, data):
        labels = make_case(0)[1]
        labels[labels == 2] = 9
        data.write_labels(a=labels)
        survey = data.survey(ignored=9)
        assert survey.cases[0].labels.keys() == {1}
        assert survey.ignored_label == 9

    def test_labels_without_names(self, data):
        assert data.survey(names=None).label_names == {1: "Label 1", 2: "Label 2"}

    def test_it_can_be_written(self, data, tmp_path):
        survey = data.survey()
        write_survey(survey, tmp_path / "survey.json")
        document = json.loads((tmp_path / "survey.json").read_text(encoding="utf-8"))
        assert document["cases"][0]["labels"]["1"]["voxels"] == 72
        assert document["notes"] == list(survey.notes)


class TestDrawnCases:
    def test_another_case_is_drawn_in_place_of_one_without_labels(self, data):
        drawn = folder_cases(data.folder / "images", data.folder / "labels", seed=1)
        (empty,) = [case.id for case in drawn.roles["val"]]
        data.write_labels(**{empty: np.zeros(SHAPE, np.uint8)})
        survey = make_survey(drawn)
        role_of = {case.id: case.role for case in survey.cases}
        assert sorted(role_of.values()) == ["train", "train", "train", "val"]
        assert role_of[empty] == "train"
        assert "in a second draw" in survey.notes[0]

    def test_a_split_stays_as_it_is(self, data):
        data.write_labels(d=np.zeros(SHAPE, np.uint8))
        assert {case.id: case.role for case in data.survey().cases}["d"] == "val"

    def test_deviations_that_were_accepted_are_told(self, data):
        beside = affine()
        beside[0, 3] += 0.01
        data.write("labels", "b", make_case(1)[1], beside)
        assert "The label map lies less than a tenth of a voxel beside its scan in 1 of 4 cases: b (0.01 mm)." in data.survey().notes


class TestProgress:
    def test_it_goes_from_case_to_case(self, data):
        told = []
        data.survey(on_progress=lambda *news: told.append(news))
        assert [(fraction, stage) for fraction, stage, _ in told] == [*((n / 4, f"case {n + 1} of 4") for n in range(4)), (1.0, "done")]
        assert told[0][2] is None
        assert told[1][2] > 0

    def test_it_can_be_cancelled(self, data):
        asked = []
        with pytest.raises(Cancelled, match="case 3 of 4"):
            data.survey(cancel=lambda: asked.append(1) or len(asked) == 3)
