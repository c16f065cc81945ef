"""The section Train: widgets bound to its presenter."""

from __future__ import annotations

from typing import Any

import qt

from .form_panel import FormPanel
from .train_presenter import ShownTraining, TrainPresenter
from .widgets import fit_height, silent

LINE = 30


class TrainPanel(FormPanel):
    """The form with a table of the scene's pairs, to tick.

    Args:
        ui: the widgets of `AttentionSeg.ui` by name.
    """

    def __init__(self, ui: Any) -> None:
        paths = {"train_images": ui.trainImagesEdit, "train_labels": ui.trainLabelsEdit, "train_output": ui.trainOutputEdit}
        super().__init__(ui, "train", paths, {"train_network": ui.trainNetworkSelector})
        self._ui = ui
        self._names: list[tuple[str, str]] = []
        ui.trainPairTable.verticalHeader().setVisible(False)
        for column in range(2):
            ui.trainPairTable.horizontalHeader().setSectionResizeMode(column, qt.QHeaderView.Stretch)

    def connect(self, presenter: TrainPresenter) -> None:
        super().connect(presenter)
        self._ui.trainPairTable.connect("itemChanged(QTableWidgetItem*)", lambda item: presenter.tick(item.row(), item.checkState() == qt.Qt.Checked))
        # What came into the scene meanwhile.
        self._ui.trainCollapsibleButton.connect("contentsCollapsed(bool)", lambda _collapsed: presenter.refresh())

    def show(self, shown: ShownTraining) -> None:
        super().show(shown)
        ui, table = self._ui, self._ui.trainPairTable
        names = [pair[:2] for pair in shown.pairs]
        with silent(table):
            # Only if there are others: an item must not go while it tells that it was ticked.
            if names != self._names:
                self._names = names
                self._fill(table)
            for row, (_volume, _segmentation, ticked) in enumerate(shown.pairs):
                table.item(row, 0).setCheckState(qt.Qt.Checked if ticked else qt.Qt.Unchecked)
        table.setVisible(bool(names))
        table.setEnabled(not shown.state.running)
        from_folders = not any(ticked for _volume, _segmentation, ticked in shown.pairs)
        for widget in (ui.trainImagesEdit, ui.trainImagesEditLabel, ui.trainLabelsEdit, ui.trainLabelsEditLabel):
            widget.setVisible(from_folders)

    def _fill(self, table: Any) -> None:
        table.setRowCount(len(self._names))
        for row, names in enumerate(self._names):
            for column, name in enumerate(names):
                item = qt.QTableWidgetItem(name)
                item.setToolTip(name)
                table.setItem(row, column, item)
        # One line for the head.
        fit_height(table, len(self._names) + 1, LINE)
