"""Stand-ins under PySide6 for what a panel uses of Slicer's Qt, so that tests can press its buttons without the application.

What differs from PythonQt: properties are not attributes here (the panel uses setters and what signals carry); `connect` takes a signature as
PythonQt does, but only its name counts; colors tables and nodes are listed in a plain combo box; sections draw as group boxes; icons of Slicer's
resources are empty.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import slicer
from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets
from PySide6.QtCore import Property, Signal


class Handle:
    """A widget with PythonQt's way to connect: `widget.connect("clicked(bool)", function)`. PySide lets no subclass replace `connect`."""

    def __init__(self, widget: QtCore.QObject) -> None:
        self._widget = widget

    def __getattr__(self, name: str) -> Any:
        return getattr(self._widget, name)

    def connect(self, signature: str, function: Any) -> None:
        getattr(self._widget, signature.partition("(")[0]).connect(function)


class CollapsibleButton(QtWidgets.QGroupBox):
    """ctkCollapsibleButton"""

    contentsCollapsed = Signal(bool)  # noqa: N815

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._collapsed = False

    text = Property(str, QtWidgets.QGroupBox.title, QtWidgets.QGroupBox.setTitle)

    def _get_collapsed(self) -> bool:
        return self._collapsed

    def setCollapsed(self, collapsed: bool) -> None:  # noqa: N802
        self._collapsed = collapsed
        self.setMaximumHeight(24 if collapsed else 16777215)
        self.contentsCollapsed.emit(collapsed)

    collapsed = Property(bool, _get_collapsed, setCollapsed)


class SliderWidget(QtWidgets.QDoubleSpinBox):
    """ctkSliderWidget"""

    pageStep = Property(float, lambda self: 0.1, lambda self, value: None)  # noqa: N815


class PathLineEdit(QtWidgets.QLineEdit):
    """ctkPathLineEdit"""

    currentPathChanged = Signal(str)  # noqa: N815

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self.textChanged.connect(self.currentPathChanged)

    setCurrentPath = QtWidgets.QLineEdit.setText  # noqa: N815


class NodeComboBox(QtWidgets.QComboBox):
    """qMRMLNodeComboBox"""

    currentNodeChanged = Signal(object)  # noqa: N815

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._types: list[str] = ["vtkMRMLColorNode"]
        self._none, self._scene, self._ids, self._tags = "None", None, [None], []
        self.addItem(self._none)
        self.currentIndexChanged.connect(lambda _index: self.currentNodeChanged.emit(self.currentNode()))

    def _set_types(self, types: list[str]) -> None:
        self._types = list(types)

    def _set_none(self, text: str) -> None:
        self._none = text
        self.setItemText(0, text)

    nodeTypes = Property("QStringList", lambda self: self._types, _set_types)  # noqa: N815
    noneDisplay = Property(str, lambda self: self._none, _set_none)  # noqa: N815

    def setMRMLScene(self, scene: slicer.vtkMRMLScene | None) -> None:  # noqa: N802
        for tag in self._tags:
            self._scene.RemoveObserver(tag)
        events = (scene.NodeAddedEvent, scene.NodeRemovedEvent, scene.EndCloseEvent, scene.EndImportEvent) if scene else ()
        self._tags = [scene.AddObserver(event, lambda *_: self._list()) for event in events]
        self._scene = scene
        if scene is not None:
            self._list()

    def currentNode(self) -> slicer.vtkMRMLNode | None:  # noqa: N802
        node_id = self._ids[self.currentIndex()] if 0 <= self.currentIndex() < len(self._ids) else None
        return None if node_id is None else self._scene.GetNodeByID(node_id)

    def setCurrentNode(self, node: slicer.vtkMRMLNode | None) -> None:  # noqa: N802
        self._list()
        self.setCurrentIndex(0 if node is None else self._ids.index(node.GetID()))

    def _list(self) -> None:
        before = self._ids[self.currentIndex()] if self.currentIndex() >= 0 else None
        blocked = self.blockSignals(True)
        nodes = [self._scene.GetNthNode(index) for index in range(self._scene.GetNumberOfNodes())]
        nodes = [node for node in nodes if any(node.IsA(kind) for kind in self._types) and not node.GetHideFromEditors()]
        self._ids = [None, *(node.GetID() for node in nodes)]
        self.clear()
        self.addItems([self._none, *(node.GetName() for node in nodes)])
        self.setCurrentIndex(self._ids.index(before) if before in self._ids else 0)
        self.blockSignals(blocked)
        if before not in self._ids:
            self.currentNodeChanged.emit(None)


class MrmlWidget(QtWidgets.QWidget):
    """qMRMLWidget"""

    def setMRMLScene(self, scene: slicer.vtkMRMLScene | None) -> None:  # noqa: N802
        for selector in self.findChildren(NodeComboBox):
            selector.setMRMLScene(scene)


CUSTOM = {
    "ctkCollapsibleButton": CollapsibleButton,
    "ctkSliderWidget": SliderWidget,
    "ctkPathLineEdit": PathLineEdit,
    "qMRMLNodeComboBox": NodeComboBox,
    "qMRMLColorTableComboBox": NodeComboBox,
    "qMRMLWidget": MrmlWidget,
}


class _Loader(QtUiTools.QUiLoader):
    def createWidget(self, name: str, parent: QtWidgets.QWidget | None = None, object_name: str = "") -> QtWidgets.QWidget:  # noqa: N802
        made = (CUSTOM.get(name) or getattr(QtWidgets, name))(parent)
        made.setObjectName(object_name)
        self.made.append(made)
        return made


def load_ui(path: Path) -> QtWidgets.QWidget:
    """The top widget of a .ui file."""
    loader = _Loader()
    loader.made = []
    # Its connections hand the scene on by pointer; `MrmlWidget.setMRMLScene` does that here.
    document = QtCore.QBuffer()
    document.setData(re.sub(rb"<connections>.*</connections>", b"", path.read_bytes(), flags=re.DOTALL))
    top = loader.load(document)
    assert top is not None, loader.errorString()
    # Python's part of a widget goes with its last reference, and with it what was overridden.
    top.kept = loader.made
    return top


def child_widgets(top: QtWidgets.QWidget) -> SimpleNamespace:
    """Every widget by its name."""
    return SimpleNamespace(**{widget.objectName(): Handle(widget) for widget in top.kept if widget.objectName()})


def install() -> QtWidgets.QApplication:
    """Put the module `qt` in place, and start an application."""
    application = QtWidgets.QApplication.instance() or QtWidgets.QApplication([])
    qt = ModuleType("qt")
    for name in ("QListWidgetItem", "QTableWidgetItem", "QApplication", "QHeaderView", "QLabel"):
        setattr(qt, name, getattr(QtWidgets, name))
    for name in ("QBrush", "QColor", "QIcon", "QPixmap"):
        setattr(qt, name, getattr(QtGui, name))
    # In PythonQt these return the path alone.
    dialog = QtWidgets.QFileDialog
    qt.QFileDialog = SimpleNamespace(
        getOpenFileName=lambda *arguments: dialog.getOpenFileName(*arguments)[0],
        getSaveFileName=lambda *arguments: dialog.getSaveFileName(*arguments)[0],
    )
    qt.Qt, qt.QTimer = QtCore.Qt, lambda: Handle(QtCore.QTimer())
    sys.modules["qt"] = qt
    return application


def install_module_bases() -> None:
    """Put the base classes of scripted modules in place, as far as AttentionSeg.py uses them."""

    class ScriptedLoadableModule:
        def __init__(self, parent: Any) -> None:
            self.parent = parent

    class ScriptedLoadableModuleWidget:
        def __init__(self, parent: Any = None) -> None:
            self.layout = QtWidgets.QVBoxLayout()

        def setup(self) -> None: ...

    class ScriptedLoadableModuleLogic:
        def __init__(self, parent: Any = None) -> None: ...

        def getParameterNode(self) -> slicer.vtkMRMLScriptedModuleNode:  # noqa: N802
            node = slicer.mrmlScene.GetSingletonNode("AttentionSeg", "vtkMRMLScriptedModuleNode")
            if node is None:
                node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLScriptedModuleNode")
                node.UnRegister(None)
                node.SetSingletonTag("AttentionSeg")
                node.SetModuleName("AttentionSeg")
                node = slicer.mrmlScene.AddNode(node)
            return node

    bases = ModuleType("slicer.ScriptedLoadableModule")
    for base in (ScriptedLoadableModule, ScriptedLoadableModuleWidget, ScriptedLoadableModuleLogic):
        setattr(bases, base.__name__, base)
    bases.ScriptedLoadableModuleTest = type("ScriptedLoadableModuleTest", (), {})
    translation = ModuleType("slicer.i18n")
    translation.tr = lambda text: text
    translation.translate = lambda _context, text: text
    sys.modules.update({"slicer.ScriptedLoadableModule": bases, "slicer.i18n": translation})
