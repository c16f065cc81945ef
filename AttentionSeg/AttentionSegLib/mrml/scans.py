"""Scans and maps among the volumes of a scene, and the scan that the user is looking at."""

from __future__ import annotations

from collections.abc import Iterator

import slicer

from .attention_volumes import is_own_map
from .overlay import slice_views

FIRST_VIEW = "Red"


def is_scan(node: slicer.vtkMRMLNode | None) -> bool:
    """Whether a node is a volume to segment: scalar or a single color slice, not hidden, and not a map made by this extension."""
    if node is None or node.GetHideFromEditors():
        return False
    if node.GetClassName() == "vtkMRMLVectorVolumeNode":
        return node.GetImageData() is not None and 1 in node.GetImageData().GetDimensions()
    return node.GetClassName() == "vtkMRMLScalarVolumeNode" and not is_own_map(node)


def own_maps(scene: slicer.vtkMRMLScene) -> list[slicer.vtkMRMLScalarVolumeNode]:
    """All maps in a scene that this extension made."""
    return [node for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode", scene) if is_own_map(node)]


def shown_scan(scene: slicer.vtkMRMLScene, leaving: slicer.vtkMRMLNode | None = None) -> slicer.vtkMRMLScalarVolumeNode | None:
    """The scan that the user looks at: in the view under the cursor, else in the red slice view, else in any; if none is shown, the only scan.

    Args:
        scene: with slice views.
        leaving: a node that is about to be removed, and is ignored.
    """
    shown = [scene.GetNodeByID(view.GetBackgroundVolumeID() or "") for view in _views_in_order(scene)]
    found = next((node for node in shown if is_scan(node) and node is not leaving), None)
    if found is not None:
        return found
    scans = [node for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode", scene) if is_scan(node) and node is not leaving]
    return scans[0] if len(scans) == 1 else None


def _views_in_order(scene: slicer.vtkMRMLScene) -> Iterator[slicer.vtkMRMLSliceCompositeNode]:
    crosshair = scene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
    under_cursor = crosshair.GetCursorPositionXYZ([0.0] * 3) if crosshair is not None else None
    name = under_cursor.GetLayoutName() if under_cursor is not None else FIRST_VIEW
    yield from sorted(slice_views(scene), key=lambda view: (view.GetLayoutName() != name, view.GetLayoutName() != FIRST_VIEW))
