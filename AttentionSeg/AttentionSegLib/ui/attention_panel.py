"""The section Attention: widgets bound to its presenter."""

from __future__ import annotations

from typing import Any

import qt

from .attention_presenter import AttentionPresenter, Row, ShownAttention
from .widgets import fit_height, line_height, set_note, silent

VISIBLE, INVISIBLE = ":/Icons/Small/SlicerVisible.png", ":/Icons/Small/SlicerInvisible.png"
# Pixels.
SWATCH, LINE_OF_LIST = 20, 16


class AttentionPanel:
    """Shows what the presenter says, and tells it what the user does.

    Args:
        ui: the widgets of `AttentionSeg.ui` by name.
    """

    def __init__(self, ui: Any) -> None:
        self._ui = ui
        self._shown: ShownAttention | None = None
        ui.resultTable.verticalHeader().setVisible(False)
        header, fit = ui.resultTable.horizontalHeader(), qt.QHeaderView.ResizeToContents
        header.setMinimumSectionSize(SWATCH)
        for column, mode in enumerate((qt.QHeaderView.Fixed, qt.QHeaderView.Stretch, fit, fit)):
            header.setSectionResizeMode(column, mode)
        ui.resultTable.setColumnWidth(0, SWATCH)

    def connect(self, presenter: AttentionPresenter) -> None:
        """Tell a presenter what the user does."""
        ui = self._ui

        def toggle(item: Any) -> None:
            node = self._shown.maps[ui.mapList.row(item)][1]
            presenter.show_map(None if node is self._shown.eye else node)

        ui.mapList.connect("itemClicked(QListWidgetItem*)", toggle)
        ui.opacitySlider.connect("valueChanged(double)", presenter.set_opacity)
        ui.thresholdSlider.connect("valueChanged(double)", presenter.set_threshold)
        ui.colorSelector.connect("currentNodeChanged(vtkMRMLNode*)", presenter.set_colors)
        ui.show3dCheckBox.connect("toggled(bool)", presenter.set_in_3d)
        ui.probeCheckBox.connect("toggled(bool)", presenter.set_probe)
        ui.copyTableButton.connect("clicked(bool)", lambda _checked: qt.QApplication.clipboard().setText(presenter.table_text()))

    def show(self, shown: ShownAttention) -> None:
        ui, before, self._shown = self._ui, self._shown, shown
        set_note(ui.attentionReasonLabel, shown.reason)
        set_note(ui.probeReasonLabel, shown.probe_reason)
        self._show_maps(shown)
        with silent(ui.opacitySlider, ui.thresholdSlider, ui.colorSelector, ui.show3dCheckBox, ui.probeCheckBox):
            ui.opacitySlider.setValue(shown.opacity)
            ui.thresholdSlider.setValue(shown.threshold)
            ui.colorSelector.setCurrentNode(shown.colors)
            ui.show3dCheckBox.setChecked(shown.in_3d)
            ui.probeCheckBox.setChecked(shown.probe)
        for widget in (ui.opacitySlider, ui.thresholdSlider, ui.colorSelector):
            widget.setEnabled(not shown.reason)
        ui.show3dCheckBox.setEnabled(shown.eye is not None)
        ui.probeCheckBox.setEnabled(not shown.probe_reason)
        if before is None or before.rows != shown.rows:
            self._show_rows(shown.rows)

    def _show_maps(self, shown: ShownAttention) -> None:
        ui = self._ui
        ui.mapList.setVisible(bool(shown.maps))
        with silent(ui.mapList):
            ui.mapList.clear()
            for name, node in shown.maps:
                item = qt.QListWidgetItem(qt.QIcon(VISIBLE if node is shown.eye else INVISIBLE), name)
                item.setToolTip(node.GetName())
                ui.mapList.addItem(item)
                if node is shown.eye:
                    ui.mapList.setCurrentItem(item)
        fit_height(ui.mapList, len(shown.maps), max(LINE_OF_LIST, ui.mapList.sizeHintForRow(0)))

    def _show_rows(self, rows: tuple[Row, ...]) -> None:
        table = self._ui.resultTable
        for widget in (table, self._ui.copyTableButton):
            widget.setVisible(bool(rows))
        table.setRowCount(len(rows))
        for line, row in enumerate(rows):
            color = qt.QTableWidgetItem("")
            color.setBackground(qt.QBrush(qt.QColor(*row.color)))
            table.setItem(line, 0, color)
            unsure = "" if row.mean_uncertainty is None else f"{row.mean_uncertainty:.3f}"
            for column, text in enumerate((row.name, f"{row.milliliters:.3f}", unsure), start=1):
                table.setItem(line, column, qt.QTableWidgetItem(text))
            table.item(line, 1).setToolTip(row.name)
        # Names may need two lines, whatever the size of the text.
        height = 2 * line_height(table) + 2
        table.verticalHeader().setDefaultSectionSize(height)
        # One more for the head.
        fit_height(table, len(rows) + 1, height)
