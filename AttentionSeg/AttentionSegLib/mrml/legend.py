"""The color bar with numbers beside a map that lies over the slices."""

from __future__ import annotations

import slicer

LABELS = 5
# Width and height, as shares of a view. The title stands above the bar, and Slicer's own notes at the bottom.
SIZE, POSITION = (0.12, 0.4), (0.98, 0.6)
TEXT_SIZE = 12


def show_legend(node: slicer.vtkMRMLScalarVolumeNode, title: str, unit: str) -> None:
    """Show a color bar in the slice views in which a map is shown.

    Args:
        node: the map, with its window.
        title: what it is.
        unit: of its values; empty where they need none.
    """
    legend = slicer.vtkSlicerColorLogic.AddDefaultColorLegendDisplayNode(node)
    top = node.GetDisplayNode().GetWindowLevelMax()
    with slicer.util.NodeModify(legend):
        legend.SetTitleText("\n".join([*title.split(", "), *([unit] if unit else [])]))
        legend.SetNumberOfLabels(LABELS)
        legend.SetLabelFormat("%.2f" if top < 2 else "%.1f" if top < 20 else "%.0f")
        legend.SetSize(*SIZE)
        legend.SetPosition(*POSITION)
        legend.SetVisibility3D(False)
        legend.SetSaveWithScene(node.GetSaveWithScene())
        for text in (legend.GetTitleTextProperty(), legend.GetLabelTextProperty()):
            text.SetFontSize(TEXT_SIZE)


def hide_legend(node: slicer.vtkMRMLScalarVolumeNode) -> None:
    """Take the color bar of a map away; there need be none."""
    for index in reversed(range(node.GetNumberOfDisplayNodes())):
        display = node.GetNthDisplayNode(index)
        if display is not None and display.IsA("vtkMRMLColorLegendDisplayNode"):
            node.RemoveNthDisplayNodeID(index)
            # In the application the node may go with its last reference.
            if display.GetScene() is not None:
                node.GetScene().RemoveNode(display)


def has_legend(node: slicer.vtkMRMLScalarVolumeNode) -> bool:
    return slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode(node) is not None
