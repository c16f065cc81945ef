"""Self-test of the module inside the application: presses the buttons, checks the scene, saves and loads it."""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import slicer

from ..mrml.legend import has_legend
from ..mrml.overlay import is_in_3d
from ..mrml.surfaces import has_surfaces

LOG = logging.getLogger("AttentionSeg")
SECONDS = 300
UNET, GUIDED = "hippocampus-mr-attention-unet", "hippocampus-mr-guided-attention"
# Voxels of 1 mm: the size of a crop around one hippocampus, which both models were trained on, so that no region has to be found.
SHAPE = (44, 44, 44)


def press_the_buttons(picture: Path | None = None) -> None:
    """Run all steps on an empty scene, with the models that ship with the extension. Needs no internet connection.

    Args:
        picture: path for a screenshot of the window while the probe is on; none when left out.

    Raises:
        AssertionError: naming the check that failed.
    """
    slicer.mrmlScene.Clear()
    slicer.util.selectModule("AttentionSeg")
    _one_click()
    _attention()
    _probe(picture)
    _cancel()
    _reload()
    with tempfile.TemporaryDirectory() as folder:
        _save_and_load(Path(folder) / "scene.mrb")


def _ui() -> Any:
    # Looked up each time, because reloading the module makes a new panel.
    return slicer.modules.AttentionSegWidget.ui


def _one_click() -> None:
    """Choose a volume and a model and press the button; the application stays responsive."""
    ui = _ui()
    _check(not ui.segmentButton.enabled and bool(ui.reasonLabel.text), "the grey button says why it is grey")
    volume = slicer.util.addVolumeFromArray(np.random.default_rng(3).normal(100, 30, SHAPE).astype(np.float32), name="T1")
    _choose(UNET, volume)
    _check(ui.segmentButton.enabled, "a volume and a model are enough")
    ui.segmentButton.click()
    _check(ui.segmentButton.text == "Cancel", "the button cancels while it runs")
    _wait()
    _check(ui.messageLabel.text.startswith("Done in "), ui.messageLabel.text)
    segmentation = slicer.util.getNode("T1 segmentation")
    _check(segmentation.GetSegmentation().GetNumberOfSegments() == 2, "two segments")
    _check(ui.resultTable.rowCount == 2, "two rows in the table")


def _attention() -> None:
    """Show a map over the slices and in 3D, then another one, and the segments in 3D."""
    ui = _ui()
    view = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSliceCompositeNode")
    first = slicer.mrmlScene.GetNodeByID(view.GetForegroundVolumeID())
    _check(first is not None and first.GetName().startswith("T1 gate_"), "a map is shown")
    _check(has_legend(first), "it has a color bar")
    _check(ui.mapList.count == 5, "three maps are listed, under two headings")
    ui.opacitySlider.value = 0.8
    _check(view.GetForegroundOpacity() == 0.8, "the opacity reaches the views")
    ui.show3dCheckBox.click()
    _check(is_in_3d(first), "the map is rendered")
    ui.showSegments3dButton.click()
    _check(has_surfaces(slicer.util.getNode("T1 segmentation")), "the segments are shown in 3D")
    ui.mapList.itemClicked(ui.mapList.item(4))
    _check(slicer.mrmlScene.GetNodeByID(view.GetForegroundVolumeID()).GetName() == "T1 uncertainty", "another map is shown")
    ui.copyTableButton.click()
    _check(len(slicer.app.clipboard().text().splitlines()) == 3, "the table is in the clipboard")


def _probe(picture: Path | None) -> None:
    """Check that with a guided model the overlay follows the crosshair, and that the label at the marked voxel is explained."""
    ui = _ui()
    _choose(GUIDED, slicer.util.getNode("T1"))
    ui.segmentButton.click()
    _wait()
    _check(ui.probeCheckBox.enabled, ui.probeReasonLabel.text)
    ui.probeCheckBox.click()
    slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLCrosshairNode").SetCursorPositionRAS([20, 20, 20])
    _check(slicer.util.getNode("T1 probe") is not None, "the probe is in the scene")
    if picture is not None:
        slicer.app.processEvents()
        slicer.util.mainWindow().grab().save(str(picture))
    ui.resultTable.cellClicked(0, ui.resultTable.columnCount - 1)
    _wait(lambda: ui.whyProgressBar.isVisible())
    name = f"T1 why {ui.resultTable.item(0, 1).text()} at 20 20 20"
    _check(slicer.mrmlScene.GetFirstNodeByName(name) is not None, f"there is {name}: {ui.whyMessageLabel.text}")
    ui.probeCheckBox.click()
    _check(slicer.mrmlScene.GetFirstNodeByName("T1 probe") is None, "the probe is gone")


def _cancel() -> None:
    """Check that a cancelled run leaves the nodes unchanged."""
    ui, before = _ui(), slicer.mrmlScene.GetNumberOfNodes()
    ui.segmentButton.click()
    ui.segmentButton.click()
    _wait()
    _check(ui.messageLabel.text == "Cancelled; the scene is as it was.", ui.messageLabel.text)
    _check(slicer.mrmlScene.GetNumberOfNodes() == before, "no node came or went")


def _reload() -> None:
    """Check that after a reload the panel shows the settings of the scene."""
    slicer.util.reloadScriptedModule("AttentionSeg")
    ui = _ui()
    _check(ui.inputSelector1.currentNode().GetName() == "T1", "the volume is still chosen")
    _check(ui.mapList.count > 0, "the maps are still listed")


def _save_and_load(path: Path) -> None:
    """Check that a saved scene is loaded with the panel's choices and the maps."""
    _check(slicer.util.saveScene(str(path)), "the scene is saved")
    slicer.mrmlScene.Clear()
    ui = _ui()
    _check(ui.inputSelector1.currentNode() is None and not ui.segmentButton.enabled, "a closed scene leaves an empty panel")
    slicer.util.loadScene(str(path))
    _check(ui.inputSelector1.currentNode().GetName() == "T1", "the volume is chosen again")
    _check(ui.mapList.count > 0, "the maps are listed again")


def _choose(model: str, volume: slicer.vtkMRMLScalarVolumeNode) -> None:
    ui = _ui()
    title = next(choice.title for choice in slicer.util.getModuleLogic("AttentionSeg").models() if choice.id == model)
    ui.modelSelector.setCurrentIndex(ui.modelSelector.findText(title))
    ui.inputSelector1.setCurrentNode(volume)


def _wait(running: Callable[[], bool] | None = None) -> None:
    """Let the application idle until the run has ended."""
    ui, end = _ui(), time.monotonic() + SECONDS
    while running() if running is not None else ui.segmentButton.text == "Cancel":
        _check(time.monotonic() < end, f"the run ends within {SECONDS} s")
        slicer.app.processEvents()


def _check(holds: bool, what: str) -> None:
    if not holds:
        raise AssertionError(what)
    LOG.info("ok: %s", what)
