"""A scan of another kind than a model knows is noticed, and one that fits is not."""

from __future__ import annotations

import heads
import numpy as np
import pytest
import slicer
from AttentionSegLib.inference.checks import region_note
from AttentionSegLib.models import Card
from AttentionSegLib.mrml.fit import fit_hints, lacks_region
from AttentionSegLib.mrml.regions import region_from_roi
from builders import make_card_document
from poses import axes_of
from scenes import affine_of, make_volume


@pytest.fixture
def card():
    return Card.from_document(make_card_document())


def volume_of(scene, spacing=(1, 1, 1), low=0, shape=(6, 6, 6)):
    voxels = np.linspace(low, 900, int(np.prod(shape))).reshape(shape).astype(np.int16)
    return make_volume(scene, affine_of(axes_of("RAS"), np.array(spacing, float)), voxels)


def test_a_scan_that_fits_gets_no_hint(scene, card):
    assert fit_hints(card, [volume_of(scene)]) == []
    assert fit_hints(card, [None]) == []


def test_thick_slices(scene, card):
    assert fit_hints(card, [volume_of(scene, (1, 1, 5))]) == ["T1 has 5 mm between slices; the model was trained on 1 mm."]


def test_ct_for_a_model_of_mr(scene, card):
    assert fit_hints(card, [volume_of(scene, low=-1000)]) == ["T1 looks like CT; the model was trained on MR."]


def test_what_dicom_says_counts(scene, card):
    volume = volume_of(scene)
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    item = hierarchy.CreateItem(hierarchy.GetSceneItemID(), volume)
    hierarchy.SetItemAttribute(item, "DICOM.Modality", "CT")
    assert "looks like CT" in fit_hints(card, [volume])[0]
    hierarchy.SetItemAttribute(item, "DICOM.Modality", "MR")
    assert fit_hints(card, [volume]) == []


def test_only_a_model_of_a_region_lacks_one(scene, card):
    region = Card.from_document(make_card_document(field_of_view={"kind": "region", "size_mm": [10, 20, 10]}))
    large, small = volume_of(scene, shape=(50, 50, 50)), volume_of(scene, shape=(12, 25, 12))
    assert lacks_region(region, large)
    assert not lacks_region(region, small)
    assert not lacks_region(card, large)


def test_a_model_that_finds_its_regions_lacks_none(scene, tmp_path):
    finder = Card.from_document(make_card_document(**heads.entries(tmp_path)))
    assert not lacks_region(finder, volume_of(scene, shape=(200, 200, 200)))


def test_a_scan_of_a_part_of_the_region(scene):
    region = Card.from_document(make_card_document(field_of_view={"kind": "region", "size_mm": [10, 20, 10]}))
    assert fit_hints(region, [volume_of(scene, shape=(10, 20, 10))]) == []
    assert fit_hints(region, [volume_of(scene, shape=(10, 20, 4))]) == ["T1 covers 4 x 10 x 20 mm; the model was trained on about 10 x 10 x 20 mm."]


class TestRegion:
    @pytest.fixture
    def region_card(self):
        return Card.from_document(make_card_document(field_of_view={"kind": "region", "size_mm": [10, 20, 10]}))

    def region_of(self, scene, size):
        roi = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "R")
        roi.SetSize(*size)
        return roi

    def test_of_the_size_that_the_model_knows(self, scene, card, region_card):
        volume = volume_of(scene, shape=(50, 50, 50))
        assert fit_hints(region_card, [volume], self.region_of(scene, (10, 20, 10))) == []
        assert fit_hints(card, [volume], self.region_of(scene, (1, 1, 1))) == []
        assert fit_hints(region_card, [None], self.region_of(scene, (1, 1, 1))) == []

    def test_too_small_is_told_as_the_prediction_will(self, scene, region_card):
        volume, roi = volume_of(scene, shape=(50, 50, 50)), self.region_of(scene, (3, 3, 3))
        assert fit_hints(region_card, [volume], roi) == [region_note(region_from_roi(roi, volume), region_card)]
        assert "The region of 3 x 3 x 3 mm is too small" in fit_hints(region_card, [volume], roi)[0]

    def test_that_cannot_be_used_is_told(self, scene, region_card):
        roi = self.region_of(scene, (0, 0, 0))
        assert fit_hints(region_card, [volume_of(scene, shape=(50, 50, 50))], roi) == ["The region R has no size yet; draw it around the structure."]
