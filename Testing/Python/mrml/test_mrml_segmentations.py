"""Labels become segments, and nothing else in the segmentation changes."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import vtk
from AttentionSegLib.errors import InputError
from AttentionSegLib.image import Image
from AttentionSegLib.mrml import image_from_volumes, publish_segmentation
from scenes import (
    AFFINES,
    PARENTS,
    SHAPE,
    affine_of_segment,
    linear_transform,
    make_labels,
    make_prediction,
    make_volume,
    put_under,
    rigid,
    thin_plate_transform,
    to_world,
    voxels_of,
)

ANTERIOR, POSTERIOR = "hippocampus-t1_1", "hippocampus-t1_2"


def predict(volume, labels=None):
    return make_prediction(image_from_volumes([volume]), labels)


def tag(segment, name):
    value = vtk.reference("")
    assert segment.GetTag(name, value)
    return str(value)


def assert_described(node):
    segment = node.GetSegmentation().GetSegment(ANTERIOR)
    assert segment.GetName() == "Hippocampus anterior"
    np.testing.assert_allclose(segment.GetColor(), np.array([221, 130, 101]) / 255, atol=1e-5)
    assert tag(segment, segment.GetTerminologyEntryTagName()) == (
        "Segmentation category and type - 3D Slicer General Anatomy list"
        "~SCT^123037004^Anatomical Structure~SCT^5366008^Hippocampus~^^~Anatomic codes - DICOM master list~^^~^^"
    )
    assert tag(segment, "AttentionSeg.ModelId") == "hippocampus-t1"
    assert tag(segment, "AttentionSeg.ModelVersion") == "1.0.0"
    assert tag(segment, "AttentionSeg.WeightsSHA256") == "0" * 64


def users_segmentation(scene, volume, name="Mine"):
    """A segmentation with two segments of the user in one layer, drawn on the volume."""
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    put_under(node, volume.GetParentTransformNode())
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    drawn = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "drawn")
    drawn.CopyOrientation(volume)
    put_under(drawn, volume.GetParentTransformNode())
    slicer.util.updateVolumeFromArray(drawn, make_labels(values=(0, 1, 2))[::-1].transpose(2, 1, 0))
    ids = vtk.vtkStringArray()
    for segment_id in ("tumor", "edema"):
        node.GetSegmentation().AddEmptySegment(segment_id, segment_id, [1, 0, 0])
        ids.InsertNextValue(segment_id)
    slicer.modules.segmentations.logic().ImportLabelmapToSegmentationNode(drawn, node, ids)
    scene.RemoveNode(drawn)
    return node


class TestNewSegmentation:
    def test_segments_are_described_as_the_card_says(self, volume):
        node = publish_segmentation(predict(volume), volume)
        assert node.GetName() == "T1 segmentation"
        assert list(node.GetSegmentation().GetSegmentIDs()) == [ANTERIOR, POSTERIOR]
        assert_described(node)
        assert node.GetDisplayNode() is not None

    def test_refers_to_the_volume(self, volume):
        node = publish_segmentation(predict(volume), volume)
        assert node.GetNodeReference(node.GetReferenceImageGeometryReferenceRole()) is volume

    def test_an_absent_structure_is_an_empty_segment(self, volume):
        node = publish_segmentation(predict(volume, make_labels(values=(0, 2))), volume)
        assert not voxels_of(node, ANTERIOR).any()
        assert np.array_equal(voxels_of(node, POSTERIOR), make_labels(values=(0, 2)) == 2)

    def test_nothing_found_gives_empty_segments(self, volume):
        node = publish_segmentation(predict(volume, np.zeros(SHAPE, np.uint8)), volume)
        assert node.GetSegmentation().GetNumberOfSegments() == 2
        assert not voxels_of(node, ANTERIOR).any()

    def test_labels_of_sixteen_bits(self, volume):
        node = publish_segmentation(predict(volume, make_labels().astype(np.uint16)), volume)
        assert np.array_equal(voxels_of(node, POSTERIOR), make_labels() == 2)

    def test_can_be_shown_in_3d(self, volume):
        labels = np.zeros(SHAPE, np.uint8)
        labels[2:8, 2:7, 2:5] = 1
        node = publish_segmentation(predict(volume, labels), volume)
        assert node.CreateClosedSurfaceRepresentation()
        surface = vtk.vtkPolyData()
        node.GetClosedSurfaceRepresentation(ANTERIOR, surface)
        bounds = np.reshape(surface.GetBounds(), (3, 2))
        np.testing.assert_allclose(bounds.mean(axis=1), (AFFINES["oblique"] @ (4.5, 4, 3, 1))[:3], atol=0.5)

    def test_a_volume_that_was_moved_in_its_own_space_is_refused(self, scene, volume):
        prediction = predict(volume)
        volume.SetOrigin(1, 2, 3)
        with pytest.raises(InputError, match="geometry of T1 changed"):
            publish_segmentation(prediction, volume)
        assert scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0


class TestGivenSegmentation:
    def test_an_empty_one_follows_the_volume(self, scene, volume):
        put_under(volume, PARENTS["thin plate in linear"](scene))
        given = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Result")
        node = publish_segmentation(predict(volume), volume, given)
        assert node is given
        assert node.GetName() == "Result"
        assert node.GetParentTransformNode() is volume.GetParentTransformNode()
        assert np.array_equal(voxels_of(node, ANTERIOR), make_labels() == 1)
        assert node.GetDisplayNode() is not None

    def test_other_segments_stay_untouched(self, scene, volume):
        given = users_segmentation(scene, volume)
        before = {name: voxels_of(given, name) for name in ("tumor", "edema")}
        publish_segmentation(predict(volume), volume, given)
        assert list(given.GetSegmentation().GetSegmentIDs()) == ["tumor", "edema", ANTERIOR, POSTERIOR]
        for name, mask in before.items():
            assert mask.any()
            assert np.array_equal(voxels_of(given, name), mask)
            assert given.GetSegmentation().GetSegment(name).GetColor() == (1, 0, 0)
        assert np.array_equal(voxels_of(given, ANTERIOR), make_labels() == 1)
        assert_described(given)

    def test_segments_of_an_earlier_run_are_replaced_in_place(self, scene, volume):
        given = users_segmentation(scene, volume)
        publish_segmentation(predict(volume), volume, given)
        given.GetSegmentation().SetSegmentIndex(POSTERIOR, 0)
        flipped = make_labels()[:, ::-1]
        publish_segmentation(predict(volume, flipped), volume, given)
        assert list(given.GetSegmentation().GetSegmentIDs()) == [POSTERIOR, "tumor", "edema", ANTERIOR]
        assert np.array_equal(voxels_of(given, ANTERIOR), flipped == 1)
        assert np.array_equal(voxels_of(given, POSTERIOR), flipped == 2)

    def test_a_users_segment_in_the_layer_of_an_earlier_run_survives(self, volume):
        # The Segment Editor draws new segments into a layer that is there already.
        node = publish_segmentation(predict(volume, make_labels(values=(0, 1, 2, 3))), volume)
        shared = node.GetSegmentation().GetSegment(ANTERIOR).GetRepresentation("Binary labelmap")
        users = slicer.vtkSegment()
        users.SetName("mine")
        users.SetLabelValue(3)
        users.AddRepresentation("Binary labelmap", shared)
        node.GetSegmentation().AddSegment(users, "mine")
        publish_segmentation(predict(volume), volume, node)
        assert np.array_equal(voxels_of(node, "mine"), make_labels(values=(0, 1, 2, 3)) == 3)
        assert np.array_equal(voxels_of(node, ANTERIOR), make_labels() == 1)

    def test_surfaces_of_other_segments_stay_shown(self, scene, volume):
        given = users_segmentation(scene, volume)
        given.CreateClosedSurfaceRepresentation()
        for labels in (make_labels(), make_labels(values=(0, 2))):
            publish_segmentation(predict(volume, labels), volume, given)
            for name in ("tumor", POSTERIOR):
                surface = vtk.vtkPolyData()
                assert given.GetClosedSurfaceRepresentation(name, surface)
                assert surface.GetNumberOfPoints() > 0

    def test_an_earlier_result_shown_in_3d_is_shown_in_3d_again(self, volume):
        node = publish_segmentation(predict(volume), volume)
        node.CreateClosedSurfaceRepresentation()
        publish_segmentation(predict(volume, make_labels(values=(0, 2))), volume, node)
        surface = vtk.vtkPolyData()
        assert node.GetClosedSurfaceRepresentation(POSTERIOR, surface)
        assert surface.GetNumberOfPoints() > 0

    @pytest.mark.parametrize("volume_moves", [False, True])
    @pytest.mark.parametrize("segmentation_moves", [False, True])
    def test_segments_of_another_space_stay_where_they_are_in_the_world(self, scene, volume, volume_moves, segmentation_moves):
        given = users_segmentation(scene, volume)
        if volume_moves:
            put_under(volume, linear_transform(scene, rigid(10, 20, 30, (5, -6, 7))))
        if segmentation_moves:
            put_under(given, linear_transform(scene, rigid(-40, 3, 9, (50, 0, -20))))
        parent = given.GetTransformNodeID()
        publish_segmentation(predict(volume), volume, given)
        assert given.GetTransformNodeID() == parent
        assert np.array_equal(voxels_of(given, ANTERIOR), make_labels() == 1)
        in_segment = affine_of_segment(given, ANTERIOR) @ (4, 5, 6, 1)
        in_volume = AFFINES["oblique"] @ (4, 5, 6, 1)
        np.testing.assert_allclose(to_world(given, in_segment[:3]), to_world(volume, in_volume[:3]), atol=1e-6)

    def test_another_non_linear_space_is_refused(self, scene, volume):
        given = users_segmentation(scene, volume)
        put_under(volume, thin_plate_transform(scene))
        with pytest.raises(InputError, match="Mine and the volume T1 are under different transforms"):
            publish_segmentation(predict(volume), volume, given)
        assert list(given.GetSegmentation().GetSegmentIDs()) == ["tumor", "edema"]

    def test_a_segmentation_of_surfaces_is_refused(self, scene, volume):
        given = users_segmentation(scene, volume)
        given.CreateClosedSurfaceRepresentation()
        given.SetSourceRepresentationToClosedSurface()
        with pytest.raises(InputError, match="Mine is made of Closed surface"):
            publish_segmentation(predict(volume), volume, given)

    def test_forms_that_voxels_cannot_be_turned_into_are_refused(self, scene, volume):
        given = users_segmentation(scene, volume)
        for name in ("tumor", "edema"):
            given.GetSegmentation().GetSegment(name).AddRepresentation("Planar contour", vtk.vtkPolyData())
        with pytest.raises(InputError, match="Mine is made of Binary labelmap, Planar contour"):
            publish_segmentation(predict(volume), volume, given)
        assert list(given.GetSegmentation().GetSegmentIDs()) == ["tumor", "edema"]


class TestFiles:
    @pytest.mark.parametrize("orientation", AFFINES)
    def test_seg_nrrd_keeps_voxels_place_and_description(self, scene, tmp_path, orientation):
        volume = make_volume(scene, AFFINES[orientation])
        node = publish_segmentation(predict(volume), volume)
        loaded = save_and_load(node, tmp_path)
        assert_described(loaded)
        affine = affine_of_segment(loaded, ANTERIOR)
        labels = make_labels()
        found = {tuple(np.round(point, 3)) for point in (np.argwhere(stored(loaded, ANTERIOR)) @ affine[:3, :3].T + affine[:3, 3])}
        expected = {tuple(np.round(point, 3)) for point in Image(labels[np.newaxis], AFFINES[orientation]).to_ras(np.argwhere(labels == 1))}
        assert found == expected

    def test_empty_segments_survive_a_file(self, volume, tmp_path):
        node = publish_segmentation(predict(volume, np.zeros(SHAPE, np.uint8)), volume)
        loaded = save_and_load(node, tmp_path)
        assert loaded.GetSegmentation().GetNumberOfSegments() == 2
        assert_described(loaded)


def save_and_load(node, folder):
    path = str(folder / "result.seg.nrrd")
    node.AddDefaultStorageNode()
    node.GetStorageNode().SetFileName(path)
    assert node.GetStorageNode().WriteData(node)
    return slicer.modules.segmentations.logic().LoadSegmentationFromFile(path, False, "loaded")


def stored(node, segment_id):
    return voxels_of(node, segment_id, [2 * count for count in SHAPE])
