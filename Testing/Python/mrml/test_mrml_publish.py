"""A prediction goes into the scene as a whole, in one place, or not at all."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from AttentionSegLib.errors import InputError
from AttentionSegLib.mrml import image_from_volumes, publish
from published_scenes import Unreadable, children, hierarchy_of, make_items_as_the_application_does, predict, tree, volume_map
from scenes import AFFINES, PARENTS, make_labels, nodes_of, put_under, save_and_load, voxels_of


class TestEverythingTogether:
    def test_all_outputs_are_in_one_folder_beside_the_input(self, scene, volume):
        hierarchy = hierarchy_of(scene)
        study = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "Study")
        hierarchy.CreateItem(study, volume)
        nodes = publish(predict(volume), volume)
        assert hierarchy.GetItemName(nodes.folder_item) == "T1 AttentionSeg"
        assert hierarchy.GetItemParent(nodes.folder_item) == study
        inside = [hierarchy.GetItemDataNode(item) for item in children(scene, nodes.folder_item)]
        assert inside == [nodes.segmentation, nodes.attention["gate_2"], nodes.uncertainty]
        assert [node.GetName() for node in inside] == ["T1 segmentation", "T1 gate_2", "T1 uncertainty"]

    def test_an_input_outside_the_hierarchy_is_at_its_top(self, scene, volume):
        nodes = publish(predict(volume), volume)
        assert hierarchy_of(scene).GetItemParent(nodes.folder_item) == hierarchy_of(scene).GetSceneItemID()

    def test_items_that_the_application_made_already_move_into_the_folder(self, scene, volume):
        hierarchy = hierarchy_of(scene)
        make_items_as_the_application_does(scene)
        nodes = publish(predict(volume), volume)
        assert len(children(scene, nodes.folder_item)) == 3
        assert children(scene, hierarchy.GetSceneItemID()) == [nodes.folder_item]

    @pytest.mark.parametrize("parent", PARENTS)
    def test_outputs_are_under_the_parent_transform_of_the_input(self, scene, volume, parent):
        put_under(volume, PARENTS[parent](scene))
        nodes = publish(predict(volume), volume)
        for node in (nodes.segmentation, nodes.uncertainty, *nodes.attention.values()):
            assert node.GetParentTransformNode() is volume.GetParentTransformNode()

    def test_uncertainty_is_on_the_voxels_of_the_input(self, volume):
        prediction = predict(volume)
        nodes = publish(prediction, volume)
        assert np.array_equal(slicer.util.arrayFromVolume(nodes.uncertainty).transpose(2, 1, 0), prediction.uncertainty.voxels[0])
        np.testing.assert_allclose(image_from_volumes([nodes.uncertainty]).affine, AFFINES["oblique"], atol=1e-6)

    def test_probabilities_are_not_published_and_nothing_is_left_over(self, scene, volume):
        before = set(nodes_of(scene))
        nodes = publish(predict(volume), volume)
        new = [scene.GetNodeByID(node_id) for node_id in set(nodes_of(scene)) - before]
        shown = {nodes.segmentation, nodes.uncertainty, *nodes.attention.values()}
        assert {node for node in new if not node.IsA("vtkMRMLDisplayNode") and not node.IsA("vtkMRMLColorNode")} == shown

    def test_views_refresh_once(self, scene, volume):
        states = []
        scene.AddObserver(scene.EndBatchProcessEvent, lambda *_: states.append(scene.IsBatchProcessing()))
        publish(predict(volume), volume)
        assert len(states) == 1
        assert not scene.IsBatchProcessing()


class TestGivenSegmentation:
    def test_an_empty_one_comes_into_the_folder(self, scene, volume):
        given = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Result")
        hierarchy_of(scene).CreateItem(hierarchy_of(scene).GetSceneItemID(), given)
        nodes = publish(predict(volume), volume, given)
        assert nodes.segmentation is given
        assert hierarchy_of(scene).GetItemParent(hierarchy_of(scene).GetItemByDataNode(given)) == nodes.folder_item

    def test_one_in_use_stays_where_the_user_put_it(self, scene, volume):
        first = publish(predict(volume), volume)
        second = publish(predict(volume), volume, first.segmentation)
        hierarchy = hierarchy_of(scene)
        assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(first.segmentation)) == first.folder_item
        assert len(children(scene, second.folder_item)) == 2


class TestFailure:
    def broken(self, volume):
        """A prediction whose last attention map cannot be shown: VTK has no voxels of this type."""
        return predict(volume, attention={"gate_2": volume_map(np.float32), "gate_3": Unreadable()})

    @pytest.mark.parametrize("in_application", [False, True])
    def test_the_scene_is_as_before(self, scene, volume, in_application):
        if in_application:
            make_items_as_the_application_does(scene)
        before, items = nodes_of(scene), tree(scene)
        with pytest.raises(RuntimeError, match="no voxels"):
            publish(self.broken(volume), volume)
        assert nodes_of(scene) == before
        assert tree(scene) == items
        assert not scene.IsBatchProcessing()

    def test_a_segmentation_in_use_is_as_before(self, scene, volume):
        given = publish(predict(volume), volume).segmentation
        before, items, stamp = nodes_of(scene), tree(scene), given.GetSegmentation().GetMTime()
        with pytest.raises(RuntimeError, match="no voxels"):
            publish(self.broken(volume), volume, given)
        assert nodes_of(scene) == before
        assert tree(scene) == items
        assert given.GetSegmentation().GetMTime() == stamp

    def test_a_volume_changed_meanwhile_leaves_nothing_behind(self, scene, volume):
        prediction = predict(volume)
        volume.SetSpacing(1, 1, 1)
        before, items = nodes_of(scene), tree(scene)
        with pytest.raises(InputError, match="geometry of T1 changed"):
            publish(prediction, volume)
        assert nodes_of(scene) == before
        assert tree(scene) == items

    def test_publishing_works_after_a_failure(self, volume):
        with pytest.raises(RuntimeError):
            publish(self.broken(volume), volume)
        nodes = publish(predict(volume), volume)
        assert np.array_equal(voxels_of(nodes.segmentation, "hippocampus-t1_2"), make_labels() == 2)

    @pytest.mark.parametrize("which", ["T1", "Result"])
    def test_a_node_removed_meanwhile(self, scene, volume, which):
        prediction = predict(volume)
        given = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Result")
        scene.RemoveNode(volume if which == "T1" else given)
        with pytest.raises(InputError, match=f"{which} is no longer in the scene"):
            publish(prediction, volume, given)


def test_a_saved_scene_keeps_volumes_display_and_references(scene, volume, tmp_path):
    put_under(volume, PARENTS["nested"](scene))
    prediction = predict(volume)
    publish(prediction, volume)
    loaded = save_and_load(scene, tmp_path)

    def get(name):
        return loaded.GetFirstNode(name, None, None, True)

    segmentation, gate, reloaded = get("T1 segmentation"), get("T1 gate_2"), get("T1")
    assert np.array_equal(voxels_of(segmentation, "hippocampus-t1_1"), make_labels() == 1)
    assert segmentation.GetNodeReference(segmentation.GetReferenceImageGeometryReferenceRole()) is reloaded
    gate_image = image_from_volumes([gate])
    assert np.array_equal(gate_image.voxels, prediction.attention["gate_2"].voxels)
    np.testing.assert_allclose(gate_image.affine, prediction.attention["gate_2"].affine, atol=1e-6)
    for node in (segmentation, gate, get("T1 uncertainty")):
        assert node.GetParentTransformNode() is reloaded.GetParentTransformNode()
        assert reloaded.GetParentTransformNode().GetParentTransformNode() is not None
    display = gate.GetDisplayNode()
    assert display.GetColorNode().GetNumberOfColors() == 256
    assert (display.GetWindowLevelMin(), display.GetWindowLevelMax(), display.GetApplyThreshold()) == (0, 1, 1)
    assert gate.GetAttribute("AttentionSeg.ModelId") == "hippocampus-t1"
    hierarchy = hierarchy_of(loaded)
    assert hierarchy.GetItemName(hierarchy.GetItemParent(hierarchy.GetItemByDataNode(gate))) == "T1 AttentionSeg"
