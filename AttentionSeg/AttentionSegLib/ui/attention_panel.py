"""Widgets of the section Attention, bound to its presenter."""

from __future__ import annotations

import textwrap
from itertools import groupby
from typing import Any

import qt

from .attention_presenter import AttentionPresenter
from .shown_attention import SHOWN_STATISTICS, ListedMap, Row, ShownAttention
from .translation import tr as _
from .widgets import fit_height, line_height, set_note, silent

TOGGLING_KEYS = ("Space", "Return", "Enter")
VISIBLE, INVISIBLE = ":/Icons/Small/SlicerVisible.png", ":/Icons/Small/SlicerInvisible.png"
# Pixels.
SWATCH, LINE_OF_LIST = 20, 16
# Of the table: after the color, the name and the numbers.
WHY_COLUMN = 2 + len(SHOWN_STATISTICS)
# Characters of a line of a tool tip.
TIP = 70
# Largest height of the list of maps, before it scrolls.
LINES = 9


class AttentionPanel:
    """Shows the presenter's state, and forwards user actions to it.

    Args:
        ui: the widgets of `AttentionSeg.ui` by name.
    """

    def __init__(self, ui: Any) -> None:
        self._ui = ui
        self._shown: ShownAttention | None = None
        # The map of each line of the list; None for a heading.
        self._lines: list[Any] = []
        self._shortcuts: list[Any] = []
        ui.resultTable.verticalHeader().setVisible(False)
        ui.resultTable.setColumnCount(WHY_COLUMN + 1)
        ui.resultTable.setHorizontalHeaderLabels(["", _("Segment"), *(_(statistic.heading) for statistic in SHOWN_STATISTICS), ""])
        why = _("Why?: show which places of the scan raised the segment; while the probe is on, which raised its label at the marked voxel.")
        ui.resultTable.setToolTip("\n".join([*(f"{_(statistic.heading)}: {_(statistic.meaning)}" for statistic in SHOWN_STATISTICS), why]))
        header, fit = ui.resultTable.horizontalHeader(), qt.QHeaderView.ResizeToContents
        header.setMinimumSectionSize(SWATCH)
        for column, mode in enumerate((qt.QHeaderView.Fixed, qt.QHeaderView.Stretch, *(fit for _statistic in SHOWN_STATISTICS), fit)):
            header.setSectionResizeMode(column, mode)
        ui.resultTable.setColumnWidth(0, SWATCH)
        self._icons = {shown: _icon(path, ui.mapList) for shown, path in ((True, VISIBLE), (False, INVISIBLE))}

    def connect(self, presenter: AttentionPresenter) -> None:
        """Forward user actions to a presenter."""
        ui = self._ui

        def toggle(item: Any) -> None:
            node = self._lines[ui.mapList.row(item)]
            if node is not None and self._shown is not None:
                presenter.show_map(None if node is self._shown.eye else node)

        def toggle_current() -> None:
            if ui.mapList.currentItem() is not None:
                toggle(ui.mapList.currentItem())

        ui.mapList.connect("itemClicked(QListWidgetItem*)", toggle)
        for key in TOGGLING_KEYS:
            shortcut = qt.QShortcut(qt.QKeySequence(key), ui.mapList)
            shortcut.setContext(qt.Qt.WidgetShortcut)
            shortcut.connect("activated()", toggle_current)
            self._shortcuts.append(shortcut)
        ui.opacitySlider.connect("valueChanged(double)", presenter.set_opacity)
        ui.thresholdSlider.connect("valueChanged(double)", presenter.set_threshold)
        ui.colorSelector.connect("currentNodeChanged(vtkMRMLNode*)", presenter.set_colors)
        ui.show3dCheckBox.connect("toggled(bool)", presenter.set_in_3d)
        ui.showSegments3dButton.connect("toggled(bool)", presenter.set_surfaces)
        ui.probeCheckBox.connect("toggled(bool)", presenter.set_probe)
        ui.copyTableButton.connect("clicked(bool)", lambda _checked: qt.QApplication.clipboard().setText(presenter.table_text()))

    def show(self, shown: ShownAttention) -> None:
        ui, before, self._shown = self._ui, self._shown, shown
        set_note(ui.attentionReasonLabel, shown.reason)
        set_note(ui.probeReasonLabel, shown.probe_reason)
        self._show_maps(shown)
        with silent(ui.opacitySlider, ui.thresholdSlider, ui.colorSelector, ui.show3dCheckBox, ui.showSegments3dButton, ui.probeCheckBox):
            ui.opacitySlider.setValue(shown.opacity)
            ui.thresholdSlider.setValue(shown.threshold)
            ui.colorSelector.setCurrentNode(shown.colors)
            ui.show3dCheckBox.setChecked(shown.in_3d)
            ui.showSegments3dButton.setChecked(bool(shown.surfaces))
            ui.probeCheckBox.setChecked(shown.probe)
        for widget in (ui.opacitySlider, ui.thresholdSlider, ui.colorSelector):
            widget.setEnabled(not shown.reason)
        ui.show3dCheckBox.setEnabled(shown.eye is not None)
        ui.showSegments3dButton.setEnabled(shown.surfaces is not None)
        self._show_shades(shown.shades)
        ui.probeCheckBox.setEnabled(not shown.probe_reason)
        if before is None or before.rows != shown.rows:
            self._show_rows(shown.rows)
        ui.resultTable.setColumnHidden(WHY_COLUMN, not shown.can_explain)

    def _show_maps(self, shown: ShownAttention) -> None:
        ui = self._ui
        ui.mapList.setVisible(bool(shown.maps))
        row = ui.mapList.currentRow
        chosen = self._lines[row] if 0 <= row < len(self._lines) else None
        with silent(ui.mapList):
            ui.mapList.clear()
            self._lines = []
            for group, entries in groupby(shown.maps, key=lambda entry: entry.group):
                self._add_heading(group)
                for entry in entries:
                    self._add_map(entry, is_shown=entry.node is shown.eye)
            # A map that a key hid stays the current line, so that the next key shows it again. While the probe is shown, no line is.
            current = shown.eye if shown.eye is not None or shown.probe else chosen
            if current is not None and current in self._lines:
                ui.mapList.setCurrentRow(self._lines.index(current))
        fit_height(ui.mapList, len(self._lines), max(LINE_OF_LIST, ui.mapList.sizeHintForRow(len(self._lines) - 1)), at_most=LINES)

    def _add_map(self, entry: ListedMap, is_shown: bool) -> None:
        item = qt.QListWidgetItem(self._icons[is_shown], entry.title)
        item.setToolTip("\n".join([f"{entry.name}: {entry.node.GetName()}", *textwrap.wrap(entry.worth, TIP)]))
        self._ui.mapList.addItem(item)
        self._lines.append(entry.node)

    def _link(self, text: str) -> Any:
        item, font = qt.QTableWidgetItem(text), self._ui.resultTable.font
        font.setUnderline(True)
        item.setFont(font)
        item.setForeground(self._ui.resultTable.palette.link())
        return item

    def _add_heading(self, text: str) -> None:
        item = qt.QListWidgetItem(text)
        item.setFlags(qt.Qt.NoItemFlags)
        font = item.font()
        font.setBold(True)
        item.setFont(font)
        self._ui.mapList.addItem(item)
        self._lines.append(None)

    def _show_shades(self, shades: tuple[tuple[int, int, int], ...]) -> None:
        swatch = self._ui.colorSwatch
        swatch.setVisible(bool(shades))
        stops = [f"stop:{index / (len(shades) - 1):.3f} #{red:02x}{green:02x}{blue:02x}" for index, (red, green, blue) in enumerate(shades)]
        swatch.setStyleSheet(f"background: qlineargradient(x1:0, y1:0, x2:1, y2:0, {', '.join(stops)});" if shades else "")

    def _show_rows(self, rows: tuple[Row, ...]) -> None:
        table = self._ui.resultTable
        for widget in (table, self._ui.copyTableButton):
            widget.setVisible(bool(rows))
        table.setRowCount(len(rows))
        for line, row in enumerate(rows):
            color = qt.QTableWidgetItem("")
            color.setBackground(qt.QBrush(qt.QColor(*row.color)))
            table.setItem(line, 0, color)
            for column, text in enumerate((row.name, *row.numbers), start=1):
                table.setItem(line, column, qt.QTableWidgetItem(text))
            table.item(line, 1).setToolTip(row.name)
            table.setItem(line, WHY_COLUMN, self._link(_("Why?")))
        # Names may need two lines.
        height = 2 * line_height(table) + 2
        table.verticalHeader().setDefaultSectionSize(height)
        # One more for the header.
        fit_height(table, len(rows) + 1, height)


def _icon(path: str, widget: Any) -> Any:
    """A dark icon of Slicer's resources, inverted if the widget is dark."""
    image = qt.QPixmap(path).toImage()
    if widget.palette.base().color().lightness() < 128:
        image.invertPixels()
    return qt.QIcon(qt.QPixmap.fromImage(image))
