"""A walk through the panel in the real application, for the pictures of the documentation: what a user sees, and how long it takes.

    Slicer --no-splash --additional-module-paths "$PWD/AttentionSeg" --python-script Testing/Slicer/tour.py -- SCAN.nii.gz PICTURES

SCAN is a T1-weighted head, such as the MNI152 head that `python3 Testing/run.py demo` writes; PICTURES a folder. Prints seconds, the largest gap of
the event loop during each run, and every warning and error of Slicer's log. The exit code is 0 when all steps were made and the log is clean.
On Linux, Slicer gives itself the lowest priority; SLICER_BACKGROUND_THREAD_PRIORITY=0 in the environment leaves it as it is.
"""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import qt
import slicer

WINDOW = 1500, 950
SMALL_WINDOW = 1280, 800
FOUR_UP = 3
SECONDS = 300
# For which a user reads the panel before the first press.
LOOK_AROUND = 20
WARM_RUNS = 3
TICK_MS = 5
COMPLAINTS = ("WARNING", "ERROR", "CRITICAL", "FATAL")


class Tour:
    """Steps through the panel.

    Args:
        scan: a T1-weighted head.
        pictures: folder of the pictures.
    """

    def __init__(self, scan: Path, pictures: Path) -> None:
        self.scan, self.pictures = scan, pictures
        pictures.mkdir(parents=True, exist_ok=True)

    def walk(self) -> None:
        slicer.util.mainWindow().resize(*WINDOW)
        slicer.app.layoutManager().setLayout(FOUR_UP)
        idle(0.5)
        self.volume = slicer.util.loadVolume(str(self.scan))
        begin = time.monotonic()
        slicer.util.selectModule("AttentionSeg")
        slicer.app.processEvents()
        say(f"module opened in {time.monotonic() - begin:.2f} s, torch {'loaded' if 'torch' in sys.modules else 'not loaded'}")
        self.ui = slicer.modules.AttentionSegWidget.ui
        self.picture("panel-opened")
        self.first_run()
        self.warm_runs()
        self.maps()
        self.why("why, of a segment")
        self.in_3d()
        self.probe()
        self.small_window()

    def first_run(self) -> None:
        """What a user does first: press the button."""
        require(self.ui.segmentButton.isEnabled(), f"Segment can be pressed: {self.ui.reasonLabel.text}")
        # Meanwhile the module prepares what a run will need.
        with heartbeat() as gaps:
            idle(LOOK_AROUND)
        say(f"preparing: largest gap of the event loop {max(gaps):.2f} s")
        say(f"model chosen: {self.ui.modelSelector.currentText}; volume chosen: {self.ui.inputSelector1.currentNode().GetName()}")
        self.run(f"first run, {LOOK_AROUND} s after the module was opened")
        self.look_at_result()
        self.picture("panel-with-result")

    def warm_runs(self) -> None:
        for number in range(WARM_RUNS):
            self.run(f"warm run {number + 1}")

    def maps(self) -> None:
        """Each map over the slices."""
        ui = self.ui
        for row in range(ui.mapList.count):
            item = ui.mapList.item(row)
            if item.flags() & qt.Qt.ItemIsSelectable:
                ui.mapList.itemClicked(item)
                self.look_at_result()
                self.picture(f"map-{row}")

    def why(self, what: str) -> None:
        """Press Why? in the first row of the table, twice: the first time is not warm."""
        ui, panel = self.ui, slicer.modules.AttentionSegWidget.panel
        for turn in ("first", "again"):
            for entry in [node for node in panel.attention.maps if " why " in node.GetName()]:
                slicer.mrmlScene.RemoveNode(entry)
            idle(1)
            with heartbeat() as gaps:
                begin = time.monotonic()
                ui.resultTable.cellClicked(0, ui.resultTable.columnCount - 1)
                wait(lambda: not ui.whyProgressBar.isVisible())
                seconds = time.monotonic() - begin
                idle(0.5)
            say(f"{what}, {turn}: {seconds:.2f} s, largest gap of the event loop {max(gaps):.2f} s; {ui.whyMessageLabel.text}")
        require("Bright places" in ui.whyMessageLabel.text, ui.whyMessageLabel.text)
        self.picture(what.replace(", ", "-").replace(" ", "-"))

    def in_3d(self) -> None:
        """The segments as surfaces, seen from the front and close by."""
        self.ui.showSegments3dButton.click()
        idle(2)
        bounds = [0.0] * 6
        slicer.util.getNodesByClass("vtkMRMLSegmentationNode")[-1].GetRASBounds(bounds)
        renderer = slicer.app.layoutManager().threeDWidget(0).threeDView().renderWindow().GetRenderers().GetFirstRenderer()
        renderer.ResetCamera(bounds)
        renderer.GetActiveCamera().Elevation(20)
        renderer.ResetCameraClippingRange()
        idle(0.5)
        self.picture("segments-in-3d")

    def probe(self) -> None:
        """A guided model, and what the voxel under the crosshair looks at."""
        ui = self.ui
        title = next(choice.title for choice in slicer.util.getModuleLogic("AttentionSeg").models() if choice.id == "hippocampus-mr-guided-attention")
        ui.modelSelector.setCurrentIndex(ui.modelSelector.findText(title))
        self.run("guided attention")
        require(ui.probeCheckBox.isEnabled(), f"the probe can be switched on: {ui.probeReasonLabel.text}")
        ui.probeCheckBox.click()
        position = list(self.look_at_result())
        slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLCrosshairNode").SetCursorPositionRAS(position)
        idle(1)
        self.picture("probe")
        self.why("why, at a voxel")
        ui.probeCheckBox.click()

    def small_window(self) -> None:
        slicer.util.mainWindow().resize(*SMALL_WINDOW)
        idle(1)
        self.picture("small-window")

    def run(self, what: str) -> None:
        """Press Segment and wait; say how long it took, and how long the application stood still, until the result was drawn as well."""
        ui = self.ui
        # What the step before left to draw is not of this run.
        idle(1)
        with heartbeat() as gaps:
            begin = time.monotonic()
            ui.segmentButton.click()
            wait(lambda: ui.segmentButton.text != "Cancel")
            seconds = time.monotonic() - begin
            idle(1)
        result = slicer.modules.AttentionSegWidget.panel.attention.result
        engine = sum(result.prediction.seconds.values()) if result is not None else float("nan")
        parts = ", ".join(f"{name} {took:.2f}" for name, took in result.prediction.seconds.items()) if result is not None else ""
        say(f"{what}: {seconds:.2f} s, engine {engine:.2f} s ({parts}), largest gap of the event loop {max(gaps):.2f} s; {ui.messageLabel.text}")
        require(ui.messageLabel.text.startswith("Done in"), ui.messageLabel.text)

    def look_at_result(self) -> tuple[float, float, float]:
        """Center the slice views on the first segment, and return that place, RAS mm."""
        segmentation = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")[-1]
        center = segmentation.GetSegmentCenterRAS(segmentation.GetSegmentation().GetNthSegmentID(0))
        slicer.modules.markups.logic().JumpSlicesToLocation(*center, True)
        idle(0.5)
        return tuple(center)

    def picture(self, name: str) -> None:
        slicer.app.processEvents()
        slicer.util.forceRenderAllViews()
        slicer.app.processEvents()
        slicer.util.mainWindow().grab().save(str(self.pictures / f"{name}.png"))


@contextmanager
def heartbeat() -> Any:
    """Seconds between ticks of a timer of the event loop meanwhile."""
    gaps, last = [0.0], [time.monotonic()]

    def tick() -> None:
        now = time.monotonic()
        gaps.append(now - last[0])
        last[0] = now

    timer = qt.QTimer()
    timer.setInterval(TICK_MS)
    timer.connect("timeout()", tick)
    timer.start()
    try:
        yield gaps
    finally:
        timer.stop()


def idle(seconds: float) -> None:
    end = time.monotonic() + seconds
    wait(lambda: time.monotonic() > end)


def wait(until: Callable[[], bool]) -> None:
    """Leave the application to its own event loop, as it is while a user waits: asking for its events all the time takes a processor from the run."""
    end = time.monotonic() + SECONDS
    loop, timer = qt.QEventLoop(), qt.QTimer()
    timer.setInterval(TICK_MS)
    timer.connect("timeout()", lambda: loop.quit() if until() or time.monotonic() > end else None)
    timer.start()
    loop.exec_()
    timer.stop()
    require(until(), "it ends in time")


def complaints() -> list[str]:
    """What Slicer's log has that is worse than an information."""
    lines = Path(slicer.app.currentLogFile()).read_text(encoding="utf-8", errors="replace").splitlines()
    return [line for line in lines if any(f"[{level}]" in line for level in COMPLAINTS)]


def require(holds: bool, what: str) -> None:
    if not holds:
        raise AssertionError(what)


def say(text: str) -> None:
    print(text, flush=True)


def main() -> int:
    scan, pictures = (Path(argument) for argument in sys.argv[-2:])
    try:
        Tour(scan, pictures).walk()
    except Exception:  # noqa: BLE001 (the application would go on and hide it)
        traceback.print_exc()
        return slicer.util.EXIT_FAILURE
    found = complaints()
    say("\n".join(found) or "the log has no warning and no error")
    return slicer.util.EXIT_FAILURE if found else slicer.util.EXIT_SUCCESS


if __name__ == "__main__":
    slicer.util.exit(main())
