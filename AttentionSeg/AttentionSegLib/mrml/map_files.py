"""Display of maps that are loaded from files, such as those of a batch."""

from __future__ import annotations

import slicer

from ..files.own_files import own_file
from .attention_volumes import MAP_ATTRIBUTE, show_as_heat_map
from .heat_map import heat_map
from .provenance import MODEL_ID


def show_map_file(node: slicer.vtkMRMLScalarVolumeNode) -> bool:
    """Show a volume as a map and mark it as one, if it was loaded from a map that this extension wrote.

    Args:
        node: with voxels and storage node.

    Returns:
        Whether it is such a map and was not marked before.
    """
    storage = node.GetStorageNode()
    path = storage.GetFileName() if storage is not None else None
    if not path or node.GetImageData() is None or node.GetAttribute(MAP_ATTRIBUTE) is not None:
        return False
    made = own_file(path)
    if made is None or not made.is_map:
        return False
    node.SetAttribute(MAP_ATTRIBUTE, made.kind)
    node.SetAttribute(MODEL_ID, made.model.partition(" ")[0])
    if node.GetDisplayNode() is None:
        node.CreateDefaultDisplayNodes()
    show_as_heat_map(node.GetDisplayNode(), slicer.util.arrayFromVolume(node), made.kind, heat_map(node.GetScene()))
    return True
