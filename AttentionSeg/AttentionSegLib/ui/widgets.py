"""Small helps for binding widgets, in what PythonQt shares with the stand-ins of the tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import qt


@contextmanager
def silent(*widgets: Any) -> Iterator[None]:
    """Widgets that send no signals meanwhile: what the panel shows is not what the user did."""
    before = [widget.blockSignals(True) for widget in widgets]
    try:
        yield
    finally:
        for widget, blocked in zip(widgets, before):
            widget.blockSignals(blocked)


def set_note(label: Any, text: str) -> None:
    """Show a text, or no label where there is none."""
    label.setText(text)
    label.setVisible(bool(text))


def reveal(widget: Any) -> None:
    """Scroll the panel until a widget is in sight, once the widgets have their places."""
    area = widget.parentWidget()
    while area is not None and not hasattr(area, "ensureWidgetVisible"):
        area = area.parentWidget()
    if area is not None:
        qt.QTimer.singleShot(0, lambda: area.ensureWidgetVisible(widget))


def open_page(path: str) -> None:
    """Show a page in the system's browser."""
    qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(path))


def show_progress(bar: Any, fraction: float | None) -> None:
    """A share 0..1, or a bar that moves where None tells that it is not known."""
    bar.setRange(0, 100 if fraction is not None else 0)
    if fraction is not None:
        bar.setValue(int(100 * fraction))


def line_height(widget: Any) -> int:
    """Pixels from one line of a widget's text to the next.

    The metrics are made from the font: `widget.fontMetrics()` raises in PythonQt, which hands back no value of a type without a default constructor.
    """
    return qt.QFontMetrics(widget.font).lineSpacing()


def fit_height(view: Any, rows: int, row_height: int, at_most: int = 6) -> None:
    """Give a list or table the height of its rows, so that it takes no empty space from the sections below."""
    view.setFixedHeight(min(rows, at_most) * row_height + 6)
