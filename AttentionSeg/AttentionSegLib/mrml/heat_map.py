"""The color table of heat maps: perceptually uniform, from black over purple and orange to pale yellow."""

from __future__ import annotations

import numpy as np
import slicer

INFERNO_ID = "vtkMRMLColorTableNodeFileInferno.txt"
SINGLETON_TAG = "AttentionSegHeatMap"
COLORS = 256
CONTROL_POINTS = np.array(
    [
        (0.00, 0.00, 0.02),
        (0.12, 0.05, 0.28),
        (0.34, 0.06, 0.43),
        (0.55, 0.13, 0.41),
        (0.74, 0.22, 0.33),
        (0.89, 0.35, 0.20),
        (0.98, 0.55, 0.04),
        (0.97, 0.79, 0.24),
        (0.99, 1.00, 0.64),
    ]
)


def heat_map(scene: slicer.vtkMRMLScene) -> slicer.vtkMRMLColorNode:
    """Slicer's Inferno; without Slicer's color files, a similar table that is made once per scene."""
    node = scene.GetNodeByID(INFERNO_ID) or scene.GetSingletonNode(SINGLETON_TAG, "vtkMRMLColorTableNode")
    return node or _make(scene)


def _make(scene: slicer.vtkMRMLScene) -> slicer.vtkMRMLColorTableNode:
    node = slicer.vtkMRMLColorTableNode()
    node.SetName("Attention")
    node.SetSingletonTag(SINGLETON_TAG)
    node.SetTypeToUser()
    node.SetNumberOfColors(COLORS)
    points = np.linspace(0, COLORS - 1, len(CONTROL_POINTS))
    channels = [np.interp(np.arange(COLORS), points, CONTROL_POINTS[:, channel]) for channel in range(3)]
    for index, color in enumerate(np.stack(channels, axis=1)):
        node.SetColor(index, str(index), *color, 1.0)
    return scene.AddNode(node)
