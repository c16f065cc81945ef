"""List what Qt, CTK and MRML widgets have in PythonQt, for the stand-ins of the tests: writes `Testing/stand_ins/slicer_qt_api.json`.

    Slicer --no-splash --python-script Testing/Slicer/list_qt_api.py

Run it again for a newer Slicer, or when the panel uses a class that is not in `CLASSES`.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import ctk
import qt
import slicer

API = Path(__file__).resolve().parents[1] / "stand_ins" / "slicer_qt_api.json"
CLASSES = {
    qt: "QAction QApplication QBrush QCheckBox QClipboard QColor QComboBox QDialog QDoubleSpinBox QFileDialog QFont QFontMetrics QFormLayout QFrame "
    "QGroupBox QHBoxLayout QHeaderView QIcon QImage QKeySequence QLabel QLineEdit QListWidget QListWidgetItem QMenu QMessageBox QPalette "
    "QPixmap QPlainTextEdit QProgressBar QPushButton QScrollArea QSettings QShortcut QSize QSlider QSpinBox QTableWidget QTableWidgetItem "
    "QTabWidget QTextBrowser QTimer QToolButton QTreeWidget QTreeWidgetItem QUrl QVBoxLayout QWidget",
    ctk: "ctkCollapsibleButton ctkCollapsibleGroupBox ctkDoubleSlider ctkPathLineEdit ctkSliderWidget",
    slicer: "qMRMLColorTableComboBox qMRMLNodeComboBox qMRMLSortFilterProxyModel qMRMLWidget",
}
# Values of these types come back from no method: "return type 'QFontMetrics' is ignored because it is unknown to PythonQt".
UNKNOWN_TYPES = ("QFontInfo", "QFontMetrics", "QRgba64")

KEPT: list[Any] = []


def main() -> None:
    classes = {name: describe(make(module, name)) for module, names in CLASSES.items() for name in names.split()}
    made_in = f"Slicer {slicer.app.majorVersion}.{slicer.app.minorVersion}, Qt {qt.qVersion() if hasattr(qt, 'qVersion') else '5'}"
    write(classes, made_in)


def make(module: Any, name: str) -> Any:
    """An instance: only it has all names."""
    # What belongs to a widget goes with it.
    KEPT.append(slicer.qMRMLNodeComboBox())
    made_otherwise = {
        "QAction": lambda: qt.QAction(None),
        "QApplication": lambda: slicer.app,
        "QClipboard": lambda: slicer.app.clipboard(),
        "QFontMetrics": lambda: qt.QFontMetrics(qt.QFont()),
        "QHeaderView": lambda: qt.QHeaderView(qt.Qt.Horizontal),
        "QShortcut": lambda: qt.QShortcut(slicer.util.mainWindow()),
        "qMRMLSortFilterProxyModel": lambda: KEPT[-1].sortFilterProxyModel(),
    }
    return made_otherwise.get(name, getattr(module, name, None))()


def describe(instance: Any) -> dict[str, Any]:
    """Names of properties and signals, and of each method with its return type, `""` where PythonQt tells none."""
    found: dict[str, Any] = {"properties": [], "methods": {}, "signals": []}
    for name in dir(instance):
        if name.startswith("_"):
            continue
        try:
            value = getattr(instance, name)
        except (AttributeError, ValueError):
            continue
        kind = type(value).__name__
        if kind == "builtin_qt_signal" or "Signal" in kind:
            found["signals"].append(name)
        elif callable(value):
            returned = re.search(r"-> (\S+)", value.__doc__ or "")
            found["methods"][name] = returned.group(1).rpartition(".")[2] if returned else ""
        else:
            found["properties"].append(name)
    return found


def write(classes: dict[str, Any], made_in: str) -> None:
    """One line per class, so that a difference can be read."""
    lines = [f'"made in": {json.dumps(made_in)}', f'"unknown types": {json.dumps(UNKNOWN_TYPES)}']
    lines += [f"{json.dumps(name)}: {json.dumps(api, separators=(',', ':'))}" for name, api in sorted(classes.items())]
    API.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
    slicer.util.exit(slicer.util.EXIT_SUCCESS)
