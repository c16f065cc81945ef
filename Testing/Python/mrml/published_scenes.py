"""What a prediction leaves in a scene: its folder, its items and its nodes."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from AttentionSegLib.image import Image
from AttentionSegLib.mrml import image_from_volumes
from scenes import AFFINES, SHAPE, make_prediction


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


def volume_map(dtype):
    return Image(np.zeros((1, *SHAPE), dtype), AFFINES["oblique"])


class Unreadable:
    """A map whose voxels cannot be had, as when a lazily read file is gone."""

    affine = AFFINES["oblique"]

    @property
    def voxels(self):
        msg = "no voxels"
        raise RuntimeError(msg)
