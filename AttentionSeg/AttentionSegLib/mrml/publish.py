"""Adding a prediction to the scene, completely or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import slicer
import vtk

from ..errors import InputError
from ..image import Image
from ..map_kinds import WHY
from .attention_volumes import EXPLAINED_ATTRIBUTE, MAP_ATTRIBUTE, add_map, fill_map, map_voxels
from .node_names import free_name, remove_node
from .own_results import RUN_ATTRIBUTE, earlier_result, keep, mark, run_key
from .segmentations import publish_segmentation
from .surfaces import has_surfaces, show_surfaces

if TYPE_CHECKING:
    from ..inference.prediction import Prediction
    from ..models import Card, Label
    from ..options import RunOptions
    from ..region import Region

FOLDER = slicer.vtkMRMLSubjectHierarchyConstants.GetSubjectHierarchyLevelFolder()


@dataclass(frozen=True, eq=False)
class PublishedNodes:
    """The nodes of a prediction.

    Attributes:
        segmentation: the segmentation, new or given.
        attention: volume of each attention map by the map's name.
        uncertainty: volume of the uncertainty.
        probabilities: volume of each label's probability by the label's name; empty if the prediction did not keep them.
        folder_item: subject hierarchy item of their folder.
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
    voxels: dict[str, vtk.vtkImageData] | None = None,
) -> PublishedNodes:
    """Add segmentation, attention maps, uncertainty and kept probabilities to the scene of the input, in one folder beside it. Main thread only.

    All nodes get the input's parent transform. Views refresh once, at the end. A given segmentation with segments keeps its place in the subject
    hierarchy and its other segments (see `publish_segmentation`). The nodes of an earlier run of the same model and region on the volume are reused,
    unless one of them was edited or renamed; names of new nodes are unique. Segments that were shown in 3D are shown there again.

    Args:
        prediction: of the volume.
        volume_node: the input (its first channel).
        segmentation_node: node to add the segments to, which later runs do not replace; a new node when left out.
        region: the segmented region; the whole volume when left out.
        voxels: of `voxels_of_maps`, if they were copied before.

    Raises:
        InputError: if a node was removed from the scene meanwhile; see also `publish_segmentation`.
            After this or any other exception the scene is unchanged.
    """
    _check_in_scene(volume_node)
    if segmentation_node is not None:
        _check_in_scene(segmentation_node)
    scene, card = volume_node.GetScene(), prediction.card
    key = run_key(card, region, segmentation_node)
    with _all_or_nothing(scene) as hierarchy:
        earlier = earlier_result(volume_node, key)
        folder = _folder_of(hierarchy, earlier) or _new_folder(hierarchy, volume_node)
        images = _map_images(prediction)
        voxels = voxels_of_maps(prediction) if voxels is None else voxels
        # The segmentation has no map attribute: its key is None.
        reused = {node.GetAttribute(MAP_ATTRIBUTE): node for node in earlier}
        moves = segmentation_node is None or segmentation_node.GetSegmentation().GetNumberOfSegments() == 0
        # The last step that can fail, so that no existing node has to be restored.
        segmentation = publish_segmentation(prediction, volume_node, segmentation_node or reused.get(None))
        maps = {name: reused.get(name) or add_map(name, card, volume_node) for name in images}
        for name, node in maps.items():
            fill_map(node, voxels[name], images[name].affine, volume_node)
            mark_explained(node, name, prediction.options)
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


def voxels_of_maps(prediction: Prediction) -> dict[str, vtk.vtkImageData]:
    """The values of all maps of a prediction by the map's name, in VTK's form: a copy that takes long and may be made in any thread."""
    return {name: map_voxels(image) for name, image in _map_images(prediction).items()}


def publish_beside(
    nodes: PublishedNodes,
    volume_node: slicer.vtkMRMLScalarVolumeNode,
    image: Image,
    name: str,
    card: Card,
    replaced: slicer.vtkMRMLScalarVolumeNode | None = None,
) -> slicer.vtkMRMLScalarVolumeNode:
    """Add one more map to a result; the next run with the same choices replaces it too. Main thread only.

    Args:
        nodes: of the result.
        volume_node: the input.
        image, name, card: see `publish_map`.
        replaced: volume of an earlier map, to show this one instead.

    Raises:
        InputError: if the input was removed from the scene. After this or any other exception the scene is unchanged.
    """
    _check_in_scene(volume_node)
    scene, voxels = volume_node.GetScene(), map_voxels(image)
    with _all_or_nothing(scene) as hierarchy:
        node = replaced or add_map(name, card, volume_node)
        fill_map(node, voxels, image.affine, volume_node)
        if replaced is None:
            others = [other for other in (nodes.uncertainty, *nodes.attention.values(), nodes.segmentation) if other.GetScene() is scene]
            hierarchy.CreateItem(_folder_of(hierarchy, others) or _new_folder(hierarchy, volume_node), node)
        else:
            node.SetAttribute(MAP_ATTRIBUTE, name)
            node.SetName(free_name(scene, f"{volume_node.GetName()} {name}", [node]))
        mark([node], volume_node, nodes.uncertainty.GetAttribute(RUN_ATTRIBUTE))
    return node


def mark_explained(node: slicer.vtkMRMLScalarVolumeNode, name: str, options: RunOptions) -> None:
    """Note on the map of an explanation by which method and at which layer it was made, if not as usual; on other maps nothing."""
    unusual = name.startswith(WHY) and not options.explains_as_usual
    node.SetAttribute(EXPLAINED_ATTRIBUTE, f"{options.explain_method}, {options.explain_layer or 'usual layer'}" if unusual else None)


def _map_images(prediction: Prediction) -> dict[str, Image]:
    return {**prediction.attention, "uncertainty": prediction.uncertainty, **_probability_images(prediction)}


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
    """The subject hierarchy folder of the first node that is in one, wherever the user moved it; 0 if none is."""
    parents = (hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) for node in nodes)
    return next((item for item in parents if hierarchy.GetItemLevel(item) == FOLDER), 0)


def _new_folder(hierarchy: slicer.vtkMRMLSubjectHierarchyNode, volume_node: slicer.vtkMRMLScalarVolumeNode) -> int:
    item = hierarchy.GetItemByDataNode(volume_node)
    parent = hierarchy.GetItemParent(item) if item else hierarchy.GetSceneItemID()
    return hierarchy.CreateFolderItem(parent, hierarchy.GenerateUniqueItemName(f"{volume_node.GetName()} AttentionSeg"))


@contextmanager
def _all_or_nothing(scene: slicer.vtkMRMLScene) -> Iterator[slicer.vtkMRMLSubjectHierarchyNode]:
    """One batch of changes to a scene; after an exception all added nodes and hierarchy items are removed."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    nodes_before, items_before = _node_ids(scene), _items(hierarchy)
    scene.StartState(scene.BatchProcessState)
    try:
        yield hierarchy
    except BaseException:
        for node_id in _node_ids(scene) - nodes_before:
            node = scene.GetNodeByID(node_id)
            # The application removes display nodes with the nodes they display.
            if node is not None:
                scene.RemoveNode(node)
        # The application removes the items of nodes itself, slicer-core does not. Children have larger numbers than their parents.
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
