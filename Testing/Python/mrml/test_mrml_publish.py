"""A prediction goes into the scene as a whole, in one place, or not at all."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import vtk
from AttentionSegLib.errors import InputError
from AttentionSegLib.image import Image
from AttentionSegLib.mrml import image_from_volumes, publish
from AttentionSegLib.mrml.voxels import view_voxels
from AttentionSegLib.region import Region
from AttentionSegLib.reporting.intensities import map_top
from scenes import AFFINES, PARENTS, SHAPE, make_labels, make_prediction, make_volume, nodes_of, put_under, voxels_of


@pytest.fixture
def volume(scene):
    return make_volume(scene)


def predict(volume, **changes):
    return make_prediction(image_from_volumes([volume]), **changes)


def hierarchy_of(scene):
    return slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)


def children(scene, item, recursive=False):
    ids = vtk.vtkIdList()
    hierarchy_of(scene).GetItemChildren(item, ids, recursive)
    return [ids.GetId(index) for index in range(ids.GetNumberOfIds())]


def tree(scene):
    """Every item with its parent."""
    hierarchy = hierarchy_of(scene)
    return {item: (hierarchy.GetItemName(item), hierarchy.GetItemParent(item)) for item in children(scene, hierarchy.GetSceneItemID(), True)}


def make_items_as_the_application_does(scene):
    """The Subject Hierarchy module adds an item for every node that can be shown, and removes it with the node."""
    hierarchy = hierarchy_of(scene)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def add(_scene, _event, node):
        if node.IsA("vtkMRMLDisplayableNode"):
            hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def remove(_scene, _event, node):
        if hierarchy.GetItemByDataNode(node):
            hierarchy.RemoveItem(hierarchy.GetItemByDataNode(node), False, False)

    scene.AddObserver(scene.NodeAddedEvent, add)
    scene.AddObserver(scene.NodeAboutToBeRemovedEvent, remove)


def names_of(scene):
    """Names of all volumes and segmentations."""
    nodes = [scene.GetNthNode(index) for index in range(scene.GetNumberOfNodes())]
    return [node.GetName() for node in nodes if node.IsA("vtkMRMLVolumeNode") or node.IsA("vtkMRMLSegmentationNode")]


def nodes_in(published):
    return [published.segmentation, published.uncertainty, *published.attention.values(), *published.probabilities.values()]


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


class TestTwoRuns:
    def test_two_volumes_of_the_same_name_keep_their_own_results(self, scene):
        volumes = [make_volume(scene, AFFINES[key], name="T1") for key in ("oblique", "LPS")]
        put_under(volumes[1], PARENTS["linear"](scene))
        labels = [make_labels(), make_labels()[::-1]]
        results = [publish(predict(volume, labels=mask), volume) for volume, mask in zip(volumes, labels)]
        assert results[0].folder_item != results[1].folder_item
        for volume, mask, nodes in zip(volumes, labels, results):
            assert np.array_equal(voxels_of(nodes.segmentation, "hippocampus-t1_1"), mask == 1)
            assert nodes.uncertainty.GetParentTransformNode() is volume.GetParentTransformNode()
            assert nodes.segmentation.GetNodeReference(nodes.segmentation.GetReferenceImageGeometryReferenceRole()) is volume
            inside = [hierarchy_of(scene).GetItemDataNode(item) for item in children(scene, nodes.folder_item)]
            assert inside == [nodes.segmentation, *nodes.attention.values(), nodes.uncertainty]

    @pytest.mark.parametrize("in_application", [False, True])
    def test_the_second_run_fills_the_nodes_of_the_first(self, scene, volume, in_application):
        if in_application:
            make_items_as_the_application_does(scene)
        first = publish(predict(volume), volume)
        hierarchy, made = hierarchy_of(scene), names_of(scene)
        elsewhere = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "Elsewhere")
        hierarchy.SetItemParent(first.folder_item, elsewhere)
        items = len(tree(scene))
        second = publish(predict(volume, labels=make_labels()[::-1]), volume)
        assert names_of(scene) == made
        assert len(tree(scene)) == items
        assert second.folder_item == first.folder_item
        assert nodes_in(second) == nodes_in(first)
        assert np.array_equal(voxels_of(second.segmentation, "hippocampus-t1_1"), make_labels()[::-1] == 1)

    def test_the_maps_of_the_second_run_have_its_values_and_the_colors_of_the_user(self, scene, volume):
        first = publish(predict(volume), volume)
        gray = scene.AddNewNodeByClass("vtkMRMLColorTableNode", "Mine")
        first.attention["gate_2"].GetDisplayNode().SetAndObserveColorNodeID(gray.GetID())
        put_under(volume, PARENTS["linear"](scene))
        values = Image(np.random.default_rng(1).random((1, 4, 5, 3), np.float32) / 4, np.diag([3.0, 4.0, 5.0, 1.0]))
        gate = publish(predict(volume, attention={"gate_2": values}), volume).attention["gate_2"]
        shown = image_from_volumes([gate])
        assert np.array_equal(shown.voxels, values.voxels)
        np.testing.assert_allclose(shown.affine, values.affine)
        assert gate.GetDisplayNode().GetColorNode() is gray
        assert gate.GetDisplayNode().GetWindowLevelMax() == pytest.approx(map_top(values.voxels[0], "gate_2"))
        assert gate.GetParentTransformNode() is volume.GetParentTransformNode()

    def test_maps_that_the_second_run_does_not_have_go(self, scene, volume):
        first = publish(predict(volume), volume)
        second = publish(predict(volume, attention={}), volume)
        assert first.attention["gate_2"].GetScene() is None
        assert "T1 gate_2" not in names_of(scene)
        assert second.uncertainty is first.uncertainty

    @pytest.mark.parametrize("change", ["edited", "renamed", "renamed segment", "renamed map"])
    def test_a_result_that_the_user_changed_stays(self, scene, volume, change):
        first = publish(predict(volume), volume)
        if change == "edited":
            labelmap = first.segmentation.GetSegmentation().GetSegment("hippocampus-t1_1").GetRepresentation("Binary labelmap")
            view_voxels(labelmap)[4, 4, 3] += 1
        elif change == "renamed":
            first.segmentation.SetName("Final")
        elif change == "renamed segment":
            first.segmentation.GetSegmentation().GetNthSegment(0).SetName("Head")
        else:
            first.attention["gate_2"].SetName("Figure 3")
        second = publish(predict(volume), volume)
        assert first.segmentation.GetScene() is scene
        assert second.folder_item != first.folder_item
        for node in (*nodes_in(first), *nodes_in(second)):
            assert names_of(scene).count(node.GetName()) == 1

    @pytest.mark.parametrize("change", ["model", "region", "volume", "output"])
    def test_a_run_with_other_choices_gets_names_of_its_own(self, scene, volume, change):
        first = publish(predict(volume), volume)
        other = make_volume(scene) if change == "volume" else volume
        prediction = predict(other, id="another-model") if change == "model" else predict(other)
        output = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Mine") if change == "output" else None
        region = Region((0.0, 0.0, 0.0), (9.0, 9.0, 9.0)) if change == "region" else None
        second = publish(prediction, other, output, region)
        for node in (*nodes_in(first), *nodes_in(second)):
            assert node.GetScene() is scene
            assert names_of(scene).count(node.GetName()) == 1
        hierarchy = hierarchy_of(scene)
        assert hierarchy.GetItemName(first.folder_item) != hierarchy.GetItemName(second.folder_item)

    def test_a_chosen_output_stays_and_its_maps_are_replaced(self, scene, volume):
        given = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Mine")
        first = publish(predict(volume), volume, given)
        second = publish(predict(volume), volume, given)
        assert second.segmentation is given
        assert given.GetScene() is scene
        assert second.uncertainty is first.uncertainty
        assert second.uncertainty.GetName() == "T1 uncertainty"

    def test_a_result_chosen_as_output_is_the_users_from_then_on(self, scene, volume):
        first = publish(predict(volume), volume)
        publish(predict(volume), volume, first.segmentation)
        third = publish(predict(volume), volume)
        assert first.segmentation.GetScene() is scene
        assert third.segmentation.GetName() != first.segmentation.GetName()

    def test_after_a_failure_the_earlier_result_is_still_there(self, scene, volume):
        first = publish(predict(volume), volume)
        with pytest.raises(RuntimeError, match="no voxels"):
            publish(predict(volume, labels=make_labels()[::-1], attention={"gate_3": _Unreadable()}), volume)
        assert {node.GetScene() for node in nodes_in(first)} == {scene}
        assert np.array_equal(voxels_of(first.segmentation, "hippocampus-t1_1"), make_labels() == 1)

    def test_of_a_saved_scene_the_result_is_replaced_too(self, scene, volume, tmp_path):
        publish(predict(volume), volume)
        loaded = save_and_load(scene, tmp_path)
        volume = loaded.GetFirstNode("T1", None, None, True)
        before = sorted(names_of(loaded))
        publish(predict(volume), volume)
        assert sorted(names_of(loaded)) == before


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
        return predict(volume, attention={"gate_2": volume_map(np.float32), "gate_3": _Unreadable()})

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


def save_and_load(scene, folder):
    """A new scene from an .mrb file of the old one."""
    path = str(folder / "scene.mrb")
    assert scene.WriteToMRB(path)
    (folder / "cache").mkdir()
    (folder / "cache" / ".slicer-cache").touch()
    files = slicer.vtkDataIOManager()
    files.SetCacheManager(slicer.vtkCacheManager())
    files.GetCacheManager().SetRemoteCacheDirectory(str(folder / "cache"))
    loaded = slicer.vtkMRMLScene()
    loaded.SetDataIOManager(files)
    assert loaded.ReadFromMRB(path)
    return loaded


def volume_map(dtype):
    return Image(np.zeros((1, *SHAPE), dtype), AFFINES["oblique"])


class _Unreadable:
    """A map whose voxels cannot be had, as when a lazily read file is gone."""

    affine = AFFINES["oblique"]

    @property
    def voxels(self):
        msg = "no voxels"
        raise RuntimeError(msg)
