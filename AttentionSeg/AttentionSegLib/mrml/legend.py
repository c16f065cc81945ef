"""Color bars in the slice views for maps that are shown there."""

from __future__ import annotations

import slicer

LABELS = 5
# As fractions of a view. The title is above the bar, and Slicer's annotations are at the bottom.
SIZE, POSITION = (0.12, 0.4), (0.98, 0.6)
TEXT_SIZE = 12
# Opacity of the black behind the text.
BACKDROP = 0.5


def show_legend(node: slicer.vtkMRMLScalarVolumeNode, title: str, unit: str) -> None:
    """Show a color bar in the slice views in which a map is shown.

    Args:
        node: the map, with its window.
        title: of the map.
        unit: of its values; may be empty.
    """
    legend = slicer.vtkSlicerColorLogic.AddDefaultColorLegendDisplayNode(node)
    top = node.GetDisplayNode().GetWindowLevelMax()
    with slicer.util.NodeModify(legend):
        legend.SetTitleText("\n".join([title.replace(", ", ",\n"), *([unit] if unit else [])]))
        legend.SetNumberOfLabels(LABELS)
        legend.SetLabelFormat("%.2f" if top < 2 else "%.1f" if top < 20 else "%.0f")
        legend.SetSize(*SIZE)
        legend.SetPosition(*POSITION)
        legend.SetVisibility3D(False)
        legend.SetSaveWithScene(node.GetSaveWithScene())
        for text in (legend.GetTitleTextProperty(), legend.GetLabelTextProperty()):
            text.SetFontSize(TEXT_SIZE)
            # White on a bright scan cannot be read.
            text.SetBackgroundColor(0, 0, 0)
            text.SetBackgroundOpacity(BACKDROP)


def hide_legend(node: slicer.vtkMRMLScalarVolumeNode) -> None:
    """Remove the color bar of a map, if it has one."""
    for index in reversed(range(node.GetNumberOfDisplayNodes())):
        display = node.GetNthDisplayNode(index)
        if display is not None and display.IsA("vtkMRMLColorLegendDisplayNode"):
            node.RemoveNthDisplayNodeID(index)
            # In the application the node may be removed with its last reference.
            if display.GetScene() is not None:
                node.GetScene().RemoveNode(display)


def has_legend(node: slicer.vtkMRMLScalarVolumeNode) -> bool:
    return slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode(node) is not None
