"""Widgets of the sections Batch and Environment, and the base of Train, bound to their presenters."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import qt
import slicer

from .environment_presenter import EnvironmentPresenter, ShownEnvironment
from .form_presenter import FormPresenter, ShownForm
from .translation import tr as _
from .widgets import fit_height, open_page, reveal, set_note, show_progress, silent

LINE = 18


AnyPresenter = TypeVar("AnyPresenter", bound=FormPresenter)
Form = TypeVar("Form", bound=ShownForm)


class FormPanel(Generic[AnyPresenter, Form]):
    """A section with folders and a button.

    Args:
        ui: the widgets of `AttentionSeg.ui` by name.
        section: prefix of the names of the section's widgets: `batch`, `train`.
        paths: widget of each folder, by the name of the setting.
        choices: combo box of each other setting, by the name of the setting.
    """

    def __init__(self, ui: Any, section: str, paths: dict[str, Any], choices: dict[str, Any]) -> None:
        self._button, self._bar = getattr(ui, f"{section}Button"), getattr(ui, f"{section}ProgressBar")
        self._reason, self._message = getattr(ui, f"{section}ReasonLabel"), getattr(ui, f"{section}MessageLabel")
        self._report_button, self._report, self._running = getattr(ui, f"{section}ReportButton"), "", False
        self._paths, self._choices = paths, choices
        self._forwarded: dict[str, str] = {}
        self._text = section and {"batch": _("Segment folder"), "train": _("Train")}[section]

    def connect(self, presenter: AnyPresenter) -> None:
        """Forward user actions to a presenter."""
        for name, widget in self._paths.items():
            widget.connect("currentPathChanged(QString)", lambda path, name=name: self._forward(presenter, name, path))
            # A field that is emptied does not emit currentPathChanged.
            widget.connect("validInputChanged(bool)", lambda _valid, name=name, widget=widget: self._forward(presenter, name, widget.currentPath))
        for name, widget in self._choices.items():
            widget.connect("currentIndexChanged(int)", lambda index, name=name, widget=widget: presenter.set(name, str(widget.itemText(index))))
        self._button.connect("clicked(bool)", lambda _checked: presenter.press())
        self._report_button.connect("clicked(bool)", lambda _checked: open_page(self._report))

    def show(self, shown: Form) -> None:
        running = shown.state.running
        for name, widget in self._paths.items():
            # Not while the user is typing: the cursor would jump.
            if self._forwarded.get(name) != shown.values[name]:
                self._forwarded[name] = shown.values[name]
                with silent(widget):
                    widget.setCurrentPath(shown.values[name])
            widget.setEnabled(not running)
        for name, widget in self._choices.items():
            with silent(widget):
                widget.setCurrentIndex(max(0, widget.findText(shown.values[name])))
            widget.setEnabled(not running)
        self._button.setText(_("Cancel") if running else self._text)
        self._button.setEnabled(running or not shown.reason)
        set_note(self._reason, "" if running else shown.reason)
        self._bar.setVisible(running)
        self._report = shown.report
        self._report_button.setVisible(bool(shown.report) and not running)
        if not running:
            set_note(self._message, shown.message)
        if running != self._running:
            self._running = running
            # The lowest widget that shows that the run began or ended.
            reveal(self._bar if running else self._report_button if shown.report else self._message)

    def _forward(self, presenter: FormPresenter, name: str, path: str) -> None:
        self._forwarded[name] = str(path)
        presenter.set(name, str(path))

    def show_progress(self, fraction: float | None, text: str) -> None:
        show_progress(self._bar, fraction)
        set_note(self._message, text)

    def ask(self, question: str) -> bool:
        return slicer.util.confirmOkCancelDisplay(question, windowTitle="AttentionSeg")


class EnvironmentPanel:
    """The section Environment.

    Args:
        ui: the widgets of `AttentionSeg.ui` by name.
    """

    def __init__(self, ui: Any) -> None:
        self._ui = ui
        self._row, self._last_message, self._copying = -1, "", False

    def connect(self, presenter: EnvironmentPresenter) -> None:
        """Forward user actions to a presenter."""
        ui = self._ui
        ui.checkButton.connect("clicked(bool)", lambda _checked: presenter.check())
        ui.copyReportButton.connect("clicked(bool)", lambda _checked: qt.QApplication.clipboard().setText(presenter.report()))
        ui.modelList.connect("currentRowChanged(int)", self._choose)
        ui.importModelButton.connect("clicked(bool)", lambda _checked: presenter.import_model())
        ui.exportModelButton.connect("clicked(bool)", lambda _checked: presenter.export_model(self._row))
        ui.deleteModelButton.connect("clicked(bool)", lambda _checked: presenter.delete(self._row))

    def show(self, shown: ShownEnvironment) -> None:
        ui = self._ui
        ui.checkButton.setEnabled(not shown.checking)
        ui.checkButton.setText(_("Checking ...") if shown.checking else _("Check"))
        ui.environmentText.setPlainText(shown.report)
        ui.environmentText.setVisible(bool(shown.report))
        ui.copyReportButton.setVisible(bool(shown.report))
        with silent(ui.modelList):
            ui.modelList.clear()
            ui.modelList.addItems([f"{model.title}  ({model.megabytes:.1f} MB)" for model in shown.models])
            for row, model in enumerate(shown.models):
                ui.modelList.item(row).setToolTip(str(model.folder))
            ui.modelList.setVisible(bool(shown.models))
            fit_height(ui.modelList, len(shown.models), LINE)
        set_note(ui.modelReasonLabel, shown.reason)
        set_note(ui.modelMessageLabel, shown.message)
        if shown.message and shown.message != self._last_message:
            reveal(ui.modelMessageLabel)
        self._last_message, self._copying = shown.message, shown.copying
        ui.importModelButton.setEnabled(not shown.copying)
        self._choose(0 if shown.models else -1)
        if shown.models:
            with silent(ui.modelList):
                ui.modelList.setCurrentRow(0)

    def ask(self, question: str) -> bool:
        return slicer.util.confirmOkCancelDisplay(question, windowTitle="AttentionSeg")

    def choose_model(self) -> str:
        return qt.QFileDialog.getOpenFileName(self._window(), _("Import a model"), "", _("Models (*.zip model.json)"))

    def choose_archive(self, name: str) -> str:
        return qt.QFileDialog.getSaveFileName(self._window(), _("Export a model"), name, _("Archives (*.zip)"))

    def _window(self) -> Any:
        return self._ui.importModelButton.window()

    def _choose(self, row: int) -> None:
        self._row = row
        for button in (self._ui.exportModelButton, self._ui.deleteModelButton):
            button.setEnabled(row >= 0 and not self._copying)
