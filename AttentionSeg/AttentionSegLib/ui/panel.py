"""The sections Input, Output and Advanced: widgets bound to the presenter."""

from __future__ import annotations

from typing import Any

import qt
import slicer

from .model_list import ModelChoice
from .presenter import Presenter, Shown
from .translation import tr as _
from .widgets import set_note, show_progress, silent

SELECTORS = 4
# Pixels, as the size of icons in AttentionSeg.ui.
ICON = 32


class Panel:
    """Shows what the presenter says, and tells it what the user does.

    Args:
        ui: the widgets of `AttentionSeg.ui` by name.
    """

    def __init__(self, ui: Any) -> None:
        self._ui = ui
        self._ids: list[str] = []
        self._devices = [ui.deviceSelector.itemText(index) for index in range(4)]

    def connect(self, presenter: Presenter) -> None:
        """Tell a presenter what the user does."""
        ui = self._ui
        ui.modelSearchEdit.connect("textChanged(QString)", presenter.search)
        ui.modelSelector.connect("currentIndexChanged(int)", lambda index: index < 0 or presenter.choose_model(self._ids[index]))
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
        ids = [model.id for model in shown.models]
        with silent(ui.modelSelector):
            if ids != self._ids:
                self._ids = ids
                ui.modelSelector.clear()
                for index, model in enumerate(shown.models):
                    ui.modelSelector.addItem(model.title)
                    ui.modelSelector.setItemIcon(index, _icon(model))
            ui.modelSelector.setCurrentIndex(ids.index(shown.model.id) if shown.model else -1)
        # The title too: in the list there is room for its beginning only.
        set_note(ui.modelText, f"{shown.model.title}\n{shown.model.text}" if shown.model and shown.model.usable else "")

    def _show_inputs(self, shown: Shown) -> None:
        ui = self._ui
        for channel in range(SELECTORS):
            selector, label = self._selector(channel), getattr(ui, f"inputSelector{channel + 1}Label")
            used = channel < len(shown.inputs)
            selector.setVisible(used)
            label.setVisible(used)
            if used:
                name, node = shown.inputs[channel]
                label.setText(f"{name}:")
                with silent(selector):
                    selector.setCurrentNode(node)
        with silent(ui.regionSelector, ui.segmentationSelector):
            ui.regionSelector.setCurrentNode(shown.region)
            ui.segmentationSelector.setCurrentNode(shown.segmentation)
        ui.placeRegionButton.setEnabled(shown.inputs[0][1] is not None)
        set_note(ui.hintLabel, "\n".join(shown.hints))
        for widget in (ui.inputCollapsibleButton, ui.segmentationSelector, ui.advancedCollapsibleButton):
            widget.setEnabled(not shown.state.running)

    def _show_run(self, shown: Shown) -> None:
        ui, running = self._ui, shown.state.running
        ui.segmentButton.setText(_("Cancel") if running else _("Segment"))
        ui.segmentButton.setEnabled(running or not shown.reason)
        set_note(ui.reasonLabel, "" if running else shown.reason)
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
            # Not while it is written in: the cursor would jump.
            if not ui.attentionEdit.hasFocus():
                ui.attentionEdit.setText(shown.attention)
            ui.mirroringCheckBox.setChecked(shown.mirroring)
            ui.probabilitiesCheckBox.setChecked(shown.keep_probabilities)
        ui.mirroringCheckBox.setEnabled(not shown.mirroring_reason)
        set_note(ui.mirroringReasonLabel, shown.mirroring_reason)

    def _selector(self, channel: int) -> Any:
        return getattr(self._ui, f"inputSelector{channel + 1}")


def _icon(model: ModelChoice) -> Any:
    """The thumbnail of a model, or as much blank space, so that titles stand below each other."""
    if model.thumbnail is not None:
        return qt.QIcon(str(model.thumbnail))
    blank = qt.QPixmap(ICON, ICON)
    blank.fill(qt.QColor(0, 0, 0, 0))
    return qt.QIcon(blank)
