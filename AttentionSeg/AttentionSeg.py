"""AttentionSeg: segmentation by attention networks, with every attention map beside the result."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import tempfile
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

PACKAGES = ("torch", "monai", "safetensors", "jsonschema")
TORCH_REQUIREMENT = ">=2.1"


class AttentionSeg(ScriptedLoadableModule):
    """What Slicer shows of the module before it is opened."""

    def __init__(self, parent: object) -> None:
        super().__init__(parent)
        parent.title = _("AttentionSeg")
        parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        parent.dependencies = []
        parent.contributors = ["AttentionSeg developers"]
        parent.helpText = _(
            "Segments a volume with an attention network and shows every attention map of the network as a volume beside the segmentation. "
            "For research only; not a medical device."
        )
        parent.acknowledgementText = _(
            "Networks: Oktay et al., Attention U-Net, arXiv:1804.03999 (2018); "
            "Sinha and Dolz, Multi-scale self-guided attention, arXiv:1906.02849 (2020)."
        )


class AttentionSegWidget(ScriptedLoadableModuleWidget):
    """The panel: input, model, region, one button."""

    def setup(self) -> None:
        super().setup()
        self.logic = AttentionSegLogic()
        form = qt.QFormLayout()
        self.layout.addLayout(form)
        self.inputSelector = self._nodeSelector("vtkMRMLScalarVolumeNode", _("Volume to segment."), optional=False)
        self.roiSelector = self._nodeSelector(
            "vtkMRMLMarkupsROINode", _("Box around the structure; models that know only a region need it."), optional=True
        )
        self.modelSelector = qt.QComboBox()
        self.modelSelector.toolTip = _("Trained model to segment with.")
        self.modelText = self._text()
        self.segmentButton = qt.QPushButton(_("Segment"))
        self.segmentButton.toolTip = _("Segment the volume and show the attention maps beside it.")
        self.progressBar = qt.QProgressBar()
        self.progressBar.hide()
        self.status = self._text()
        form.addRow(_("Volume:"), self.inputSelector)
        form.addRow(_("Model:"), self.modelSelector)
        form.addRow("", self.modelText)
        form.addRow(_("Region:"), self.roiSelector)
        form.addRow(self.segmentButton)
        form.addRow(self.progressBar)
        form.addRow(self.status)
        self.layout.addStretch(1)

        self.inputSelector.connect("currentNodeChanged(vtkMRMLNode*)", self._update)
        self.roiSelector.connect("currentNodeChanged(vtkMRMLNode*)", self._update)
        self.modelSelector.connect("currentIndexChanged(int)", self._update)
        self.segmentButton.connect("clicked(bool)", self._onSegment)
        self._listModels()

    def enter(self) -> None:
        """Called when the panel is opened: models may have come or gone."""
        self._listModels()

    def _nodeSelector(self, nodeType: str, toolTip: str, optional: bool) -> object:
        selector = slicer.qMRMLNodeComboBox()
        selector.nodeTypes = [nodeType]
        selector.addEnabled = selector.removeEnabled = False
        selector.noneEnabled = optional
        selector.setMRMLScene(slicer.mrmlScene)
        selector.toolTip = toolTip
        return selector

    def _text(self) -> object:
        label = qt.QLabel()
        label.wordWrap = True
        return label

    def _listModels(self) -> None:
        chosen = self.modelSelector.currentText
        wasBlocked = self.modelSelector.blockSignals(True)
        self.modelSelector.clear()
        # Cards need jsonschema, which may still have to be installed; then the model is chosen by the id of its folder.
        self.modelSelector.addItems(self.logic.modelIds())
        self.modelSelector.setCurrentIndex(max(0, self.modelSelector.findText(chosen)))
        self.modelSelector.blockSignals(wasBlocked)
        self._update()

    def _update(self, *_arguments: object) -> None:
        reason = ""
        if self.inputSelector.currentNode() is None:
            reason = _("Load a volume and choose it to begin.")
        elif not self.modelSelector.currentText:
            reason = _("No model is installed.")
        self.segmentButton.enabled = not reason
        self.status.text = reason
        self.modelText.text = self.logic.describeModel(self.modelSelector.currentText)

    def _onSegment(self, _checked: bool = False) -> None:
        from AttentionSegLib.errors import InputError

        missing = self.logic.missingPackages()
        if missing:
            question = _("AttentionSeg needs these Python packages, which will be downloaded: {names}. Install them now?").format(
                names=", ".join(missing)
            )
            if not slicer.util.confirmOkCancelDisplay(question, windowTitle="AttentionSeg"):
                return
            self.logic.installMissingPackages()
        self.segmentButton.enabled = False
        self.progressBar.show()
        try:
            with slicer.util.tryWithErrorDisplay(_("Segmentation failed."), waitCursor=True):
                try:
                    result = self.logic.segmentVolume(
                        self.inputSelector.currentNode(),
                        self.modelSelector.currentText,
                        region=self.roiSelector.currentNode(),
                        onProgress=self._onProgress,
                    )
                except InputError as error:
                    self.status.text = str(error)
                    return
                seconds = sum(result.prediction.seconds.values())
                self.status.text = " ".join(
                    [_("Done in {seconds:.1f} s on {device}.").format(seconds=seconds, device=result.prediction.device), *result.prediction.notes]
                )
        finally:
            self.progressBar.hide()
            self.segmentButton.enabled = True

    def _onProgress(self, fraction: float, stage: str, _secondsLeft: float | None) -> None:
        self.progressBar.setValue(int(100 * fraction))
        self.progressBar.setFormat(f"{stage} %p%")
        slicer.app.processEvents(qt.QEventLoop.ExcludeUserInputEvents)


class AttentionSegLogic(ScriptedLoadableModuleLogic):
    """Segmentation from Slicer's Python console.

    logic = slicer.util.getModuleLogic("AttentionSeg")
    result = logic.segmentVolume(getNode("T1"), "hippocampus-mr-attention-unet", region=getNode("R"))
    """

    def __init__(self) -> None:
        super().__init__()
        self._predictor = None
        self._key = None

    def modelIds(self) -> list[str]:
        """Folder names of the models that are installed."""
        from AttentionSegLib.models.catalogue import model_folders

        return sorted({card.parent.name for folder in model_folders() for card in folder.glob("[!.]*/model.json")})

    def describeModel(self, model: str) -> str:
        """What a model is for and under which license; empty while that cannot be read."""
        if not model or importlib.util.find_spec("jsonschema") is None:
            return ""
        from AttentionSegLib.errors import InputError
        from AttentionSegLib.models import Card, find_model

        try:
            card = Card.load(find_model(model) / "model.json")
        except InputError as error:
            return str(error)
        return f"{card.description} {card.intended_use} {_('Weights')}: {card.weights_license}."

    def missingPackages(self) -> list[str]:
        """The Python packages that still have to be installed."""
        return [name for name in PACKAGES if importlib.util.find_spec(name) is None]

    def installMissingPackages(self) -> None:
        """Install torch by the PyTorch extension and the rest by pip, without changing a package that is there. Raises on failure."""
        if importlib.util.find_spec("torch") is None:
            import PyTorchUtils

            PyTorchUtils.PyTorchUtilsLogic().installTorch(askConfirmation=True, torchVersionRequirement=TORCH_REQUIREMENT)
        present = sorted({f"{d.metadata['Name']}=={d.version}" for d in importlib.metadata.distributions() if d.metadata["Name"]})
        with tempfile.TemporaryDirectory() as folder:
            constraints = Path(folder) / "constraints.txt"
            constraints.write_text("\n".join(present), encoding="utf-8")
            slicer.util.pip_install(["-r", self.resourcePath("requirements.txt"), "-c", str(constraints)])

    def segmentVolume(
        self, volumeNode, model, region=None, outputSegmentation=None, attention=True, device="auto", onProgress=None, cancel=None
    ) -> object:
        """Segment a volume; the result has `prediction` and `nodes` (see `AttentionSegLib.mrml.segment`).

        Args:
            volumeNode: a scalar volume, or a list of them, one per input of the model.
            model: id of a model, or path of a model folder.
            region: vtkMRMLMarkupsROINode around the structure.
            outputSegmentation: segmentation to add the segments to; a new one when left out.
            attention: all maps, none, or a list of names.
            device: auto, cpu, cuda, cuda:1, mps.
            onProgress: called with (fraction 0..1, stage, seconds left or None).
            cancel: asked between patches; returns True to stop.
        """
        from AttentionSegLib.inference import Predictor
        from AttentionSegLib.mrml.segment import segment_volume

        if self._key != (str(model), device):
            self._predictor, self._key = Predictor(model, device), (str(model), device)
        volumes = volumeNode if isinstance(volumeNode, (list, tuple)) else [volumeNode]
        return segment_volume(self._predictor, volumes, region, outputSegmentation, attention, onProgress, cancel)

    def resourcePath(self, name: str) -> str:
        """Path of a file of the module's Resources folder."""
        return str(Path(__file__).parent / "Resources" / name)


class AttentionSegTest(ScriptedLoadableModuleTest):
    """Self-test in the application: the module's models are found and their cards are valid."""

    def runTest(self) -> None:
        slicer.mrmlScene.Clear()
        logic = AttentionSegLogic()
        self.assertIn("hippocampus-mr-attention-unet", logic.modelIds())
        if not logic.missingPackages():
            self.assertIn("Not a medical device", logic.describeModel("hippocampus-mr-attention-unet"))
