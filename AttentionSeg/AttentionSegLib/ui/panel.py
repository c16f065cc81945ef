"""Widgets of the sections Input, Output and Advanced, bound to their presenter."""

from __future__ import annotations

import textwrap
from typing import Any

import qt
import slicer

from .choices import Shown
from .model_list import ModelChoice
from .presenter import Presenter
from .translation import tr as _
from .widgets import set_note, show_progress, silent

SELECTORS = 4
# Pixels, as the size of icons in AttentionSeg.ui.
ICON = 32
# In characters, for the narrowest panel.
TWO_LINES = 84
# The list has no search field for up to this many models.
FEW_MODELS = 8


class Panel:
    """Shows the presenter's state, and forwards user actions to it.

    Args:
        ui: the widgets of `AttentionSeg.ui` by name.
    """

    def __init__(self, ui: Any) -> None:
        self._ui = ui
        # Id of each model in the list, and why it does not suit the volume.
        self._models: list[tuple[str, str]] = []
        self._devices = [ui.deviceSelector.itemText(index) for index in range(4)]

    def connect(self, presenter: Presenter) -> None:
        """Forward user actions to a presenter."""
        ui = self._ui

        def choose_model(index: int) -> None:
            if index >= 0:
                presenter.choose_model(self._ids[index])

        ui.modelSearchEdit.connect("textChanged(QString)", presenter.search)
        ui.modelSelector.connect("currentIndexChanged(int)", choose_model)
        ui.modelMoreButton.connect("toggled(bool)", lambda _checked: presenter.refresh())
        for channel in range(SELECTORS):
            self._selector(channel).connect("currentNodeChanged(vtkMRMLNode*)", lambda node, channel=channel: presenter.choose_input(channel, node))
        ui.regionSelector.connect("currentNodeChanged(vtkMRMLNode*)", presenter.choose_region)
        ui.placeRegionButton.connect("clicked(bool)", lambda _checked: presenter.place_region())
        ui.segmentationSelector.connect("currentNodeChanged(vtkMRMLNode*)", presenter.choose_segmentation)
        ui.segmentButton.connect("clicked(bool)", lambda _checked: presenter.press())
        ui.detailsButton.connect("toggled(bool)", ui.detailsText.setVisible)
        ui.deviceSelector.connect("currentIndexChanged(int)", lambda index: presenter.set_device(self._devices[index]))
        ui.memoryLimitSpinBox.connect("valueChanged(double)", presenter.set_memory_limit)
        ui.overlapSlider.connect("valueChanged(double)", presenter.set_overlap)
        ui.attentionEdit.connect("textChanged(QString)", presenter.set_attention)
        ui.allFramesCheckBox.connect("toggled(bool)", presenter.set_all_frames)
        ui.rescaleCheckBox.connect("toggled(bool)", presenter.set_rescale)
        ui.mirroringCheckBox.connect("toggled(bool)", presenter.set_mirroring)
        ui.probabilitiesCheckBox.connect("toggled(bool)", presenter.set_keep_probabilities)

    def show(self, shown: Shown) -> None:
        self._show_models(shown)
        self._show_inputs(shown)
        self._show_run(shown)
        self._show_advanced(shown)

    def show_progress(self, fraction: float | None, text: str) -> None:
        show_progress(self._ui.progressBar, fraction)
        set_note(self._ui.messageLabel, text)

    def ask(self, question: str) -> bool:
        return slicer.util.confirmOkCancelDisplay(question, windowTitle="AttentionSeg")

    def _show_models(self, shown: Shown) -> None:
        ui = self._ui
        models = [(model.id, shown.misfits.get(model.id, "")) for model in shown.models]
        with silent(ui.modelSelector):
            if models != self._models:
                self._models = models
                ui.modelSelector.clear()
                for index, model in enumerate(shown.models):
                    ui.modelSelector.addItem(_title(model, models[index][1]))
                    ui.modelSelector.setItemIcon(index, _icon(model))
            ui.modelSelector.setCurrentIndex(self._ids.index(shown.model.id) if shown.model else -1)
        ui.modelSearchEdit.setVisible(len(models) > FEW_MODELS or bool(ui.modelSearchEdit.text))
        usable = shown.model if shown.model and shown.model.usable else None
        set_note(ui.modelText, _shortened(usable.text) if usable else "")
        set_note(ui.modelMoreText, usable.more if usable and ui.modelMoreButton.checked else "")
        ui.modelMoreButton.setVisible(usable is not None)

    def _show_inputs(self, shown: Shown) -> None:
        ui = self._ui
        for channel in range(SELECTORS):
            selector, label = self._selector(channel), getattr(ui, f"inputSelector{channel + 1}Label")
            used = channel < len(shown.inputs)
            selector.setVisible(used)
            label.setVisible(used)
            selector.setEnabled(not shown.state.running)
            if used:
                name, node = shown.inputs[channel]
                label.setText(f"{name}:")
                with silent(selector):
                    if tuple(selector.sortFilterProxyModel().hiddenNodeIDs) != shown.hidden:
                        selector.sortFilterProxyModel().hiddenNodeIDs = shown.hidden
                    selector.setCurrentNode(node)
        with silent(ui.regionSelector, ui.segmentationSelector):
            ui.regionSelector.setCurrentNode(shown.region)
            ui.segmentationSelector.setCurrentNode(shown.segmentation)
        ui.placeRegionButton.setEnabled(shown.inputs[0][1] is not None and not shown.state.running)
        with silent(ui.allFramesCheckBox):
            ui.allFramesCheckBox.setVisible(shown.frames > 0)
            ui.allFramesCheckBox.setText(_("All {count} frames of the sequence").format(count=shown.frames))
            ui.allFramesCheckBox.setChecked(shown.all_frames)
        set_note(ui.hintLabel, "\n".join(shown.hints))
        with silent(ui.rescaleCheckBox):
            ui.rescaleCheckBox.setVisible(shown.rescale is not None)
            ui.rescaleCheckBox.setChecked(bool(shown.rescale))
        ui.rescaleCheckBox.setEnabled(not shown.state.running)
        for widget in (ui.modelSearchEdit, ui.modelSelector, ui.regionSelector, ui.segmentationSelector, ui.advancedCollapsibleButton):
            widget.setEnabled(not shown.state.running)

    def _show_run(self, shown: Shown) -> None:
        ui, running = self._ui, shown.state.running
        ui.segmentButton.setText(_("Cancel") if running else _("Segment"))
        ui.segmentButton.setEnabled(running or not shown.reason)
        set_note(ui.reasonLabel, "" if running else shown.reason)
        ui.researchLabel.setText(" ".join([_("For research only; not a medical device."), shown.memory]))
        ui.progressBar.setVisible(running)
        if not running:
            set_note(ui.messageLabel, shown.message)
        ui.detailsButton.setVisible(bool(shown.details))
        if not shown.details:
            ui.detailsButton.setChecked(False)
        ui.detailsText.setPlainText(shown.details)

    def _show_advanced(self, shown: Shown) -> None:
        ui = self._ui
        set_by_user = ui.deviceSelector, ui.memoryLimitSpinBox, ui.overlapSlider, ui.attentionEdit, ui.mirroringCheckBox, ui.probabilitiesCheckBox
        with silent(*set_by_user):
            ui.deviceSelector.setCurrentIndex(self._devices.index(shown.device) if shown.device in self._devices else 0)
            ui.memoryLimitSpinBox.setValue(shown.memory_limit)
            ui.overlapSlider.setValue(shown.overlap)
            # Not while the user is typing: the cursor would jump.
            if not ui.attentionEdit.hasFocus():
                ui.attentionEdit.setText(shown.attention)
            ui.mirroringCheckBox.setChecked(shown.mirroring)
            ui.probabilitiesCheckBox.setChecked(shown.keep_probabilities)
        ui.mirroringCheckBox.setEnabled(not shown.mirroring_reason)
        set_note(ui.mirroringReasonLabel, shown.mirroring_reason)

    @property
    def _ids(self) -> list[str]:
        return [model_id for model_id, _misfit in self._models]

    def _selector(self, channel: int) -> Any:
        return getattr(self._ui, f"inputSelector{channel + 1}")


def _title(model: ModelChoice, misfit: str) -> str:
    if not model.usable:
        return _("{title} (cannot be used)").format(title=model.title)
    return f"{model.title} ({misfit})" if misfit else model.title


def _shortened(text: str) -> str:
    """A text shortened to two lines of a narrow panel."""
    return textwrap.shorten(text, TWO_LINES, placeholder=" ...")


def _icon(model: ModelChoice) -> Any:
    """The thumbnail of a model, or a blank icon of the same size, so that titles are aligned."""
    if model.thumbnail is not None:
        return qt.QIcon(str(model.thumbnail))
    blank = qt.QPixmap(ICON, ICON)
    blank.fill(qt.QColor(0, 0, 0, 0))
    return qt.QIcon(blank)
