"""The mark on the probed voxel: shown in every view, listed nowhere, never saved."""

from __future__ import annotations

from collections.abc import Sequence

import slicer
import vtk

from .node_names import remove_node

# Cyan does not occur in the heat-map colors. The size is in percent of the view.
COLOR, SIZE = (0.0, 1.0, 1.0), 2.5


class ProbeMark:
    """A cross at a position of a scene, added by the first `move`."""

    def __init__(self, scene: slicer.vtkMRMLScene) -> None:
        self._scene = scene
        self.node: slicer.vtkMRMLMarkupsFiducialNode | None = None

    def move(self, position: Sequence[float]) -> None:
        """Put the mark at a position, world RAS mm."""
        if self.node is None or self.node.GetScene() is None:
            self.node = self._make()
            self.node.AddControlPointWorld(vtk.vtkVector3d(*position))
        else:
            self.node.SetNthControlPointPositionWorld(0, *position)

    def remove(self) -> None:
        if self.node is not None and self.node.GetScene() is not None:
            remove_node(self.node)
        self.node = None

    def _make(self) -> slicer.vtkMRMLMarkupsFiducialNode:
        node = slicer.vtkMRMLMarkupsFiducialNode()
        node.SetName("Probed voxel")
        # Before it is added to the scene, so that no selector lists it.
        node.SetHideFromEditors(True)
        node.SetSaveWithScene(False)
        self._scene.AddNode(node)
        node.CreateDefaultDisplayNodes()
        node.SetLocked(True)
        display = node.GetDisplayNode()
        with slicer.util.NodeModify(display):
            display.SetSaveWithScene(False)
            display.SetGlyphTypeFromString("Cross2D")
            display.SetGlyphScale(SIZE)
            display.SetColor(*COLOR)
            display.SetSelectedColor(*COLOR)
            display.SetPointLabelsVisibility(False)
            display.SetPropertiesLabelVisibility(False)
        return node
