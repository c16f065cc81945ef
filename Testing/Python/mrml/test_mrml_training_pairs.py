"""Pairs of volume and segmentation as a training reads them: labels on the scan's voxels, by the names of the segments."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from AttentionSegLib.datasets import folder_cases
from AttentionSegLib.datasets.cases import read_labelled
from AttentionSegLib.errors import InputError
from AttentionSegLib.models import Card
from AttentionSegLib.mrml import image_from_volumes
from AttentionSegLib.mrml.attention_volumes import MAP_ATTRIBUTE
from AttentionSegLib.mrml.provenance import MODEL_ID
from AttentionSegLib.mrml.training_pairs import TISSUE, read_pairs, scene_pairs, write_pairs
from AttentionSegLib.mrml.transforms import local_affine
from builders import make_card_document
from pair_scenes import NAMES, make_pair, make_result, segment
from scenes import AFFINES, PARENTS, SHAPE, make_labels, make_volume, put_under


def test_results_of_models_are_offered_on_request(scene):
    drawn, made = make_pair(scene, "a"), make_result(scene, "b")
    assert scene_pairs(scene) == [drawn]
    assert scene_pairs(scene, results=True) == [drawn, made]
    # One segment that a person has drawn makes it one of a person.
    made[1].GetSegmentation().GetNthSegment(0).RemoveTag(MODEL_ID)
    assert scene_pairs(scene) == [drawn, made]


def test_maps_are_no_volumes_to_learn_from(scene):
    volume, segmentation = make_pair(scene, "a")
    volume.SetAttribute(MAP_ATTRIBUTE, "gate_2")
    assert scene_pairs(scene) == []
    assert segmentation.GetScene() is scene


def make_label_map(scene, volume, labels, name, affine=None):
    node = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", name)
    slicer.util.updateVolumeFromArray(node, np.ascontiguousarray(labels.transpose(2, 1, 0)))
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(local_affine(volume) if affine is None else affine))
    return node


def test_label_maps_are_offered_with_their_volume(scene):
    volume, other = make_volume(scene, name="T1"), make_volume(scene, AFFINES["LPS"], name="T2")
    named = make_label_map(scene, volume, make_labels(), "T1-label")
    on_grid = make_label_map(scene, other, make_labels(), "drawn")
    make_label_map(scene, other, make_labels(), "elsewhere", np.diag([3.0, 3, 3, 1]))
    assert scene_pairs(scene) == [(volume, named), (other, on_grid)]


def test_the_labels_of_a_label_map_are_those_of_the_segmentation(scene):
    drawn, volume = make_pair(scene, "a"), make_volume(scene, name="b")
    colors = scene.AddNewNodeByClass("vtkMRMLColorTableNode", "Structures")
    colors.SetTypeToUser()
    colors.SetNumberOfColors(3)
    for value, name in enumerate(["background", NAMES[1], NAMES[0]]):
        colors.SetColor(value, name, 0.2, 0.4, 0.6, 1.0)
    swapped = np.choose(make_labels(), (0, 2, 1)).astype(np.int16)
    label_map = make_label_map(scene, volume, swapped, "b-label")
    label_map.CreateDefaultDisplayNodes()
    label_map.GetDisplayNode().SetAndObserveColorNodeID(colors.GetID())
    read = read_pairs([drawn, (volume, label_map)])
    for labels in only_labels(read):
        np.testing.assert_array_equal(labels, make_labels())
    assert read_pairs([(volume, label_map)]).labels[0]["color"] == [51, 102, 153]


def test_a_label_map_without_names(scene):
    volume = make_volume(scene)
    label_map = make_label_map(scene, volume, make_labels(), "T1-label")
    assert read_pairs([(volume, label_map)]).label_names == {1: "Label 1", 2: "Label 2"}


def only_labels(pairs):
    return [label.voxels[0] for _image, label in pairs.scans.values()]


@pytest.mark.parametrize("affine", AFFINES)
def test_labels_are_those_of_the_segments(scene, affine):
    expected = make_labels()
    volume, segmentation = make_pair(scene, labels=expected, affine=AFFINES[affine])
    read = read_pairs([(volume, segmentation)])
    np.testing.assert_array_equal(only_labels(read)[0], expected)
    image, label = read.scans["1_T1"]
    np.testing.assert_array_equal(image.voxels, image_from_volumes([volume]).voxels)
    np.testing.assert_array_equal(label.affine, image.affine)


@pytest.mark.parametrize("parent", PARENTS)
def test_under_a_transform(scene, parent):
    expected = make_labels()
    volume, segmentation = make_pair(scene, labels=expected)
    for node in (volume, segmentation):
        put_under(node, PARENTS[parent](scene) if node is volume else volume.GetParentTransformNode())
    np.testing.assert_array_equal(only_labels(read_pairs([(volume, segmentation)]))[0], expected)


def test_a_segmentation_under_another_transform_is_read_where_it_is_in_the_world(scene):
    """Moved by two voxels along the first axis."""
    expected = make_labels()
    volume, segmentation = make_pair(scene, labels=expected)
    shift = np.eye(4)
    shift[:3, 3] = 2 * AFFINES["oblique"][:3, 0]
    node = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    node.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(shift))
    put_under(segmentation, node)
    moved = np.zeros_like(expected)
    moved[2:] = expected[:-2]
    np.testing.assert_array_equal(only_labels(read_pairs([(volume, segmentation)]))[0], moved)


def test_values_follow_the_names_and_not_the_order_of_segments(scene):
    first, second = make_pair(scene, "a"), make_pair(scene, "b")
    expected = only_labels(read_pairs([first, second]))
    inner = second[1].GetSegmentation()
    inner.SetSegmentIndex(inner.GetSegmentIdBySegmentName(NAMES[1]), 0)
    again = read_pairs([first, second])
    assert [label["name"] for label in again.labels] == NAMES
    assert again.label_names == {1: NAMES[0], 2: NAMES[1]}
    for one, other in zip(only_labels(again), expected):
        np.testing.assert_array_equal(one, other)


def test_a_structure_that_one_scan_lacks(scene):
    pairs = [make_pair(scene, "a"), make_pair(scene, "b", labels=make_labels(values=(0, 2)))]
    assert [sorted(np.unique(labels)) for labels in only_labels(read_pairs(pairs))] == [[0, 1, 2], [0, 2]]


def test_colors_and_terms_are_those_of_the_segments(scene):
    volume, segmentation = make_pair(scene)
    segment(segmentation, NAMES[0]).SetTag("TerminologyEntry", "mine~SCT^1^Category~SCT^2^Type~SCT^7771000^Left~anatomy~^^~^^")
    segment(segmentation, NAMES[1]).RemoveTag("TerminologyEntry")
    labels = read_pairs([(volume, segmentation)]).labels
    assert labels[0]["color"] == [221, 130, 101]
    assert labels[0]["terminology"]["type"] == {"scheme": "SCT", "value": "2", "meaning": "Type"}
    assert labels[0]["terminology"]["modifier"] == {"scheme": "SCT", "value": "7771000", "meaning": "Left"}
    assert labels[1]["terminology"] == {"category": TISSUE, "type": TISSUE}
    assert [label.name for label in Card.from_document(make_card_document(labels=labels)).labels] == NAMES


def test_files_are_cases_of_a_training(scene, tmp_path):
    """Two volumes of one name, and a name that no file can have."""
    pairs = [make_pair(scene, name) for name in ("T1", "T1", "Ä/b: c")]
    read = read_pairs(pairs)
    images, labels = write_pairs(read, tmp_path)
    found = folder_cases(images, labels, label_names=read.label_names)
    cases = sorted((case for role in found.roles.values() for case in role), key=lambda case: case.id)
    assert [case.id for case in cases] == ["1_T1", "2_T1", "3__b_c"]
    assert found.label_names == read.label_names
    for case, (image, label) in zip(cases, read.scans.values()):
        scan, label_map, _ = read_labelled(case)
        np.testing.assert_array_equal(scan.voxels, image.voxels)
        np.testing.assert_array_equal(label_map.voxels, label.voxels)
        np.testing.assert_allclose(scan.affine, image.affine, atol=1e-9)


class TestRefused:
    def test_other_names_of_segments(self, scene):
        first, second = make_pair(scene, "a"), make_pair(scene, "b")
        segment(second[1], NAMES[1]).SetName("Kidney")
        with pytest.raises(InputError, match="b segmentation of b has the segments Hippocampus anterior, Kidney, and a segmentation of a has"):
            read_pairs([first, second])

    def test_names_that_differ_in_case_and_outer_blanks_only(self, scene):
        first, second = make_pair(scene, "a"), make_pair(scene, "b")
        segment(second[1], NAMES[1]).SetName(f" {NAMES[1].upper()} ")
        found = read_pairs([first, second])
        assert [entry["name"] for entry in found.labels] == sorted(NAMES[:2])
        one, other = (label.voxels for _image, label in found.scans.values())
        np.testing.assert_array_equal(one, other)

    def test_a_name_that_two_segments_have(self, scene):
        volume, segmentation = make_pair(scene)
        segment(segmentation, NAMES[1]).SetName(NAMES[0])
        with pytest.raises(InputError, match="two segments of the name 'Hippocampus anterior'"):
            read_pairs([(volume, segmentation)])

    def test_no_segments(self, scene):
        volume, segmentation = make_pair(scene)
        segmentation.GetSegmentation().RemoveAllSegments()
        with pytest.raises(InputError, match="T1 segmentation of T1 has no segments"):
            read_pairs([(volume, segmentation)])

    def test_voxels_of_two_segments(self, scene):
        volume, segmentation = make_pair(scene)
        copy = slicer.vtkSegment()
        copy.DeepCopy(segment(segmentation, NAMES[0]))
        copy.SetName("Whole")
        segmentation.GetSegmentation().AddSegment(copy, "whole")
        with pytest.raises(InputError, match="belong to both 'Hippocampus anterior' and 'Whole'"):
            read_pairs([(volume, segmentation)])

    def test_a_segmentation_of_surfaces(self, scene):
        volume, segmentation = make_pair(scene)
        segmentation.CreateClosedSurfaceRepresentation()
        segmentation.GetSegmentation().SetSourceRepresentationName("Closed surface")
        segmentation.GetSegmentation().RemoveRepresentation("Binary labelmap")
        with pytest.raises(InputError, match="convert it to a binary labelmap"):
            read_pairs([(volume, segmentation)])


class TestScenePairs:
    def test_the_volume_that_a_segmentation_was_drawn_on(self, scene):
        make_volume(scene, name="other")
        volume, segmentation = make_pair(scene, "T1")
        segmentation.SetName("other")
        assert scene_pairs(scene) == [(volume, segmentation)]

    def test_loaded_from_files_the_names_tell(self, scene):
        volumes = {name: make_volume(scene, name=name) for name in ("case", "case_1", "case_10")}
        segmentations = {name: scene.AddNewNodeByClass("vtkMRMLSegmentationNode", name) for name in ("case_1.seg", "case_10-label", "Segmentation")}
        assert scene_pairs(scene) == [(volumes["case_1"], segmentations["case_1.seg"]), (volumes["case_10"], segmentations["case_10-label"])]

    def test_a_deleted_volume_has_none(self, scene):
        volume, _segmentation = make_pair(scene, "T1")
        scene.RemoveNode(volume)
        assert scene_pairs(scene) == []


def test_the_scene_stays_as_it_was(scene):
    pairs = [make_pair(scene, "a")]
    before = scene.GetNumberOfNodes()
    read_pairs(pairs)
    assert scene.GetNumberOfNodes() == before
    assert only_labels(read_pairs(pairs))[0].shape == SHAPE
