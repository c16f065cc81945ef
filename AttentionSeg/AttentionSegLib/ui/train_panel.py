"""Widgets of the section Train, bound to its presenter."""

from __future__ import annotations

from typing import Any

import qt

from ..network_names import NETWORKS
from .form_panel import FormPanel
from .train_presenter import LICENSES, PLANNED, SLICES, VOLUMES, ShownTraining, TrainPresenter
from .translation import tr as _
from .widgets import fit_height, silent

LINE = 30


class TrainPanel(FormPanel[TrainPresenter, ShownTraining]):
    """A form with a table of the scene's pairs to tick.

    Args:
        ui: the widgets of `AttentionSeg.ui` by name.
    """

    def __init__(self, ui: Any) -> None:
        paths = {"train_images": ui.trainImagesEdit, "train_labels": ui.trainLabelsEdit, "train_output": ui.trainOutputEdit}
        super().__init__(ui, "train", paths, {"train_network": ui.trainNetworkSelector})
        self._ui = ui
        self._names: list[tuple[str, str]] = []
        ui.trainNetworkSelector.addItems(list(NETWORKS))
        texts = {
            PLANNED: _("Chosen from the data"),
            VOLUMES: _("Volumes (3D)"),
            "axial": _("Axial slices"),
            "coronal": _("Coronal slices"),
            "sagittal": _("Sagittal slices"),
        }
        ui.trainSlicesSelector.addItems([texts[name] for name in SLICES])
        ui.trainLicenseSelector.addItems([_("Choose ..."), *LICENSES[1:]])
        ui.trainPairTable.verticalHeader().setVisible(False)
        ui.trainPairTable.setTextElideMode(qt.Qt.ElideRight)
        for column in range(2):
            ui.trainPairTable.horizontalHeader().setSectionResizeMode(column, qt.QHeaderView.Stretch)

    def connect(self, presenter: TrainPresenter) -> None:
        super().connect(presenter)
        ui = self._ui
        ui.trainPairTable.connect("itemChanged(QTableWidgetItem*)", lambda item: presenter.tick(item.row(), item.checkState() == qt.Qt.Checked))
        ui.trainResultsCheckBox.connect("toggled(bool)", lambda on: presenter.set("train_results", bool(on)))
        ui.trainTitleEdit.connect("textChanged(QString)", lambda text: presenter.set("train_title", str(text).strip()))
        ui.trainLicenseSelector.connect("currentIndexChanged(int)", lambda index: presenter.set("train_license", LICENSES[max(0, index)]))
        ui.trainSlicesSelector.connect("currentIndexChanged(int)", lambda index: presenter.set("train_slices", SLICES[max(0, index)]))
        ui.trainContextSpinBox.connect("valueChanged(int)", lambda count: presenter.set("train_context", int(count)))
        ui.trainHoursSpinBox.connect("valueChanged(double)", lambda hours: presenter.set("train_hours", float(hours)))
        # The scene may have changed while the section was closed.
        ui.trainCollapsibleButton.connect("contentsCollapsed(bool)", lambda _collapsed: presenter.refresh())

    def show(self, shown: ShownTraining) -> None:
        super().show(shown)
        ui, table = self._ui, self._ui.trainPairTable
        names = [pair[:2] for pair in shown.pairs]
        with silent(table):
            # Only if the names changed: an item must not be deleted while it emits that it was ticked.
            if names != self._names:
                self._names = names
                self._fill(table)
            for row, (_volume, _segmentation, ticked) in enumerate(shown.pairs):
                table.item(row, 0).setCheckState(qt.Qt.Checked if ticked else qt.Qt.Unchecked)
        table.setVisible(bool(names))
        from_folders = not any(ticked for _volume, _segmentation, ticked in shown.pairs)
        for widget in (ui.trainImagesEdit, ui.trainImagesEditLabel, ui.trainLabelsEdit, ui.trainLabelsEditLabel):
            widget.setVisible(from_folders)
        self._show_options(shown)

    def _show_options(self, shown: ShownTraining) -> None:
        ui, values = self._ui, shown.values
        selectors = ui.trainLicenseSelector, ui.trainSlicesSelector, ui.trainContextSpinBox, ui.trainHoursSpinBox
        with silent(ui.trainResultsCheckBox, ui.trainTitleEdit, *selectors):
            ui.trainResultsCheckBox.setChecked(values["train_results"])
            # Not while the user is typing: a trailing space would be removed.
            if ui.trainTitleEdit.text.strip() != values["train_title"]:
                ui.trainTitleEdit.setText(values["train_title"])
            known = values["train_license"] in LICENSES
            ui.trainLicenseSelector.setCurrentIndex(LICENSES.index(values["train_license"]) if known else 0)
            ui.trainHoursSpinBox.setValue(values["train_hours"])
            ui.trainSlicesSelector.setCurrentIndex(SLICES.index(values["train_slices"]) if values["train_slices"] in SLICES else 0)
            ui.trainContextSpinBox.setValue(values["train_context"])
        ui.trainTitleEdit.setPlaceholderText(shown.title)
        ui.trainOutputEdit.setToolTip(_("Folder for the trained model; your own models, {folder}, when left empty.").format(folder=shown.folder))
        for widget in (ui.trainPairTable, ui.trainResultsCheckBox, ui.trainTitleEdit, *selectors):
            widget.setEnabled(not shown.state.running)
        for widget in (ui.trainContextSpinBox, ui.trainContextSpinBoxLabel):
            widget.setVisible(values["train_slices"] not in (PLANNED, VOLUMES))

    def _fill(self, table: Any) -> None:
        table.setRowCount(len(self._names))
        for row, names in enumerate(self._names):
            for column, name in enumerate(names):
                item = qt.QTableWidgetItem(name)
                item.setToolTip(name)
                table.setItem(row, column, item)
        # One more for the header.
        fit_height(table, len(self._names) + 1, LINE)
