"""Helpers for Qt widgets, limited to what PythonQt and the tests' stand-ins have in common."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import qt


@contextmanager
def silent(*widgets: Any) -> Iterator[None]:
    """Block the signals of widgets in this block, so that updates by the panel do not count as user actions."""
    before = [widget.blockSignals(True) for widget in widgets]
    try:
        yield
    finally:
        for widget, blocked in zip(widgets, before):
            widget.blockSignals(blocked)


def set_note(label: Any, text: str) -> None:
    """Show a text in a label; hide the label if it is empty."""
    label.setText(text)
    label.setVisible(bool(text))


def reveal(widget: Any) -> None:
    """Scroll the panel to a widget, after the layout is done."""
    area = widget.parentWidget()
    while area is not None and not hasattr(area, "ensureWidgetVisible"):
        area = area.parentWidget()
    if area is not None:
        qt.QTimer.singleShot(0, lambda: area.ensureWidgetVisible(widget))


def open_page(path: str) -> None:
    """Show a page in the system's browser."""
    qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(path))


def show_progress(bar: Any, fraction: float | None) -> None:
    """Show a fraction 0..1 in a progress bar, or a busy bar for None."""
    # A progress bar draws itself at once, and the whole window with it, unless updates are disabled.
    bar.setUpdatesEnabled(False)
    bar.setRange(0, 100 if fraction is not None else 0)
    if fraction is not None:
        bar.setValue(int(100 * fraction))
    bar.setUpdatesEnabled(True)


def line_height(widget: Any) -> int:
    """Pixels from one line of a widget's text to the next.

    Computed from the font, because `widget.fontMetrics()` raises in PythonQt, which cannot return types without a default constructor.
    """
    return qt.QFontMetrics(widget.font).lineSpacing()


def fit_height(view: Any, rows: int, row_height: int, at_most: int = 6) -> None:
    """Set the height of a list or table to that of its rows, so that it wastes no space."""
    view.setFixedHeight(min(rows, at_most) * row_height + 6)
