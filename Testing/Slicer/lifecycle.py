"""Whether the real application survives what people do while something runs: quit, close the scene, delete what the run works on.

    python3 Testing/Slicer/lifecycle.py SLICER [--only run/quit] [--seconds 300]

SLICER is the executable. For each of a run, a batch and a training, each of these interruptions and five instants, Slicer is started, the button is
pressed, the interruption comes, and Slicer quits. Printed is a line for each: clean, or what is wrong: a signal or an exit code, an error in Slicer's
log, a wrong message in the panel. The exit code is 0 when all are clean. Packages as for `test_in_slicer.py`; nothing outside a temporary folder is
written. `--only` takes the beginning of such a line, such as `run`, `batch/close` or `training/quit/3`.

Started by Slicer, the same file is what goes on inside of it.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

MODULE = Path(__file__).resolve().parents[2] / "AttentionSeg"
EVENTS = ("quit", "close", "volume", "region", "output")
# When, by what the panel says then: a beginning of the message, or a share of the progress bar; the first is the press itself.
INSTANTS: dict[str, tuple[Any, ...]] = {
    "run": ("", "Loading", "Running", 50, 80),
    "batch": ("", "Loading", "Case 1", "Case 3", "Case 5"),
    "training": ("", "Loading", "Planning", "Epoch 1 ", "Epoch 3 "),
}
SECONDS = 300
COMPLAINT = re.compile(r"^\[(ERROR|CRITICAL|FATAL)\].*", re.MULTILINE)
LOG = "log of this run: "
CROP, SCANS, PAIRS = (44, 44, 44), 6, 3


def main() -> int:
    """The driver: one Slicer after the other."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("slicer", type=Path, help="executable of Slicer")
    parser.add_argument("--only", default="", help="beginning of what to try, such as run/quit")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="that one Slicer may take (default: %(default)g)")
    options = parser.parse_args()
    names = [f"{work}/{event}/{instant}" for work, instants in INSTANTS.items() for event in EVENTS for instant in range(len(instants))]
    bad = 0
    for name in names:
        if name.startswith(options.only):
            when, wrong = tried(options.slicer, name, options.seconds)
            bad += bool(wrong)
            print(f"{name}, {when}: {wrong or 'clean'}", flush=True)
    print("all clean" if not bad else f"{bad} not clean")
    return 1 if bad else 0


def tried(slicer: Path, name: str, seconds: float) -> tuple[str, str]:
    """When the interruption came, and what is wrong, empty when nothing is."""
    with tempfile.TemporaryDirectory(prefix="AttentionSeg-") as folder:
        arguments = [slicer, "--testing", "--no-splash", "--ignore-slicerrc", "--additional-module-paths", MODULE]
        environment = {**os.environ, "SLICER_BACKGROUND_THREAD_PRIORITY": "0", "XDG_DATA_HOME": folder}
        try:
            done = subprocess.run(
                [*map(str, arguments), "--python-script", __file__, "--", name, folder],
                env=environment,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return "never", f"it did not end within {seconds:g} s"
        said = done.stdout + done.stderr
        when = re.search(f"^{name}: (.*)", said, re.MULTILINE)
        place = re.search(f"{LOG}(.*)", said)
        log = Path(place[1].strip()).read_text(encoding="utf-8", errors="replace") if place else ""
    return when[1] if when else "never", _wrong(done.returncode, said, log)


def _wrong(code: int, said: str, log: str) -> str:
    if code != 0:
        return f"exit code {code}: {' '.join(said.splitlines()[-3:])}"
    if not log:
        return "there is no log"
    complaint = COMPLAINT.search(log)
    return complaint[0] if complaint else "there is a traceback" if "Traceback" in said + log else ""


def inside(name: str, folder: Path) -> None:
    """In Slicer: press, interrupt, look at the panel, quit."""
    import slicer

    print(f"{LOG}{slicer.app.errorLogModel().filePath}", flush=True)
    work, event, instant = name.split("/")
    slicer.util.selectModule("AttentionSeg")
    ui = slicer.modules.AttentionSegWidget.ui
    nodes = {"run": _prepare_run, "batch": _prepare_batch, "training": _prepare_training}[work](ui, folder)
    button, bar, label = {
        "run": (ui.segmentButton, ui.progressBar, ui.messageLabel),
        "batch": (ui.batchButton, ui.batchProgressBar, ui.batchMessageLabel),
        "training": (ui.trainButton, ui.trainProgressBar, ui.trainMessageLabel),
    }[work]
    _require(button.isEnabled(), "the button can be pressed")
    button.click()
    _require(button.text == "Cancel", "the press starts it: all its Python packages are installed in this Slicer")
    when = INSTANTS[work][int(instant)]
    _idle(lambda: button.text != "Cancel" or (bar.value >= when if isinstance(when, int) else label.text.startswith(when)))
    running = button.text == "Cancel"
    print(f"{name}: {'at' if running else 'after the end, not at'} '{when}'", flush=True)
    if event == "close":
        slicer.mrmlScene.Clear()
        _idle(lambda: ui.segmentButton.text != "Cancel")
        _require(ui.modelSelector.currentIndex >= 0, "a model is chosen in the empty scene")
        _require(not label.text.startswith(("Done in", "It failed")), label.text)
    elif event != "quit" and nodes.get(event) is not None:
        slicer.mrmlScene.RemoveNode(nodes[event])
        if work == "run" and running and event in ("volume", "output"):
            begin = time.monotonic()
            _idle(lambda: button.text != "Cancel")
            print(f"stopped after {time.monotonic() - begin:.1f} s", flush=True)
            _require(label.text == f"Stopped, because {event} was deleted.", label.text)
        elif work == "run":
            _idle(lambda: button.text != "Cancel")
            _require(label.text.startswith("Done in"), label.text)
    slicer.util.exit(slicer.util.EXIT_SUCCESS)


def _prepare_run(ui: Any, _folder: Path) -> dict[str, Any]:
    """A volume with a region around its middle, and a segmentation for the result."""
    import slicer

    volume, segmentation = _volume("volume", 1), slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "output")
    region = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "region")
    bounds = [0.0] * 6
    volume.GetRASBounds(bounds)
    region.SetCenter([(low + high) / 2 for low, high in zip(bounds[::2], bounds[1::2])])
    region.SetSize(*CROP)
    _choose_model(ui)
    ui.inputSelector1.setCurrentNode(volume)
    ui.regionSelector.setCurrentNode(region)
    ui.segmentationSelector.setCurrentNode(segmentation)
    # So that it takes long enough to come into its middle.
    ui.overlapSlider.value = 0.9
    return {"volume": volume, "region": region, "output": segmentation}


def _prepare_batch(ui: Any, folder: Path) -> dict[str, Any]:
    import slicer

    (folder / "in").mkdir()
    for number in range(SCANS):
        scan = _volume(f"scan{number}", number)
        slicer.util.saveNode(scan, str(folder / "in" / f"scan{number}.nrrd"))
    _choose_model(ui)
    ui.overlapSlider.value = 0.9
    ui.batchInputEdit.setCurrentPath(str(folder / "in"))
    ui.batchOutputEdit.setCurrentPath(str(folder / "out"))
    return {"volume": scan}


def _prepare_training(ui: Any, folder: Path) -> dict[str, Any]:
    """Volumes with a bright cube, which is their segmentation."""
    import numpy as np
    import slicer

    for number in range(PAIRS):
        volume = _volume(f"scan{number}", number)
        values = slicer.util.arrayFromVolume(volume)
        cube = np.zeros(values.shape, np.uint8)
        cube[12:24, 14 + number : 28, 10:30] = 1
        values[cube == 1] += 100
        slicer.util.arrayFromVolumeModified(volume)
        segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", f"scan{number} cube")
        segmentation.CreateDefaultDisplayNodes()
        segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
        slicer.util.updateSegmentBinaryLabelmapFromArray(cube, segmentation, segmentation.GetSegmentation().AddEmptySegment("cube", "Cube"), volume)
    slicer.app.processEvents()
    ui.trainOutputEdit.setCurrentPath(str(folder / "model"))
    import qt

    for row in range(PAIRS):
        ui.trainPairTable.item(row, 0).setCheckState(qt.Qt.Checked)
    ui.trainLicenseSelector.setCurrentIndex(1)
    # Few hours make short epochs.
    ui.trainHoursSpinBox.value = 0.25
    return {"volume": volume, "output": segmentation}


def _volume(name: str, seed: int) -> Any:
    import numpy as np
    import slicer

    return slicer.util.addVolumeFromArray(np.random.default_rng(seed).normal(100, 30, CROP).astype(np.float32), name=name)


def _choose_model(ui: Any) -> None:
    import slicer

    models = slicer.util.getModuleLogic("AttentionSeg").models()
    title = next(model.title for model in models if model.id == "hippocampus-mr-attention-unet")
    ui.modelSelector.setCurrentIndex(ui.modelSelector.findText(title))


def _idle(until: Callable[[], bool]) -> None:
    import slicer

    end = time.monotonic() + SECONDS
    while not until():
        _require(time.monotonic() < end, f"it comes so far within {SECONDS} s")
        slicer.app.processEvents()


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise AssertionError(what)


if __name__ == "__main__":
    if "slicer" not in sys.modules:
        sys.exit(main())
    import slicer

    try:
        inside(sys.argv[-2], Path(sys.argv[-1]))
    except Exception as error:  # noqa: BLE001 (the application would go on and hide it)
        print(f"{type(error).__name__}: {error}", flush=True)
        slicer.util.exit(slicer.util.EXIT_FAILURE)
