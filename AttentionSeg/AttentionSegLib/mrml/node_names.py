"""Unique names for new nodes, and removal of nodes."""

from __future__ import annotations

from collections.abc import Iterable

import slicer


def free_name(scene: slicer.vtkMRMLScene, name: str, leaving: Iterable[slicer.vtkMRMLNode] = ()) -> str:
    """The name if no node has it, else the name with a number.

    Args:
        leaving: nodes that are about to be removed; their names count as free.
    """
    found = scene.GetNodesByName(name)
    holders = [found.GetItemAsObject(index) for index in range(found.GetNumberOfItems())]
    going = set(leaving)
    return name if all(node in going for node in holders) else scene.GenerateUniqueName(name)


def remove_node(node: slicer.vtkMRMLDisplayableNode) -> None:
    """Remove a node from its scene, with its display nodes and its subject hierarchy item."""
    scene = node.GetScene()
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    displays = [node.GetNthDisplayNode(index) for index in range(node.GetNumberOfDisplayNodes())]
    properties = [display.GetVolumePropertyNode() for display in displays if display is not None and display.IsA("vtkMRMLVolumeRenderingDisplayNode")]
    storages = [node.GetNthStorageNode(index) for index in range(node.GetNumberOfStorageNodes())]
    scene.RemoveNode(node)
    for other in (*displays, *properties, *storages):
        # Some are removed with their node, and removing them again logs an error in Slicer.
        if other is not None and other.GetScene() is scene:
            scene.RemoveNode(other)
    # The application removes the item itself, slicer-core does not.
    item = hierarchy.GetItemByDataNode(node)
    if item:
        hierarchy.RemoveItem(item, False, False)
