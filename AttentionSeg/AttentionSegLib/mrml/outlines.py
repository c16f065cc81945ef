"""Display of segments as outlines while a map is shown over the slices, so that they do not cover it."""

from __future__ import annotations

import slicer

# Stored on the display node, so that the fill can be restored in a saved scene too.
HIDDEN_ATTRIBUTE = "AttentionSeg.FillHidden"


def outline_segments(segmentation: slicer.vtkMRMLSegmentationNode) -> None:
    """Show the segments of a segmentation as outlines in slice views. Done once: if the user turns the fill on again, it stays."""
    display = segmentation.GetDisplayNode()
    if display is None or display.GetAttribute(HIDDEN_ATTRIBUTE) is not None or not display.GetVisibility2DFill():
        return
    with slicer.util.NodeModify(display):
        display.SetAttribute(HIDDEN_ATTRIBUTE, "fill" if display.GetVisibility2DOutline() else "fill for outline")
        display.SetVisibility2DFill(False)
        display.SetVisibility2DOutline(True)


def fill_segments(scene: slicer.vtkMRMLScene) -> None:
    """Undo `outline_segments` for every segmentation; changes by the user are kept."""
    for index in range(scene.GetNumberOfNodesByClass("vtkMRMLSegmentationDisplayNode")):
        display = scene.GetNthNodeByClass(index, "vtkMRMLSegmentationDisplayNode")
        taken = display.GetAttribute(HIDDEN_ATTRIBUTE)
        if taken is None:
            continue
        with slicer.util.NodeModify(display):
            display.RemoveAttribute(HIDDEN_ATTRIBUTE)
            if not display.GetVisibility2DFill():
                display.SetVisibility2DFill(True)
                if taken == "fill for outline":
                    display.SetVisibility2DOutline(False)
