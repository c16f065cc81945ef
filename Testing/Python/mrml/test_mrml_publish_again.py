"""A second run of the same model fills the nodes of the first, and keeps what is the user's."""

from __future__ import annotations

import numpy as np
import pytest
from AttentionSegLib.image import Image
from AttentionSegLib.mrml import image_from_volumes, publish
from AttentionSegLib.mrml.voxels import view_voxels
from AttentionSegLib.region import Region
from AttentionSegLib.reporting.intensities import map_top
from published_scenes import Unreadable, children, hierarchy_of, make_items_as_the_application_does, names_of, nodes_in, predict, tree
from scenes import AFFINES, PARENTS, make_labels, make_volume, put_under, save_and_load, voxels_of


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
            publish(predict(volume, labels=make_labels()[::-1], attention={"gate_3": Unreadable()}), volume)
        assert {node.GetScene() for node in nodes_in(first)} == {scene}
        assert np.array_equal(voxels_of(first.segmentation, "hippocampus-t1_1"), make_labels() == 1)

    def test_of_a_saved_scene_the_result_is_replaced_too(self, scene, volume, tmp_path):
        publish(predict(volume), volume)
        loaded = save_and_load(scene, tmp_path)
        volume = loaded.GetFirstNode("T1", None, None, True)
        before = sorted(names_of(loaded))
        publish(predict(volume), volume)
        assert sorted(names_of(loaded)) == before
