"""What one click gives in the real application: each scan is loaded into an empty scene, the module is opened, and Segment is pressed.

    Slicer --no-splash --additional-module-paths "$PWD/AttentionSeg" --python-script Testing/Slicer/one_click.py -- SCAN... [--labels FOLDER]

Prints for each scan the chosen model, what the panel says at the end, and the volume and center of each segment. With a folder of label maps of the
same names as the scans (FreeSurfer's numbers: 17 left, 53 right hippocampus) also how far each hippocampus lies from its reference. Ends with every
warning and error of Slicer's log; the exit code is 0 when there is none.
"""

from __future__ import annotations

import sys
import traceback
from pathlib import Path

import numpy as np
import slicer
import vtk
from tour import complaints, idle, require, say, wait

REFERENCES = {"right": 53, "left": 17}


def try_scan(scan: Path, labels: Path | None) -> None:
    slicer.mrmlScene.Clear(0)
    slicer.util.selectModule("Data")
    slicer.util.loadVolume(str(scan))
    slicer.util.selectModule("AttentionSeg")
    idle(0.5)
    ui = slicer.modules.AttentionSegWidget.ui
    if not ui.segmentButton.isEnabled():
        say(f"{scan.name}: not to be pressed: {ui.reasonLabel.text}")
        return
    ui.segmentButton.click()
    wait(lambda: ui.segmentButton.text != "Cancel")
    say(f"{scan.name}: {ui.modelSelector.currentText}: {ui.messageLabel.text}")
    segmentations = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
    require(len(segmentations) <= 1, "one segmentation at most")
    for node in segmentations:
        found = {side: centers(node, side) for side in REFERENCES}
        for side, center in found.items():
            text = f"  {side}: {volume(side):.2f} mL"
            if center is not None and labels is not None and (labels / scan.name).exists():
                text += f", {np.linalg.norm(center - reference(labels / scan.name, side)):.1f} mm from the reference"
            say(text)


def centers(node: slicer.vtkMRMLSegmentationNode, side: str) -> np.ndarray | None:
    """Middle of the segments of a side, RAS mm."""
    points = [node.GetSegmentCenterRAS(segment_id) for segment_id in of_side(node, side)]
    return np.mean([point for point in points if point is not None], axis=0) if points else None


def volume(side: str) -> float:
    """mL of the segments of a side, by the panel's own table."""
    rows = slicer.modules.AttentionSegWidget.panel.attention.result.statistics
    return sum(row.milliliters for row in rows if row.name.endswith(side))


def of_side(node: slicer.vtkMRMLSegmentationNode, side: str) -> list[str]:
    segmentation = node.GetSegmentation()
    return [segment_id for segment_id in segmentation.GetSegmentIDs() if segmentation.GetSegment(segment_id).GetName().endswith(side)]


def reference(path: Path, side: str) -> np.ndarray:
    """Centroid of a hippocampus in a label map, RAS mm."""
    node = slicer.util.loadLabelVolume(str(path))
    index = np.argwhere(slicer.util.arrayFromVolume(node) == REFERENCES[side])
    to_ras = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(to_ras)
    matrix = slicer.util.arrayFromVTKMatrix(to_ras)
    slicer.mrmlScene.RemoveNode(node)
    return matrix[:3, :3] @ index.mean(0)[::-1] + matrix[:3, 3]


def main() -> int:
    arguments = sys.argv[1:]
    labels = None
    if "--labels" in arguments:
        labels = Path(arguments.pop(arguments.index("--labels") + 1))
        arguments.remove("--labels")
    try:
        for scan in arguments:
            try_scan(Path(scan), labels)
        slicer.mrmlScene.Clear(0)
        idle(1)
    except Exception:  # noqa: BLE001 (the application would go on and hide it)
        traceback.print_exc()
        return slicer.util.EXIT_FAILURE
    found = complaints()
    say("\n".join(["Slicer's log has no warning and no error.", *found][bool(found) :]))
    return slicer.util.EXIT_FAILURE if found else slicer.util.EXIT_SUCCESS


if __name__ == "__main__":
    slicer.util.exit(main())
