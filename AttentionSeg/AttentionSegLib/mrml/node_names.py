"""Names and ends of the nodes that the module makes."""

from __future__ import annotations

from collections.abc import Iterable

import slicer


def free_name(scene: slicer.vtkMRMLScene, name: str, leaving: Iterable[slicer.vtkMRMLNode] = ()) -> str:
    """The name if no node has it, else the name with a number.

    Args:
        leaving: nodes that are about to go, whose names are free.
    """
    found = scene.GetNodesByName(name)
    holders = [found.GetItemAsObject(index) for index in range(found.GetNumberOfItems())]
    going = set(leaving)
    return name if all(node in going for node in holders) else scene.GenerateUniqueName(name)


def remove_node(node: slicer.vtkMRMLDisplayableNode) -> None:
    """Take a node out of its scene, with what displays it and its item of the subject hierarchy."""
    scene = node.GetScene()
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    displays = [node.GetNthDisplayNode(index) for index in range(node.GetNumberOfDisplayNodes())]
    properties = [display.GetVolumePropertyNode() for display in displays if display is not None and display.IsA("vtkMRMLVolumeRenderingDisplayNode")]
    storages = [node.GetNthStorageNode(index) for index in range(node.GetNumberOfStorageNodes())]
    scene.RemoveNode(node)
    for other in (*displays, *properties, *storages):
        # Some go with their node; to remove them again would be an error in Slicer's log.
        if other is not None and other.GetScene() is scene:
            scene.RemoveNode(other)
    # The application removes the item by itself, slicer-core does not.
    item = hierarchy.GetItemByDataNode(node)
    if item:
        hierarchy.RemoveItem(item, False, False)
