"""Label maps as they are prepared to draw from: which values mean what, and on which grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from AttentionSegLib.datasets.cases import Case
from AttentionSegLib.errors import InputError
from AttentionSegLib.training.preparation import IGNORED
from AttentionSegLib.training.synthesis.dataset import DrawnPatches
from AttentionSegLib.training.synthesis.maps import Numbering, prepare_maps
from AttentionSegLib.training.synthesis.settings import Synthesis
from drawing import BODY_VALUE, LEFT, RIGHT, STILL, make_map, make_synthesis, write_map
from tiny_training import make_card, make_labels, make_recipe

DRAWN = {"synthesis": {**STILL, "learned_as": {str(BODY_VALUE): 0}}}
TWO = {"labels": make_labels(2)}


def prepared(folder: Path, values: np.ndarray, affine: np.ndarray | None = None, card: dict | None = None, **settings):
    recipe = make_recipe(folder, **{**DRAWN, **settings})
    case = Case("map", (), write_map(folder / "map.nii.gz", values, affine))
    return prepare_maps([case], make_card(**{**TWO, **(card or {})}), recipe, folder / "prepared")[0]


class TestNumbering:
    def test_labels_come_first_then_what_is_learned_as_others(self):
        numbering = Numbering.of(2, Synthesis(learned_as={40: 0, 30: 1}), 255, [])
        assert numbering.values == (0, 1, 2, 30, 40, 255)
        assert numbering.learned.tolist() == [0, 1, 2, 1, 0, IGNORED]

    def test_both_sides_and_what_lies_within_them_look_alike(self):
        numbering = Numbering.of(2, Synthesis(learned_as={30: 1, 31: 1, 40: 2, 41: 2, 50: 0}), None, [(1, 2)])
        assert numbering.looks.tolist() == [0, 1, 1, 3, 4, 3, 4, 7]

    def test_values_of_a_tissue_have_the_number_of_its_first(self):
        numbering = Numbering.of(3, Synthesis(learned_as={30: 1}, tissues={2: 7, 3: 8, 30: 7}), None, [])
        assert numbering.tissues.tolist() == [-1, -1, 2, 3, 2]

    @pytest.mark.parametrize("given", [{1: 7, 3: 8}, {2: 7, 3: 8}, {1: 7, 2: 7, 3: 8}], ids=["first side", "second side", "both"])
    def test_a_tissue_of_one_side_of_a_pair_is_that_of_both(self, given):
        assert Numbering.of(3, Synthesis(tissues=given), None, [(1, 2)]).tissues.tolist() == [-1, 1, 1, 3]

    def test_two_tissues_of_a_pair_are_refused(self):
        with pytest.raises(InputError, match="has 1 as 7 and 2 as 8, but both sides look the same"):
            Numbering.of(2, Synthesis(tissues={1: 7, 2: 8}), None, [(1, 2)])

    def test_a_tissue_of_an_unknown_value_is_refused(self):
        with pytest.raises(InputError, match="tissues names 9"):
            Numbering.of(2, Synthesis(tissues={1: 1, 9: 1}), None, [])

    @pytest.mark.parametrize(
        ("learned_as", "message"), [({2: 0}, "labels or ignored already"), ({40: 3}, "40 as 3"), ({n + 3: 0 for n in range(260)}, "up to 254")]
    )
    def test_values_with_two_meanings_or_none_are_refused(self, learned_as, message):
        with pytest.raises(InputError, match=message):
            Numbering.of(2, Synthesis(learned_as=learned_as), None, [])


class TestPreparedMaps:
    def test_a_map_on_its_own_grid_stays_as_it_is_within_a_margin(self, tmp_path):
        values = np.array(prepared(tmp_path, make_map()).values)
        np.testing.assert_array_equal(values[1:-1, 1:-1, 1:-1], make_map())
        assert not values[0].any()
        assert not values[..., -1].any()

    def test_it_lies_as_the_card_says_however_it_is_stored(self, tmp_path):
        flipped = np.diag([-1.0, 1.0, 1.0, 1.0])
        values = np.array(prepared(tmp_path, make_map()[::-1], flipped).values)
        np.testing.assert_array_equal(values[1:-1, 1:-1, 1:-1], make_map())

    def test_fine_maps_of_coarse_grids_keep_as_many_voxels_as_there_are_steps(self, tmp_path):
        synthesis = {**DRAWN["synthesis"], "steps": [2, 2, 2]}
        case = prepared(tmp_path, make_map(), card={"spacing_mm": [2.0, 2.0, 2.0]}, synthesis=synthesis)
        np.testing.assert_array_equal(np.array(case.values)[1:-1, 1:-1, 1:-1], make_map())

    def test_places_to_look_at_are_those_of_learned_labels(self, tmp_path):
        case = prepared(tmp_path, make_map())
        for value, *voxel in case.label_voxels[::50]:
            assert case.values[tuple(voxel)] == value
        assert set(case.label_voxels[:, 0]) == {LEFT, RIGHT}

    def test_an_unknown_value_is_named(self, tmp_path):
        values = make_map()
        values[0, 0, 0] = 77
        with pytest.raises(InputError, match=r"map\.nii\.gz of case map holds 77, neither among the labels nor learned as one"):
            prepared(tmp_path, values)

    def test_a_model_of_two_scans_is_refused(self, tmp_path):
        two = [{"name": name, "modality": "MR", "normalization": {"kind": "z-score", "percentiles": [0.5, 99.5]}} for name in ("T1", "T2")]
        with pytest.raises(InputError, match="a single input"):
            prepared(tmp_path, make_map(), card={"inputs": two})


class TestPatches:
    def make(self, folder: Path, **settings) -> DrawnPatches:
        recipe = make_recipe(folder, **{**DRAWN, "patch_size": [24, 24, 24], **settings})
        card = make_card(**TWO)
        case = Case("map", (), write_map(folder / "map.nii.gz", make_map()))
        return DrawnPatches(prepare_maps([case], card, recipe, folder / "prepared"), card, recipe)

    def test_a_patch_has_its_number_whenever_it_is_asked_for(self, tmp_path):
        patches = self.make(tmp_path)
        later = patches[5]
        assert torch.equal(patches[5]["image"], later["image"])
        assert not torch.equal(patches[5]["image"], patches[6]["image"])
        assert later["image"].shape == later["label"].shape == (1, 24, 24, 24)
        assert (later["image"].dtype, later["label"].dtype) == (torch.float32, torch.uint8)

    def test_mirrored_patches_keep_left_and_right(self, tmp_path):
        patches = self.make(tmp_path, mirror_swaps=[[1, 2]], foreground_share=1.0)
        heights = {LEFT: set(), RIGHT: set()}
        for number in range(24):
            label = patches[number]["label"][0]
            if not ((label == LEFT).any() and (label == RIGHT).any()):
                continue
            places = {value: (label == value).nonzero().float() for value in (LEFT, RIGHT)}
            assert places[LEFT][:, 0].max() < places[RIGHT][:, 0].min()
            for value, found in places.items():
                heights[value].add(int(found[:, 2].max() - found[:, 2].min()))
        # The longer box is the right one, and the left one where the body was mirrored.
        assert max(heights[LEFT]) == max(heights[RIGHT]) == 11

    def test_patches_around_labels_hold_one(self, tmp_path):
        patches = self.make(tmp_path, patch_size=[16, 16, 16], foreground_share=1.0)
        assert all((patches[number]["label"] > 0).any() for number in range(10))


class TestSettings:
    def test_they_come_back_from_a_recipe_as_they_were(self):
        synthesis = make_synthesis(learned_as={40: 0, 7: 1}, steps=(2, 2, 1))
        assert Synthesis.from_document(synthesis.document) == synthesis

    @pytest.mark.parametrize(
        "wrong", [{"scaling": [1.2, 0.8]}, {"cut_share": 1.5}, {"noise": -1}, {"steps": [0, 1, 1]}, {"learned_as": {"-1": 0}}, {"contrast": 1}]
    )
    def test_a_setting_out_of_range_makes_a_recipe_unusable(self, tmp_path, wrong):
        with pytest.raises(InputError, match="cannot be used"):
            make_recipe(tmp_path, synthesis=wrong)
