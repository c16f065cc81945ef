"""Slicer module AttentionSeg: segmentation by attention networks, with their attention maps as volumes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import qt
import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)

if TYPE_CHECKING:
    from os import PathLike
    from typing import Optional, Union

    from AttentionSegLib.mrml.probe_volume import ProbeVolume
    from AttentionSegLib.mrml.segment import SegmentedVolume
    from AttentionSegLib.mrml.training_pairs import Pair
    from AttentionSegLib.progress import Cancel, OnProgress
    from AttentionSegLib.ui.long_runs import OnChange
    from AttentionSegLib.ui.module_panel import ModulePanel
    from AttentionSegLib.ui.pump import Pump
    from AttentionSegLib.ui.segmenter import Options
    from AttentionSegLib.ui.settings import Settings
    from AttentionSegLib.ui.task import Task
    from slicer import vtkMRMLScalarVolumeNode as Volume
    from slicer import vtkMRMLSegmentationNode as Segmentation

    AnyPath = Union[str, PathLike]
    Report = Optional[OnProgress]
    Stop = Optional[Cancel]
    Volumes = Union[Volume, Sequence[Volume]]

RESOURCES = Path(__file__).parent / "Resources"
README = "https://github.com/AttentionSeg/SlicerAttentionSeg#readme"
# By name in the module Sample Data: file name, node name and SHA-256.
SAMPLES = {
    "AttentionSegMRHead": ("MR-head.nrrd", "MRHead", "cc211f0dfd9a05ca3841ce1141b292898b2dd2d3f08286affadf823a7e58df93"),
    "AttentionSegCTBrain": ("CT-brain.nrrd", "CTBrain", "6a5b6caccb76576a863beb095e3bfb910c50ca78f4c9bf043aa42f976cfa53d1"),
}


class AttentionSeg(ScriptedLoadableModule):
    """The module's entry in Slicer: title, category, help and acknowledgement."""

    def __init__(self, parent: Any) -> None:
        super().__init__(parent)
        parent.title = _("AttentionSeg")
        parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        parent.dependencies = []
        parent.contributors = ["AttentionSeg developers"]
        parent.helpText = _(
            "Segments a volume with an attention network, and shows where the network looked: every attention map becomes a volume beside the "
            'segmentation. Choose a volume and a model, and press Segment. <a href="{readme}">How to use it</a>. '
            "For research only; not a medical device."
        ).format(readme=README)
        parent.acknowledgementText = _(
            "Networks: Oktay et al., Attention U-Net: Learning Where to Look for the Pancreas, arXiv:1804.03999 (2018); "
            "Sinha and Dolz, Multi-scale self-guided attention for medical image segmentation, arXiv:1906.02849 (2020)."
        )
        slicer.app.connect("startupCompleted()", registerSampleData)
        slicer.app.connect("aboutToQuit()", stopRuns)


def registerSampleData() -> None:
    """List head scans of Slicer's testing data, on which the models can be tried, in the module Sample Data."""
    import SampleData

    for sampleName, (fileName, nodeName, checksum) in SAMPLES.items():
        SampleData.SampleDataLogic.registerCustomSampleDataSource(
            category="AttentionSeg",
            sampleName=sampleName,
            thumbnailFileName=str(RESOURCES / "Icons" / "AttentionSeg.png"),
            uris=f"https://github.com/Slicer/SlicerTestingData/releases/download/SHA256/{checksum}",
            fileNames=fileName,
            checksums=f"SHA256:{checksum}",
            nodeNames=nodeName,
        )


def stopRuns() -> None:
    """Stop the work in threads before the application quits."""
    task = sys.modules.get("AttentionSegLib.ui.task")
    # Not imported: the module was not opened, and nothing runs.
    if task is not None:
        task.stop_all()


class AttentionSegWidget(ScriptedLoadableModuleWidget):
    """The panel in the application."""

    def __init__(self, parent: object = None) -> None:
        super().__init__(parent)
        self.panel: ModulePanel | None = None

    def setup(self) -> None:
        super().setup()
        from AttentionSegLib.ui.environment import MINIMUM_SLICER, slicer_version, slicer_version_text
        from AttentionSegLib.ui.module_panel import ModulePanel
        from AttentionSegLib.ui.scene_events import SceneEvents

        self.logic = AttentionSegLogic()
        widget = slicer.util.loadUI(str(RESOURCES / "UI" / "AttentionSeg.ui"))
        version = slicer_version()
        if version is not None and version < MINIMUM_SLICER:
            text = _("AttentionSeg needs Slicer {needed} or newer, and this is {found}. Please install a newer one from download.slicer.org.")
            label = qt.QLabel(text.format(needed="{}.{}".format(*MINIMUM_SLICER), found=slicer_version_text()))
            label.setWordWrap(True)
            self.layout.addWidget(label)
            return
        self.layout.addWidget(widget)
        self.ui = slicer.util.childWidgetVariables(widget)
        widget.setMRMLScene(slicer.mrmlScene)
        self.panel = ModulePanel(self.ui, self.logic.settings(), self.logic.segmenter, RESOURCES, self.logic.keepPolling, self.logic.whenIdle)
        self.events = SceneEvents(self.panel, self.logic.settings)

    def enter(self) -> None:
        """Called by Slicer when the module is opened."""
        if self.panel is not None:
            self.panel.use(self.logic.settings())
            self.panel.refresh()
            self.events.follow_views()

    def exit(self) -> None:
        """Called by Slicer when another module is opened; a run continues."""
        if self.panel is not None:
            self.panel.attention.set_probe(False)

    def cleanup(self) -> None:
        """Called by Slicer when the application quits or the module is reloaded."""
        if self.panel is not None:
            self.events.removeObservers()
            self.panel.close()
            self.logic.stop()


class AttentionSegLogic(ScriptedLoadableModuleLogic):
    """The functions of the panel, for Slicer's Python console.

    logic = slicer.util.getModuleLogic("AttentionSeg")
    result = logic.segmentVolume(getNode("MRHead"), "hippocampus-mr-attention-unet", region=getNode("R"))
    print(result.statistics)
    """

    def __init__(self) -> None:
        super().__init__()
        from AttentionSegLib.ui.segmenter import Segmenter

        self.segmenter = Segmenter()
        self._pump: Pump | None = None
        self._probe: ProbeVolume | None = None

    def models(self) -> list:
        """The installed models, each with `id`, `title`, `text` and `card`.

        print([model.id for model in logic.models()])
        """
        from AttentionSegLib.ui.model_list import model_choices

        return model_choices()

    def segmentVolume(
        self,
        volumeNode: Volumes,
        model: AnyPath,
        region: slicer.vtkMRMLMarkupsROINode | None = None,
        outputSegmentation: Segmentation | None = None,
        attention: bool | Sequence[str] = True,
        device: str = "auto",
        onProgress: Report = None,
        cancel: Stop = None,
        **options: Any,
    ) -> SegmentedVolume:
        """Segment a volume and wait. The result has `segmentation`, `attention` (volumes by name), `uncertainty`, `statistics`, `prediction`.

        result = logic.segmentVolume(getNode("MRHead"), "hippocampus-mr-attention-unet", region=getNode("R"))
        slicer.util.setSliceViewerLayers(foreground=result.attention["gate_2"], foregroundOpacity=0.5)

        Args:
            volumeNode: a scalar volume, or a list of them, one per input of the model.
            model: id of a model, or path of a model folder.
            region: vtkMRMLMarkupsROINode around the structure.
            outputSegmentation: segmentation node to add the segments to; a new one when left out.
            attention: all maps, none, or a list of names.
            device: auto, cpu, cuda, cuda:1, mps.
            onProgress: called with (fraction 0..1, stage, seconds left or None).
            cancel: called between patches; returns True to stop.
            options: `memoryLimit` (memory of a CUDA device that the run may take, in GB), and the options of `AttentionSegLib.options.RunOptions`,
                such as `probabilities`, `overlap`, `mirroring`.

        Raises:
            InputError: if an argument cannot be used. The scene is unchanged then, as after a cancelled run.
        """
        chosen = _chosen(model, attention=attention, device=device, **options)
        return self.segmenter.segment(chosen, _listed(volumeNode), region, outputSegmentation, onProgress, cancel)

    def startSegmentVolume(
        self,
        volumeNode: Volumes,
        model: AnyPath,
        region: slicer.vtkMRMLMarkupsROINode | None = None,
        outputSegmentation: Segmentation | None = None,
        attention: bool | Sequence[str] = True,
        device: str = "auto",
        onChange: OnChange = None,
        **options: Any,
    ) -> Task[SegmentedVolume]:
        """Segment a volume in the background. Returns the run: `state`, `progress`, `result`, `error`, `cancel()`.

        run = logic.startSegmentVolume(getNode("T1"), "hippocampus-mr-attention-unet", onChange=lambda run: print(run.state.value, run.progress))

        `onChange` is called with the run, on the main thread; the other arguments are those of `segmentVolume`.
        """
        chosen = _chosen(model, attention=attention, device=device, **options)
        return self._started(self.segmenter.start(chosen, _listed(volumeNode), region, outputSegmentation, onChange))

    def compare(self, resultSegmentation: Segmentation, referenceSegmentation: Segmentation, volume: Volume | None = None) -> object:
        """Compare a result with a reference. Returns `rows`, each with `name`, `dice`, `hausdorff_95_mm`, `milliliters`, `reference_milliliters`.

        comparison = logic.compare(result.segmentation, getNode("Drawn by hand"))
        print([(row.name, row.dice) for row in comparison.rows], comparison.only_in_reference)

        Args:
            resultSegmentation, referenceSegmentation: segments of the same name are compared.
            volume: whose voxel grid to compare on; that of the result when left out.

        Raises:
            InputError: if one cannot be used, no segment name is in both, or they are at different positions.
        """
        from AttentionSegLib.ui.comparison import compare_segmentations

        return compare_segmentations(resultSegmentation, referenceSegmentation, volume)

    def probe(self, result: SegmentedVolume, rasPosition: Sequence[float]) -> Volume:
        """The position attention of the voxel at a position (world RAS mm), as a volume; for guided-attention models only.

        node = logic.probe(result, (26, -24, -13))

        Raises:
            InputError: if the model has no position attention, or the position is outside the segmented part of the scan.
        """
        from AttentionSegLib.errors import InputError
        from AttentionSegLib.mrml.probe_volume import ProbeVolume

        if self._probe is None or self._probe.result is not result:
            self._probe = ProbeVolume(result)
        if not self._probe.move(rasPosition):
            place = ", ".join(f"{coordinate:.0f}" for coordinate in rasPosition)
            msg = f"The position ({place}) is outside what was segmented; choose one inside."
            raise InputError(msg)
        return self._probe.node

    def explain(self, result: SegmentedVolume, label: str, rasPosition: Sequence[float] | None = None) -> Volume:
        """Which places raised a label of a result, as a volume: for its whole segment, or for the voxel at a position (world RAS mm).

        node = logic.explain(result, result.statistics[0].name)
        node = logic.explain(result, result.statistics[0].name, (26, -24, -13))

        Raises:
            InputError: if there is no such label, the position is outside of what was segmented, or the volume has changed or was removed.
        """
        from AttentionSegLib.mrml.result_explanation import explain, publish_explanation, read_question

        question = read_question(result, label, rasPosition)
        return publish_explanation(question, explain(question))

    def segmentFolder(
        self, inputFolder: AnyPath, outputFolder: AnyPath, model: AnyPath, onProgress: Report = None, cancel: Stop = None, **options: Any
    ) -> object:
        """Segment every scan of a folder of files; a stopped run is resumed.

        logic.segmentFolder("scans", "results", "hippocampus-mr-attention-unet")

        `options` are those of `AttentionSegLib.batch.segment_folder`.
        """
        from AttentionSegLib.batch import segment_folder

        return segment_folder(inputFolder, outputFolder, model=model, on_progress=onProgress, cancel=cancel, **options)

    def trainModel(
        self,
        imageFolder: AnyPath,
        labelFolder: AnyPath,
        network: str,
        outputFolder: AnyPath,
        onProgress: Report = None,
        cancel: Stop = None,
        **options: Any,
    ) -> object:
        """Train a model on a folder of scans and a folder of label maps of the same file names.

        logic.trainModel("images", "labels", "attention-unet", "my-model")

        `options` are those of `AttentionSegLib.training.train_model`.
        """
        from AttentionSegLib.datasets.case_set import folder_cases
        from AttentionSegLib.training import train_model

        cases = folder_cases(Path(imageFolder), Path(labelFolder))
        return train_model(cases, network, outputFolder, on_progress=onProgress, cancel=cancel, **options)

    def trainModelOnNodes(
        self, pairs: Sequence[Pair], network: str, outputFolder: AnyPath, onProgress: Report = None, cancel: Stop = None, **options: Any
    ) -> object:
        """Train a model on volumes of the scene and their segmentations, which must have the same segment names.

        logic.trainModelOnNodes([(getNode("A"), getNode("A segmentation")), (getNode("B"), getNode("B segmentation"))], "attention-unet", "my-model")

        `options` are those of `AttentionSegLib.training.train_model`.

        Raises:
            InputError: if a pair cannot be trained on, or two segmentations have different segment names.
        """
        from AttentionSegLib.mrml.training_pairs import read_pairs
        from AttentionSegLib.ui.long_runs import train_on_pairs

        return train_on_pairs(read_pairs(pairs), network, outputFolder, on_progress=onProgress, cancel=cancel, **options)

    def startSegmentFolder(self, inputFolder: AnyPath, outputFolder: AnyPath, model: AnyPath, onChange: OnChange = None, **options: Any) -> object:
        """`segmentFolder` in the background. Returns the run, as `startSegmentVolume` does.

        run = logic.startSegmentFolder("scans", "results", "hippocampus-mr-attention-unet", onChange=lambda run: print(run.progress))
        """
        from AttentionSegLib.ui.long_runs import folder_task

        return self._started(folder_task(inputFolder, outputFolder, onChange, model=model, **options))

    def startTrainModel(
        self, imageFolder: AnyPath, labelFolder: AnyPath, network: str, outputFolder: AnyPath, onChange: OnChange = None, **options: Any
    ) -> object:
        """`trainModel` in the background. Returns the run, as `startSegmentVolume` does."""
        from AttentionSegLib.ui.long_runs import training_task

        return self._started(training_task(imageFolder, labelFolder, network, outputFolder, onChange, **options))

    def startTrainModelOnNodes(self, pairs: Sequence[Pair], network: str, outputFolder: AnyPath, onChange: OnChange = None, **options: Any) -> object:
        """`trainModelOnNodes` in the background. Returns the run, as `startSegmentVolume` does."""
        from AttentionSegLib.ui.long_runs import pairs_task

        return self._started(pairs_task(pairs, network, outputFolder, onChange, **options))

    def settings(self) -> Settings:
        """The panel's settings, in the parameter node of the scene."""
        from AttentionSegLib.ui.settings import Settings

        return Settings(self.getParameterNode())

    def keepPolling(self, poll: Callable[[], bool]) -> None:
        """Call a function from the event loop, repeatedly, until it returns False."""
        self._timers().keep_polling(poll)

    def whenIdle(self, function: Callable[[], None]) -> None:
        """Call a function from the event loop once, a second after the last call of this method."""
        self._timers().when_idle(function)

    def stop(self) -> None:
        """Stop polling the runs."""
        if self._pump is not None:
            self._pump.stop()

    def _timers(self) -> Pump:
        from AttentionSegLib.ui.pump import Pump

        if self._pump is None:
            self._pump = Pump()
        return self._pump

    def _started(self, run: Task) -> Task:
        self.keepPolling(run.poll)
        return run


def _chosen(model: AnyPath, memoryLimit: float | None = None, **options: Any) -> Options:
    from AttentionSegLib.options import RunOptions
    from AttentionSegLib.ui.segmenter import Options

    return Options(model, RunOptions(memory_limit_gb=memoryLimit, **options))


def _listed(nodes: Volumes) -> list[Volume]:
    return list(nodes) if isinstance(nodes, (list, tuple)) else [nodes]


class AttentionSegTest(ScriptedLoadableModuleTest):
    """Self-test in the application: opens the module and uses its panel."""

    def runTest(self) -> None:
        from AttentionSegLib.ui.self_test import press_the_buttons

        press_the_buttons()
