"""Display of a map over the scan: as foreground of the slice views, and by volume rendering in 3D."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import slicer
import vtk

from .own_results import input_of

SHADES = 12


@dataclass(frozen=True)
class Look:
    """Display settings of a map.

    Attributes:
        opacity: of the overlay in slice views, 0..1.
        threshold: fraction of the map's window below which it is transparent, 0..1.
        colors: color table; the map's own when None.
    """

    opacity: float = 0.5
    threshold: float = 0.01
    colors: slicer.vtkMRMLColorNode | None = None


def show_overlay(node: slicer.vtkMRMLScalarVolumeNode, look: Look) -> None:
    """Show a map as foreground of every slice view of its scene; views without a background get the segmented scan."""
    apply_look(node, look)
    scan = input_of(node)
    for view in slice_views(node.GetScene()):
        with slicer.util.NodeModify(view):
            if scan is not None and view.GetBackgroundVolumeID() is None:
                view.SetBackgroundVolumeID(scan.GetID())
            view.SetForegroundVolumeID(node.GetID())
            view.SetForegroundOpacity(look.opacity)


def hide_overlay(scene: slicer.vtkMRMLScene, nodes: list[slicer.vtkMRMLScalarVolumeNode]) -> None:
    """Remove maps from the slice views; views with another foreground are not changed."""
    ids = {node.GetID() for node in nodes}
    for view in slice_views(scene):
        if view.GetForegroundVolumeID() in ids:
            view.SetForegroundVolumeID(None)


def shown_overlay(scene: slicer.vtkMRMLScene, nodes: list[slicer.vtkMRMLScalarVolumeNode]) -> slicer.vtkMRMLScalarVolumeNode | None:
    """The map that a slice view shows, if any."""
    ids = {node.GetID(): node for node in nodes}
    return next((ids[view.GetForegroundVolumeID()] for view in slice_views(scene) if view.GetForegroundVolumeID() in ids), None)


def apply_look(node: slicer.vtkMRMLScalarVolumeNode, look: Look) -> None:
    """Set threshold and colors of a map, in slice views and, if it is rendered, in 3D."""
    display = node.GetDisplayNode()
    with slicer.util.NodeModify(display):
        display.SetLowerThreshold(look.threshold * display.GetWindowLevelMax())
        display.ApplyThresholdOn()
        if look.colors is not None:
            display.SetAndObserveColorNodeID(look.colors.GetID())
    for rendering in _renderings(node):
        _fill_property(rendering.GetVolumePropertyNode(), node)


def show_in_3d(node: slicer.vtkMRMLScalarVolumeNode, logic: slicer.vtkSlicerVolumeRenderingLogic) -> None:
    """Render a map in the 3D views: transparent below its threshold, more opaque with higher values.

    Args:
        node: the map, with a display as `publish_map` makes it.
        logic: of the module Volume Rendering.
    """
    rendering = next(_renderings(node), None)
    if rendering is None:
        # Slicer's default copies the display node of the slices, whose window may differ.
        rendering = logic.CreateDefaultVolumeRenderingNodes(node)
    _fill_property(rendering.GetVolumePropertyNode(), node)
    rendering.SetVisibility(True)


def hide_in_3d(node: slicer.vtkMRMLScalarVolumeNode) -> None:
    for rendering in _renderings(node):
        rendering.SetVisibility(False)


def is_in_3d(node: slicer.vtkMRMLScalarVolumeNode) -> bool:
    return any(rendering.GetVisibility() for rendering in _renderings(node))


def shades(colors: slicer.vtkMRMLColorNode) -> list[tuple[float, float, float]]:
    """Colors of a table from low to high in even steps, each RGB 0..1."""
    table = colors.GetLookupTable()
    first, last = table.GetRange()
    found = []
    for index in range(SHADES):
        rgb = [0.0] * 3
        table.GetColor(first + index / (SHADES - 1) * (last - first), rgb)
        found.append((rgb[0], rgb[1], rgb[2]))
    return found


def slice_views(scene: slicer.vtkMRMLScene) -> Iterator[slicer.vtkMRMLSliceCompositeNode]:
    for index in range(scene.GetNumberOfNodesByClass("vtkMRMLSliceCompositeNode")):
        yield scene.GetNthNodeByClass(index, "vtkMRMLSliceCompositeNode")


def _renderings(node: slicer.vtkMRMLScalarVolumeNode) -> Iterator[slicer.vtkMRMLVolumeRenderingDisplayNode]:
    for index in range(node.GetNumberOfDisplayNodes()):
        display = node.GetNthDisplayNode(index)
        if display is not None and display.IsA("vtkMRMLVolumeRenderingDisplayNode"):
            yield display


def _fill_property(property_node: slicer.vtkMRMLVolumePropertyNode, node: slicer.vtkMRMLScalarVolumeNode) -> None:
    display = node.GetDisplayNode()
    low, high = display.GetLowerThreshold(), display.GetWindowLevelMax()
    low = min(low, 0.99 * high)
    opacity = vtk.vtkPiecewiseFunction()
    opacity.AddPoint(low, 0.0)
    opacity.AddPoint(high, 0.5)
    colors = vtk.vtkColorTransferFunction()
    for index, rgb in enumerate(shades(display.GetColorNode())):
        colors.AddRGBPoint(index / (SHADES - 1) * high, *rgb)
    property_node.SetScalarOpacity(opacity)
    property_node.SetColor(colors)
