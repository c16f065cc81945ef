"""The module in the real application: press the buttons, look at the scene, save and load it. Needs no network.

    Slicer --testing --no-splash --additional-module-paths AttentionSeg --python-script Testing/Slicer/test_in_slicer.py -- PICTURE.png

torch, monai, safetensors and jsonschema must be installed in Slicer's Python. The exit code is 0 when all is well. The picture is optional.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
import traceback
from pathlib import Path

import numpy as np
import slicer

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY / "Testing" / "Python"), str(REPOSITORY / "AttentionSeg")]
SECONDS = 120


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ATTENTIONSEG_MODELS"] = folder
        from tiny_models import save_guided, save_unet

        save_unet(Path(folder) / "tiny-unet", id="tiny-unet", title="Tiny U-Net")
        save_guided(Path(folder) / "tiny-guided", id="tiny-guided", title="Tiny guided", patch_size=[16, 16, 16])
        slicer.util.selectModule("AttentionSeg")
        ui = slicer.modules.AttentionSegWidget.ui
        one_click(ui)
        attention(ui)
        probe(ui)
        cancel(ui)
        reload_module()
        save_and_load(Path(folder))


def one_click(ui: object) -> None:
    """A volume, a model, the button; the application stays alive meanwhile."""
    volume = slicer.util.addVolumeFromArray(np.random.default_rng(3).normal(100, 30, (40, 40, 40)).astype(np.float32), name="T1")
    check(not ui.segmentButton.enabled and bool(ui.reasonLabel.text), "the grey button says why it is grey")
    choose(ui, "Tiny U-Net", volume)
    check(ui.segmentButton.enabled, "a volume and a model are enough")
    ticks = []
    ui.segmentButton.click()
    check(ui.segmentButton.text == "Cancel", "the button cancels while it runs")
    wait(ui, lambda: ticks.append(time.monotonic()))
    check(ui.messageLabel.text.startswith("Done in "), ui.messageLabel.text)
    check(np.diff(ticks).max() < 1.5, "the application stays alive")
    segmentation = slicer.util.getNode("T1 segmentation")
    check(segmentation.GetSegmentation().GetNumberOfSegments() == 2, "two segments")
    check(ui.resultTable.rowCount == 2, "two rows in the table")


def attention(ui: object) -> None:
    """The first map lies over the slices; another one takes its place, also in 3D."""
    view = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSliceCompositeNode")
    check(slicer.mrmlScene.GetNodeByID(view.GetForegroundVolumeID()).GetName() == "T1 gate_2", "the first map is shown")
    check(ui.mapList.count == 3, "three maps are listed")
    ui.opacitySlider.value = 0.8
    check(view.GetForegroundOpacity() == 0.8, "the opacity reaches the views")
    ui.show3dCheckBox.click()
    node = slicer.util.getNode("T1 gate_2")
    check(node.GetNumberOfDisplayNodes() == 2 and node.GetNthDisplayNode(1).GetVisibility() == 1, "the map is rendered")
    ui.mapList.itemClicked(ui.mapList.item(2))
    check(slicer.mrmlScene.GetNodeByID(view.GetForegroundVolumeID()).GetName() == "T1 uncertainty", "another map is shown")
    ui.copyTableButton.click()


def probe(ui: object) -> None:
    """With a guided model the overlay follows the crosshair."""
    choose(ui, "Tiny guided", slicer.util.getNode("T1"))
    ui.segmentButton.click()
    wait(ui)
    check(ui.probeCheckBox.enabled, ui.probeReasonLabel.text)
    ui.probeCheckBox.click()
    crosshair = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
    crosshair.SetCursorPositionRAS(20, 20, 20)
    check(slicer.util.getNode("T1 probe") is not None, "the probe is in the scene")
    if len(sys.argv) > 1:
        slicer.app.processEvents()
        slicer.util.mainWindow().grab().save(sys.argv[-1])
    ui.probeCheckBox.click()
    check(slicer.mrmlScene.GetFirstNodeByName("T1 probe") is None, "the probe is gone")


def cancel(ui: object) -> None:
    """A cancelled run leaves the nodes as they were."""
    before = slicer.mrmlScene.GetNumberOfNodes()
    ui.segmentButton.click()
    ui.segmentButton.click()
    wait(ui)
    check(ui.messageLabel.text == "Cancelled; the scene is as it was.", ui.messageLabel.text)
    check(slicer.mrmlScene.GetNumberOfNodes() == before, "no node came or went")


def reload_module() -> None:
    """Loaded anew, the panel shows what the scene remembers."""
    slicer.util.reloadScriptedModule("AttentionSeg")
    ui = slicer.modules.AttentionSegWidget.ui
    check(ui.inputSelector1.currentNode().GetName() == "T1", "the volume is still chosen")
    check(ui.mapList.count > 0, "the maps are still listed")


def save_and_load(folder: Path) -> None:
    """The scene comes back with the panel's choices and the maps."""
    path = str(folder / "scene.mrb")
    check(slicer.util.saveScene(path), "the scene is saved")
    slicer.mrmlScene.Clear()
    ui = slicer.modules.AttentionSegWidget.ui
    check(ui.inputSelector1.currentNode() is None and not ui.segmentButton.enabled, "a closed scene leaves an empty panel")
    slicer.util.loadScene(path)
    check(ui.inputSelector1.currentNode().GetName() == "T1", "the volume is chosen again")
    check(ui.mapList.count > 0, "the maps are listed again")


def choose(ui: object, model: str, volume: object) -> None:
    ui.modelSelector.setCurrentIndex(ui.modelSelector.findText(model))
    ui.inputSelector1.setCurrentNode(volume)


def wait(ui: object, tick: object = lambda: None) -> None:
    """Let the application idle until the run has ended."""
    end = time.monotonic() + SECONDS
    while ui.segmentButton.text == "Cancel":
        check(time.monotonic() < end, "the run ends in time")
        slicer.app.processEvents()
        tick()


def check(holds: bool, what: str) -> None:
    if not holds:
        raise AssertionError(what)
    print(f"ok: {what}")


if __name__ == "__main__":
    try:
        main()
    except Exception:  # noqa: BLE001 (the application would go on and hide it)
        traceback.print_exc()
        slicer.util.exit(slicer.util.EXIT_FAILURE)
    else:
        slicer.util.exit(slicer.util.EXIT_SUCCESS)
