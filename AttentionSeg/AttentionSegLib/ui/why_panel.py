"""Widgets of the explanation of a segment, bound to its presenter."""

from __future__ import annotations

from typing import Any

import qt
import slicer

from .attention_panel import TOGGLING_KEYS, WHY_COLUMN
from .translation import tr as _
from .why_presenter import ShownWhy, WhyPresenter
from .widgets import set_note, show_progress


class WhyPanel:
    """Shows the presenter's state, and forwards user actions to it.

    Args:
        ui: the widgets of `AttentionSeg.ui` by name.
    """

    def __init__(self, ui: Any) -> None:
        self._ui = ui
        self._shortcuts: list[Any] = []

    def connect(self, presenter: WhyPresenter) -> None:
        """Forward user actions to a presenter."""
        table = self._ui.resultTable

        def press(row: int, column: int = WHY_COLUMN) -> None:
            if column == WHY_COLUMN and row >= 0 and table.item(row, WHY_COLUMN).text():
                presenter.press(table.item(row, 1).text())

        table.connect("cellClicked(int,int)", press)
        for key in TOGGLING_KEYS:
            shortcut = qt.QShortcut(qt.QKeySequence(key), table)
            shortcut.setContext(qt.Qt.WidgetShortcut)
            shortcut.connect("activated()", lambda: press(table.currentRow()))
            self._shortcuts.append(shortcut)

    def show(self, shown: ShownWhy) -> None:
        ui, running = self._ui, shown.state.running
        for row in range(ui.resultTable.rowCount):
            is_explained = ui.resultTable.item(row, 1).text() == shown.label
            ui.resultTable.item(row, WHY_COLUMN).setText(_("Cancel") if is_explained else "" if running else _("Why?"))
        ui.whyProgressBar.setVisible(running)
        if not running:
            set_note(ui.whyMessageLabel, shown.message)

    def show_progress(self, fraction: float | None, text: str) -> None:
        show_progress(self._ui.whyProgressBar, fraction)
        set_note(self._ui.whyMessageLabel, text)

    def ask(self, question: str) -> bool:
        return slicer.util.confirmOkCancelDisplay(question, windowTitle="AttentionSeg")
