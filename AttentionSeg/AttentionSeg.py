"""AttentionSeg: segmentation by attention networks, with every attention map beside the result."""

from __future__ import annotations

import sys
from pathlib import Path

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

RESOURCES = Path(__file__).parent / "Resources"
README = "https://github.com/AttentionSeg/SlicerAttentionSeg#readme"
# Name in the module Sample Data: file, node and SHA-256.
SAMPLES = {
    "AttentionSegMRHead": ("MR-head.nrrd", "MRHead", "cc211f0dfd9a05ca3841ce1141b292898b2dd2d3f08286affadf823a7e58df93"),
    "AttentionSegCTBrain": ("CT-brain.nrrd", "CTBrain", "6a5b6caccb76576a863beb095e3bfb910c50ca78f4c9bf043aa42f976cfa53d1"),
}


class AttentionSeg(ScriptedLoadableModule):
    """What Slicer shows of the module before it is opened."""

    def __init__(self, parent: object) -> None:
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
    """Offer heads on which the models can be tried, of Slicer's own sample data, in the module Sample Data."""
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
    """End what works in threads while the application is still there to be worked for."""
    task = sys.modules.get("AttentionSegLib.ui.task")
    # Where the module was not opened, nothing runs.
    if task is not None:
        task.stop_all()


class AttentionSegWidget(ScriptedLoadableModuleWidget):
    """The panel in the application."""

    def __init__(self, parent: object = None) -> None:
        super().__init__(parent)
        self.panel = None

    def setup(self) -> None:
        super().setup()
        from AttentionSegLib.ui.environment import MINIMUM_SLICER, slicer_version, slicer_version_text
        from AttentionSegLib.ui.module_panel import ModulePanel
        from AttentionSegLib.ui.scene_events import SceneEvents

        self.logic = AttentionSegLogic()
        widget = slicer.util.loadUI(str(RESOURCES / "UI" / "AttentionSeg.ui"))
        if slicer_version() < MINIMUM_SLICER:
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
        """The panel is opened."""
        if self.panel is not None:
            self.panel.use(self.logic.settings())
            self.panel.refresh()
            self.events.follow_views()

    def exit(self) -> None:
        """Another module is opened; a run goes on."""
        if self.panel is not None:
            self.panel.attention.set_probe(False)

    def cleanup(self) -> None:
        """The application ends, or the module is loaded anew."""
        if self.panel is not None:
            self.events.removeObservers()
            self.panel.close()
            self.logic.stop()


class AttentionSegLogic(ScriptedLoadableModuleLogic):
    """Everything that the panel does, for Slicer's Python console.

    logic = slicer.util.getModuleLogic("AttentionSeg")
    result = logic.segmentVolume(getNode("MRHead"), "hippocampus-mr-attention-unet", region=getNode("R"))
    print(result.statistics)
    """

    def __init__(self) -> None:
        super().__init__()
        from AttentionSegLib.ui.segmenter import Segmenter

        self.segmenter = Segmenter()
        self._pump = None
        self._probe = None

    def models(self) -> list:
        """The models to choose from, each with `id`, `title`, `text` and `card`.

        print([model.id for model in logic.models()])
        """
        from AttentionSegLib.ui.model_list import model_choices

        return model_choices()

    def segmentVolume(
        self,
        volumeNode,
        model,
        region=None,
        outputSegmentation=None,
        attention=True,
        device="auto",
        onProgress=None,
        cancel=None,
        **options,
    ) -> object:
        """Segment a volume and wait. Of the result: `segmentation`, `attention` (volumes by name), `uncertainty`, `statistics`, `prediction`.

        result = logic.segmentVolume(getNode("MRHead"), "hippocampus-mr-attention-unet", region=getNode("R"))
        slicer.util.setSliceViewerLayers(foreground=result.attention["gate_2"], foregroundOpacity=0.5)

        Args:
            volumeNode: a scalar volume, or a list of them, one per input of the model.
            model: id of a model, or path of a model folder.
            region: vtkMRMLMarkupsROINode around the structure.
            outputSegmentation: segmentation to add the segments to; a new one when left out.
            attention: all maps, none, or a list of names.
            device: auto, cpu, cuda, cuda:1, mps.
            onProgress: called with (fraction 0..1, stage, seconds left or None).
            cancel: asked between patches; returns True to stop.
            options: `memoryLimit` (memory of a CUDA device that the run may take, in GB), and by the names in `AttentionSegLib.options.RunOptions`
                `probabilities`, `overlap`, `mirroring` and others.

        Raises:
            InputError: if something given cannot be used; the scene is unchanged then, as it is after a cancelled run.
        """
        chosen = _chosen(model, attention=attention, device=device, **options)
        return self.segmenter.segment(chosen, _listed(volumeNode), region, outputSegmentation, onProgress, cancel)

    def startSegmentVolume(
        self,
        volumeNode,
        model,
        region=None,
        outputSegmentation=None,
        attention=True,
        device="auto",
        onChange=None,
        **options,
    ) -> object:
        """Segment a volume while the application stays alive. Returns the run: `state`, `progress`, `result`, `error`, `cancel()`.

        run = logic.startSegmentVolume(getNode("T1"), "hippocampus-mr-attention-unet", onChange=lambda run: print(run.state.value, run.progress))

        `onChange` is called with the run, on the main thread; the other arguments are those of `segmentVolume`.
        """
        chosen = _chosen(model, attention=attention, device=device, **options)
        return self._started(self.segmenter.start(chosen, _listed(volumeNode), region, outputSegmentation, onChange))

    def compare(self, resultSegmentation, referenceSegmentation, volume=None) -> object:
        """Compare a result with a reference: `rows`, each with `name`, `dice`, `hausdorff_95_mm`, `milliliters` and `reference_milliliters`.

        comparison = logic.compare(result.segmentation, getNode("Drawn by hand"))
        print([(row.name, row.dice) for row in comparison.rows], comparison.only_in_reference)

        Args:
            resultSegmentation, referenceSegmentation: segments of the same name are compared.
            volume: on whose voxels; on those of the result when left out.

        Raises:
            InputError: if one cannot be used, no segment has the same name in both, or they are in different places.
        """
        from AttentionSegLib.ui.comparison import compare_segmentations

        return compare_segmentations(resultSegmentation, referenceSegmentation, volume)

    def probe(self, result, rasPosition) -> object:
        """The volume that shows what the voxel at a position (world RAS mm) looks at; of guided-attention models alone.

        node = logic.probe(result, (26, -24, -13))

        Raises:
            InputError: if the model has no position attention, or the position is outside what was segmented.
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

    def segmentFolder(self, inputFolder, outputFolder, model, onProgress=None, cancel=None, **options) -> object:
        """Segment every scan of a folder, in files; a run that was stopped goes on.

        logic.segmentFolder("scans", "results", "hippocampus-mr-attention-unet")

        `options` are those of `AttentionSegLib.batch.segment_folder`.
        """
        from AttentionSegLib.batch import segment_folder

        return segment_folder(inputFolder, outputFolder, model=model, on_progress=onProgress, cancel=cancel, **options)

    def trainModel(self, imageFolder, labelFolder, network, outputFolder, onProgress=None, cancel=None, **options) -> object:
        """Train a model on a folder of scans and one of label maps of the same names.

        logic.trainModel("images", "labels", "attention-unet", "my-model")

        `options` are those of `AttentionSegLib.training.train_model`.
        """
        from AttentionSegLib.datasets.case_set import folder_cases
        from AttentionSegLib.training import train_model

        cases = folder_cases(Path(imageFolder), Path(labelFolder))
        return train_model(cases, network, outputFolder, on_progress=onProgress, cancel=cancel, **options)

    def trainModelOnNodes(self, pairs, network, outputFolder, onProgress=None, cancel=None, **options) -> object:
        """Train a model on volumes of the scene and their segmentations, whose segments have the same names in each.

        logic.trainModelOnNodes([(getNode("A"), getNode("A segmentation")), (getNode("B"), getNode("B segmentation"))], "attention-unet", "my-model")

        `options` are those of `AttentionSegLib.training.train_model`.

        Raises:
            InputError: if a pair cannot be learned from, or the segments of two have not the same names.
        """
        from AttentionSegLib.mrml.training_pairs import read_pairs
        from AttentionSegLib.ui.long_runs import train_on_pairs

        return train_on_pairs(read_pairs(pairs), network, outputFolder, on_progress=onProgress, cancel=cancel, **options)

    def startSegmentFolder(self, inputFolder, outputFolder, model, onChange=None, **options) -> object:
        """`segmentFolder` while the application stays alive. Returns the run, as `startSegmentVolume` does.

        run = logic.startSegmentFolder("scans", "results", "hippocampus-mr-attention-unet", onChange=lambda run: print(run.progress))
        """
        from AttentionSegLib.ui.long_runs import folder_task

        return self._started(folder_task(inputFolder, outputFolder, onChange, model=model, **options))

    def startTrainModel(self, imageFolder, labelFolder, network, outputFolder, onChange=None, **options) -> object:
        """`trainModel` while the application stays alive. Returns the run, as `startSegmentVolume` does."""
        from AttentionSegLib.ui.long_runs import training_task

        return self._started(training_task(imageFolder, labelFolder, network, outputFolder, onChange, **options))

    def startTrainModelOnNodes(self, pairs, network, outputFolder, onChange=None, **options) -> object:
        """`trainModelOnNodes` while the application stays alive. Returns the run, as `startSegmentVolume` does."""
        from AttentionSegLib.ui.long_runs import pairs_task

        return self._started(pairs_task(pairs, network, outputFolder, onChange, **options))

    def settings(self) -> object:
        """What the panel remembers, in the parameter node of the scene."""
        from AttentionSegLib.ui.settings import Settings

        return Settings(self.getParameterNode())

    def keepPolling(self, poll) -> None:
        """Call a function from the event loop until it returns False."""
        self._timers().keep_polling(poll)

    def whenIdle(self, function) -> None:
        """Call a function from the event loop once nothing was asked for during a second."""
        self._timers().when_idle(function)

    def stop(self) -> None:
        """Look after no run any more."""
        if self._pump is not None:
            self._pump.stop()

    def _timers(self) -> object:
        from AttentionSegLib.ui.pump import Pump

        if self._pump is None:
            self._pump = Pump()
        return self._pump

    def _started(self, run) -> object:
        self.keepPolling(run.poll)
        return run


def _chosen(model: object, memoryLimit: float | None = None, **options: object) -> object:
    from AttentionSegLib.options import RunOptions
    from AttentionSegLib.ui.segmenter import Options

    return Options(model, RunOptions(memory_limit_gb=memoryLimit, **options))


def _listed(nodes: object) -> list:
    return list(nodes) if isinstance(nodes, (list, tuple)) else [nodes]


class AttentionSegTest(ScriptedLoadableModuleTest):
    """Self-test in the application: opens the module and presses its buttons."""

    def runTest(self) -> None:
        from AttentionSegLib.ui.self_test import press_the_buttons

        press_the_buttons()
