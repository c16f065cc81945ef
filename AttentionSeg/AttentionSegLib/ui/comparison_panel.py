"""Widgets of the comparison below the table of results, bound to its presenter."""

from __future__ import annotations

from typing import Any

import qt
import slicer

from .comparison_presenter import ComparisonPresenter, ShownComparison
from .translation import tr as _
from .widgets import fit_height, line_height, set_note, show_progress, silent


class ComparisonPanel:
    """Shows the presenter's state, and forwards user actions to it.

    Args:
        ui: the widgets of `AttentionSeg.ui` by name.
    """

    def __init__(self, ui: Any) -> None:
        self._ui = ui
        ui.comparisonTable.verticalHeader().setVisible(False)
        header = ui.comparisonTable.horizontalHeader()
        for column in range(ui.comparisonTable.columnCount):
            header.setSectionResizeMode(column, qt.QHeaderView.Stretch if column == 0 else qt.QHeaderView.ResizeToContents)

    def connect(self, presenter: ComparisonPresenter) -> None:
        """Forward user actions to a presenter."""
        ui = self._ui
        ui.referenceSelector.connect("currentNodeChanged(vtkMRMLNode*)", presenter.choose_reference)
        ui.compareButton.connect("clicked(bool)", lambda _checked: presenter.press())

    def show(self, shown: ShownComparison) -> None:
        ui, running = self._ui, shown.state.running
        ui.comparisonWidget.setVisible(shown.there_is_a_result)
        with silent(ui.referenceSelector):
            ui.referenceSelector.setCurrentNode(shown.reference)
        ui.referenceSelector.setEnabled(not running)
        ui.compareButton.setText(_("Cancel") if running else _("Compare"))
        ui.compareButton.setEnabled(running or not shown.reason)
        ui.comparisonProgressBar.setVisible(running)
        if not running:
            # Without a reference there is no note: the empty selector is clear enough.
            set_note(ui.comparisonMessageLabel, shown.reason if shown.reference is not None and shown.reason else shown.message)
        self._show_rows(shown)

    def show_progress(self, fraction: float | None, text: str) -> None:
        show_progress(self._ui.comparisonProgressBar, fraction)
        set_note(self._ui.comparisonMessageLabel, text)

    def ask(self, question: str) -> bool:
        return slicer.util.confirmOkCancelDisplay(question, windowTitle="AttentionSeg")

    def _show_rows(self, shown: ShownComparison) -> None:
        table = self._ui.comparisonTable
        table.setVisible(bool(shown.rows))
        table.setHorizontalHeaderLabels(list(shown.head))
        table.setRowCount(len(shown.rows))
        for line, cells in enumerate(shown.rows):
            for column, text in enumerate(cells):
                table.setItem(line, column, qt.QTableWidgetItem(text))
            table.item(line, 0).setToolTip(cells[0])
        # Names may need two lines.
        height = 2 * line_height(table) + 2
        table.verticalHeader().setDefaultSectionSize(height)
        fit_height(table, len(shown.rows) + 1, height)
