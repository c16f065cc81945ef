"""A prediction into the scene, all of it or nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import slicer
import vtk

from ..errors import InputError
from ..image import Image
from .attention_volumes import MAP_ATTRIBUTE, add_map, fill_map, map_voxels
from .node_names import free_name, remove_node
from .own_results import earlier_result, keep, mark, run_key
from .segmentations import publish_segmentation
from .surfaces import has_surfaces, show_surfaces

if TYPE_CHECKING:
    from ..inference.prediction import Prediction
    from ..models import Label
    from ..region import Region

FOLDER = slicer.vtkMRMLSubjectHierarchyConstants.GetSubjectHierarchyLevelFolder()


@dataclass(frozen=True, eq=False)
class PublishedNodes:
    """What `publish` put into the scene.

    Attributes:
        segmentation: the segmentation, new or the given one.
        attention: volume of each attention map by the map's name.
        uncertainty: volume of the uncertainty.
        probabilities: volume of each label's probability by the label's name; none where the prediction did not keep them.
        folder_item: subject hierarchy item of the folder that holds them.
    """

    segmentation: slicer.vtkMRMLSegmentationNode
    attention: dict[str, slicer.vtkMRMLScalarVolumeNode]
    uncertainty: slicer.vtkMRMLScalarVolumeNode
    probabilities: dict[str, slicer.vtkMRMLScalarVolumeNode]
    folder_item: int


def publish(
    prediction: Prediction,
    volume_node: slicer.vtkMRMLScalarVolumeNode,
    segmentation_node: slicer.vtkMRMLSegmentationNode | None = None,
    region: Region | None = None,
) -> PublishedNodes:
    """Add segmentation, attention maps, uncertainty and kept probabilities to the scene of the input, in one folder beside it. Main thread only.

    All nodes stand under the input's parent transform. Views refresh once, at the end. A given segmentation that has segments already stays where
    it is in the subject hierarchy, and keeps its other segments (see `publish_segmentation`). The nodes of an earlier run of the same model and
    region on the volume get the new result, unless one of them was edited or renamed; no two nodes get one name. Segments that were shown in 3D
    are so again.

    Args:
        prediction: what the engine gave back for the volume.
        volume_node: the input (its first channel).
        segmentation_node: where to put the segments; a new node when left out. It stays in later runs.
        region: what was segmented; the whole volume when left out.

    Raises:
        InputError: if a node was removed from the scene meanwhile, or for the reasons of `publish_segmentation`.
            After this or any other exception the scene is as it was before.
    """
    _check_in_scene(volume_node)
    if segmentation_node is not None:
        _check_in_scene(segmentation_node)
    scene, card = volume_node.GetScene(), prediction.card
    key = run_key(card, region, segmentation_node)
    with _all_or_nothing(scene) as hierarchy:
        earlier = earlier_result(volume_node, key)
        folder = _folder_of(hierarchy, earlier) or _new_folder(hierarchy, volume_node)
        images = {**prediction.attention, "uncertainty": prediction.uncertainty, **_probability_images(prediction)}
        voxels = {name: map_voxels(image) for name, image in images.items()}
        # Segmentations are no maps.
        reused = {node.GetAttribute(MAP_ATTRIBUTE): node for node in earlier}
        moves = segmentation_node is None or segmentation_node.GetSegmentation().GetNumberOfSegments() == 0
        # The last step that can fail, so that no node that was there before has to be repaired.
        segmentation = publish_segmentation(prediction, volume_node, segmentation_node or reused.get(None))
        maps = {name: reused.get(name) or add_map(name, card, volume_node) for name in images}
        for name, node in maps.items():
            fill_map(node, voxels[name], images[name].affine, volume_node)
        if segmentation_node is not None:
            keep(segmentation)
        elif segmentation not in earlier:
            segmentation.SetName(free_name(scene, segmentation.GetName(), [segmentation]))
        mark([*maps.values()] if segmentation_node is not None else [segmentation, *maps.values()], volume_node, key)
        for node in ([segmentation] if moves else []) + [*maps.values()]:
            if node not in earlier:
                hierarchy.CreateItem(folder, node)
        if has_surfaces(segmentation):
            show_surfaces(segmentation)
        for node in earlier:
            if node is not segmentation and node not in maps.values():
                remove_node(node)
    probabilities = {} if prediction.probabilities is None else {label.name: maps[_probability(label)] for label in card.labels}
    return PublishedNodes(segmentation, {name: maps[name] for name in prediction.attention}, maps["uncertainty"], probabilities, folder)


def _probability_images(prediction: Prediction) -> dict[str, Image]:
    kept, labels = prediction.probabilities, prediction.card.labels
    return {} if kept is None else {_probability(label): Image(kept.voxels[label.value : label.value + 1], kept.affine) for label in labels}


def _probability(label: Label) -> str:
    return f"probability {label.name}"


def _check_in_scene(node: slicer.vtkMRMLNode) -> None:
    if node.GetScene() is None:
        msg = f"{node.GetName()} is no longer in the scene, so there is nothing to add the result to; load it and segment it again."
        raise InputError(msg)


def _folder_of(hierarchy: slicer.vtkMRMLSubjectHierarchyNode, nodes: Iterable[slicer.vtkMRMLNode]) -> int:
    """The folder in which the first of the nodes is that is in one, wherever the user put it; 0 if none is."""
    parents = (hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) for node in nodes)
    return next((item for item in parents if hierarchy.GetItemLevel(item) == FOLDER), 0)


def _new_folder(hierarchy: slicer.vtkMRMLSubjectHierarchyNode, volume_node: slicer.vtkMRMLScalarVolumeNode) -> int:
    item = hierarchy.GetItemByDataNode(volume_node)
    parent = hierarchy.GetItemParent(item) if item else hierarchy.GetSceneItemID()
    return hierarchy.CreateFolderItem(parent, hierarchy.GenerateUniqueItemName(f"{volume_node.GetName()} AttentionSeg"))


@contextmanager
def _all_or_nothing(scene: slicer.vtkMRMLScene) -> Iterator[slicer.vtkMRMLSubjectHierarchyNode]:
    """One batch of changes to a scene; after an exception all nodes and hierarchy items that were added are removed."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    nodes_before, items_before = _node_ids(scene), _items(hierarchy)
    scene.StartState(scene.BatchProcessState)
    try:
        yield hierarchy
    except BaseException:
        for node_id in _node_ids(scene) - nodes_before:
            node = scene.GetNodeByID(node_id)
            # Display nodes go with what they display in the application.
            if node is not None:
                scene.RemoveNode(node)
        # The application removes the items of nodes by itself, slicer-core does not. Children have the larger numbers.
        for item in sorted(_items(hierarchy) - items_before, reverse=True):
            hierarchy.RemoveItem(item, False, False)
        raise
    finally:
        scene.EndState(scene.BatchProcessState)


def _node_ids(scene: slicer.vtkMRMLScene) -> set[str]:
    return {scene.GetNthNode(index).GetID() for index in range(scene.GetNumberOfNodes())}


def _items(hierarchy: slicer.vtkMRMLSubjectHierarchyNode) -> set[int]:
    items = vtk.vtkIdList()
    hierarchy.GetItemChildren(hierarchy.GetSceneItemID(), items, True)
    return {items.GetId(index) for index in range(items.GetNumberOfIds())}
