"""What the panel's code asks of Qt is there in PythonQt: every widget of AttentionSeg.ui, every class of the module `qt`, read from the source."""

from __future__ import annotations

import ast
import os
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
pytest.importorskip("PySide6", reason="PySide6 is not installed", exc_type=ImportError)
from stand_ins.pythonqt import Wrapped, api

MODULE = Path(__file__).resolve().parents[3] / "AttentionSeg"
SOURCES = [MODULE / "AttentionSeg.py", *sorted((MODULE / "AttentionSegLib" / "ui").glob("*.py"))]
WIDGETS = {
    widget.get("name"): widget.get("class") for widget in ElementTree.parse(MODULE / "Resources" / "UI" / "AttentionSeg.ui").getroot().iter("widget")
}


class Uses(ast.NodeVisitor):
    """Collects (line, class, name, whether it is called) for what follows `ui.<widget>.`, and what that returns."""

    def __init__(self) -> None:
        self.found: list[tuple[int, str, str, bool]] = []
        self._called: set[int] = set()

    def visit_Call(self, node: ast.Call) -> None:
        self._called.add(id(node.func))
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        cls = class_of(node.value)
        if cls in api():
            self.found.append((node.lineno, cls, node.attr, id(node) in self._called))
        self.generic_visit(node)


def class_of(node: ast.expr) -> str | None:
    """The Qt class of an expression such as `ui.mapList`, `self._ui.mapList.item(0)` or `qt.QFontMetrics(font)`."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        if isinstance(node.func.value, ast.Name) and node.func.value.id == "qt":
            return node.func.attr
        owner = class_of(node.func.value)
        return api().get(owner, {"methods": {}})["methods"].get(node.func.attr)
    if isinstance(node, ast.Attribute):
        holder = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", None)
        return WIDGETS.get(node.attr) if holder in ("ui", "_ui") else None
    return None


def complaints(source: str) -> Iterator[str]:
    """One for each use that PythonQt would refuse."""
    visitor = Uses()
    visitor.visit(ast.parse(source))
    for line, cls, name, called in visitor.found:
        known = api()[cls]
        if name in ("connect", "target"):
            continue
        if not (name in known["methods"] or name in known["properties"] or name in known["signals"]):
            yield f"line {line}: {cls} has no {name}"
        elif called and name in known["properties"] and name not in known["methods"]:
            yield f"line {line}: {cls}.{name} is a property, and is called"
        elif known["methods"].get(name) in api()["unknown types"]:
            yield f"line {line}: {cls}.{name}() returns {known['methods'][name]}, which PythonQt does not hand back"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_uses_only_what_is_there(path):
    assert not list(complaints(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("ui.resultTable.fontMetrics().lineSpacing()", "line 1: QTableWidget.fontMetrics() returns QFontMetrics, which PythonQt does not hand back"),
        ("self._ui.messageLabel.text()", "line 1: QLabel.text is a property, and is called"),
        ("ui.mapList.item(0).setPen(1)", "line 1: QListWidgetItem has no setPen"),
        ("ui.batchCollapsibleButton.setCollapsed(True)", "line 1: ctkCollapsibleButton has no setCollapsed"),
    ],
)
def test_what_pythonqt_refuses_is_found(line, complaint):
    assert complaint in list(complaints(line))


class TestStandIns:
    """The stand-ins refuse the same."""

    @pytest.fixture
    def table(self):
        import stand_ins
        from PySide6.QtWidgets import QTableWidget

        stand_ins.install()
        return Wrapped(QTableWidget())

    def test_a_value_without_default_constructor_comes_back_from_no_method(self, table):
        with pytest.raises(ValueError, match="return type 'QFontMetrics' is ignored because it is unknown to PythonQt"):
            table.fontMetrics()

    def test_a_property_is_no_method(self, table):
        table.setRowCount(3)
        assert table.rowCount == 3
        with pytest.raises(TypeError, match="not callable"):
            table.rowCount()

    def test_no_other_name_is_there(self, table):
        with pytest.raises(AttributeError, match="QTableWidget has no attribute named 'screen'"):
            table.screen()
        with pytest.raises(AttributeError, match="creation of new attributes on C\\+\\+ objects is not allowed"):
            table.note = 1

    def test_every_widget_of_the_panel_is_listed(self):
        assert {name for name, cls in WIDGETS.items() if cls not in api()} == set()
