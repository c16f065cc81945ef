"""How a plan reads the scans: their modality, their grid, and whether as volumes or as slices."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np
import pytest
from AttentionSegLib.datasets.case_statistics import IntensityStatistics
from AttentionSegLib.datasets.survey import Survey
from AttentionSegLib.inference.fit import STORED_HU
from AttentionSegLib.models import Card
from AttentionSegLib.models.card import with_weights
from AttentionSegLib.planning.grid import coarser_spacing, median_spacing, region_size
from AttentionSegLib.planning.inputs import plan_inputs
from planning_surveys import CPU, CT, GPU, MR, crops, make_label, make_survey, note, plan, refused


class TestInputs:
    def test_ct_by_its_intensities(self):
        document = plan(make_survey(intensities=CT))
        normalization = {"kind": "window", "window": [-100.4, 300.3], "mean": 50.12, "std": 80.5}
        assert document["card"]["inputs"] == [{"name": "CT", "modality": "CT", "normalization": normalization}]
        assert "cut off at -100.4 and 300.3 HU" in note(document, "Input CT: CT, by its intensities")

    def test_anything_else_is_normalized_scan_by_scan(self):
        assert plan(make_survey())["card"]["inputs"] == [
            {"name": "MR", "modality": "MR", "normalization": {"kind": "z-score", "percentiles": [0.5, 99.5]}}
        ]

    @pytest.mark.parametrize(
        ("name", "modality"),
        [("CT", "CT"), ("T1w", "MR"), ("FLAIR", "MR"), ("MRI", "MR"), ("FDG-PET", "PT"), ("US", "US"), ("contrast", "MR"), ("ultrasound", "US")],
    )
    def test_by_name(self, name, modality):
        found = plan(make_survey(channel_names=(name,)))["card"]["inputs"][0]
        assert (found["name"], found["modality"]) == (name, modality)

    def test_as_told(self):
        found = plan(make_survey(intensities=CT), modality="MR")["card"]["inputs"][0]
        assert (found["modality"], found["normalization"]["kind"]) == ("MR", "z-score")

    def mixed(self, ct: int, of: int = 10) -> Survey:
        """Scans in HU, and others that were stored with an offset."""
        survey = make_survey(intensities=CT, cases=of - 1, validated=1)
        stored = IntensityStatistics(0, 24, 224, 1624, 3024, 0.4, STORED_HU)
        return replace(survey, cases=tuple(replace(case, intensities=(CT if n < ct else stored,)) for n, case in enumerate(survey.cases)))

    def test_a_few_scans_that_are_not_in_hu_are_named(self):
        inputs, notes = plan_inputs(self.mixed(9), None)
        assert inputs[0]["modality"] == "CT"
        assert "1 of 10 cases do not have the intensities of CT in HU: case_9 (0 to 1624, perhaps HU + 1024, see --rescale)" in notes[-1]

    def test_scans_of_which_some_are_in_hu_are_no_mr(self):
        text = refused(self.mixed(8))
        assert "case_8 (0 to 1624, perhaps HU + 1024, see --rescale), case_9 (0 to 1624, perhaps HU + 1024, see --rescale)" in text
        assert plan_inputs(self.mixed(8), "CT")[0][0]["modality"] == "CT"
        inputs, notes = plan_inputs(self.mixed(0), None)
        assert inputs[0]["modality"] == "MR"
        assert "10 of 10 cases look like CT: case_0 (0 to 1624, perhaps HU + 1024, see --rescale)" in notes[-1]

    def test_two_channels(self):
        one = make_survey(channel_names=("T1", "T2"))
        survey = replace(one, foreground=one.foreground * 2, cases=tuple(replace(case, intensities=(MR, MR)) for case in one.cases))
        assert [entry["name"] for entry in plan_inputs(survey, None)[0]] == ["T1", "T2"]


class TestGrid:
    def test_crops_make_a_region(self):
        card = plan(crops())["card"]
        assert card["field_of_view"] == {"kind": "region", "size_mm": [35, 51, 36]}
        assert (card["spacing_mm"], card["patch_size"]) == ([1, 1, 1], [32, 48, 32])

    def test_whole_scans(self):
        assert plan(make_survey())["card"]["field_of_view"] == {"kind": "whole"}

    def test_labels_that_fill_a_whole_scan_make_no_region(self):
        survey = make_survey({1: make_label((150, 180, 150), 10**6)}, shape=(200, 220, 180))
        assert region_size(survey.cases) is None

    def test_as_told(self):
        assert plan(crops(), region=False)["card"]["field_of_view"] == {"kind": "whole"}
        assert plan(make_survey(), region=True)["card"]["field_of_view"] == {"kind": "region", "size_mm": [160, 160, 120]}

    def test_a_region_for_scans_of_many_sizes(self):
        survey = crops()
        large = replace(survey.cases[-1], shape=(200, 200, 200))
        assert plan(replace(survey, cases=(*survey.cases[:-1], large)))["card"]["field_of_view"] == {"kind": "whole"}
        assert "such as case_199; crop all cases alike" in refused(replace(survey, cases=(*survey.cases[:-1], large)), region=True)

    def test_spacing_is_that_of_a_case(self):
        survey = make_survey()
        odd = tuple(replace(case, spacing_mm=(0.9, 0.9, (2.0, 2.5, 3.0)[n % 3])) for n, case in enumerate(survey.cases))
        assert median_spacing(odd).tolist() == [0.9, 0.9, 2.5]

    def test_thick_slices_stay_thick(self):
        card = plan(make_survey(shape=(320, 320, 24), spacing=(0.6, 0.6, 5)), budget=GPU, slices="none")["card"]
        assert card["spacing_mm"] == [0.6, 0.6, 5]
        assert card["patch_size"][2] < card["patch_size"][0]
        # As long as the voxels are flat, levels are halved in plane alone.
        assert card["network"]["arguments"]["strides"][0] == [2, 2, 1]

    def test_a_finer_grid_than_patches_can_use_is_made_coarser(self):
        large = {1: make_label((250, 200, 200), 3 * 10**6)}
        document = plan(make_survey(large, shape=(512, 512, 512), spacing=(0.8, 0.8, 0.8), intensities=CT))
        spacing, patch = (np.array(document["card"][key]) for key in ("spacing_mm", "patch_size"))
        assert (spacing > 1.2).all()
        assert (spacing * patch >= (125, 100, 100)).all()
        assert "coarser than the median of 40 cases (0.8 x 0.8 x 0.8 mm)" in note(document, "Spacing")

    def test_but_not_for_small_labels(self):
        labels = {1: make_label((250, 200, 200), 3 * 10**6), 2: make_label((5, 5, 5), 200)}
        survey = make_survey(labels, shape=(512, 512, 512), spacing=(0.8, 0.8, 0.8))
        assert coarser_spacing(survey.train, np.array([0.8, 0.8, 0.8]), (32, 32, 32)) is None


class TestSlices:
    THICK = make_survey(shape=(24, 320, 320), spacing=(5, 0.6, 0.6))

    @pytest.mark.parametrize("network", ["attention-unet", "guided-attention"])
    def test_slices_that_lie_far_apart_are_learned_one_by_one(self, network):
        document = plan(self.THICK, network)
        card = document["card"]
        assert (card["slices"], card["context"], card["patch_size"][0], card["network"]["arguments"]["spatial_dims"]) == ("sagittal", 0, 1, 2)
        assert min(card["patch_size"][1:]) >= 64
        assert "5 mm apart, 8.33 times the 0.6 mm" in note(document, "A 2D network on sagittal slices")
        assert document["training"]["batch_size"] == 8
        # A sagittal slice is its own mirror image.
        assert document["training"]["mirror_axes"] == []

    def test_not_where_the_user_wants_volumes_or_they_lie_close(self):
        assert "slices" not in plan(self.THICK, slices="none")["card"]
        assert "slices" not in plan(make_survey(shape=(320, 320, 48), spacing=(0.6, 0.6, 2.4)))["card"]

    def test_single_slices(self):
        document = plan(make_survey(shape=(320, 320, 1)))
        assert document["card"]["slices"] == "axial"
        assert "the cases are single slices" in note(document, "A 2D network")
        assert "These cases are single axial slices, not coronal slices: case_0" in refused(make_survey(shape=(320, 320, 1)), slices="coronal")

    def test_neighbors_are_further_inputs(self):
        card = Card.from_document(with_weights(plan(make_survey(), slices="coronal", context=2)["card"], "0" * 64, 1))
        assert (card.slices, card.context, card.in_channels, card.slice_axis) == ("coronal", 2, 5, 1)
        assert "for 2D networks" in refused(make_survey(), context=1)
        for context, written in ((1, "1 neighbor on"), (2, "2 neighbors on")):
            assert f"each with {written} either side" in " ".join(plan(make_survey(), slices="coronal", context=context)["notes"])

    def test_a_patch_is_as_large_as_memory_allows(self):
        flat = make_survey(shape=(512, 512, 200), intensities=CT)
        small, large = (plan(flat, "guided-attention", budget, slices="axial")["card"] for budget in (CPU, GPU))
        assert prod(small["patch_size"]) < 256**2 <= prod(large["patch_size"])

    def test_there_is_time_to_learn_beside_a_long_validation(self):
        document = plan(make_survey(shape=(512, 512, 200), intensities=CT), "guided-attention", GPU, slices="axial")
        assert document["training"]["epochs"] * document["training"]["steps_per_epoch"] > 1000

    def test_a_model_to_start_from_says_them(self):
        start = Card.from_document(with_weights(plan(self.THICK)["card"], "0" * 64, 1))
        assert plan(make_survey(), start_from=start)["card"]["slices"] == "sagittal"
        assert "works on sagittal slices with 0 neighbors" in refused(make_survey(), start_from=start, slices="axial")
        assert "works on sagittal slices with 0 neighbors on each side, not on volumes; " in refused(make_survey(), start_from=start, slices="none")
