"""Stand-ins under PySide6 for what the panel uses of Slicer's Qt, so that tests can press its buttons without the application.

Every object is handed out as PythonQt does it (`pythonqt.py`): a test of the panel reads `label.text` and calls `item.text()`, as it would in Slicer.
Color tables and nodes are listed in a plain combo box; sections draw as group boxes; icons of Slicer's resources are empty.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import slicer
from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets

from .pythonqt import Wrapped, WrappedClass, api, unwrap
from .widgets import CUSTOM


class _Loader(QtUiTools.QUiLoader):
    def createWidget(self, name: str, parent: QtWidgets.QWidget | None = None, object_name: str = "") -> QtWidgets.QWidget:  # noqa: N802
        made = (CUSTOM.get(name) or getattr(QtWidgets, name))(parent)
        made.setObjectName(object_name)
        self.made.append(made)
        return made


def load_ui(path: Path) -> Wrapped:
    """The top widget of a .ui file."""
    loader = _Loader()
    loader.made = []
    # Its connections hand the scene on by pointer; `qMRMLWidget.setMRMLScene` does that here.
    document = QtCore.QBuffer()
    document.setData(re.sub(rb"<connections>.*</connections>", b"", path.read_bytes(), flags=re.DOTALL))
    top = loader.load(document)
    assert top is not None, loader.errorString()
    # Python's part of a widget goes with its last reference, and with it what was overridden.
    top.kept = loader.made
    return Wrapped(top)


def child_widgets(top: Wrapped) -> SimpleNamespace:
    """Every widget by its name."""
    return SimpleNamespace(**{widget.objectName(): Wrapped(widget) for widget in top.target.kept if widget.objectName()})


def install() -> QtWidgets.QApplication:
    """Put the module `qt` in place, once, because the panel's files keep the one that they imported; and start an application."""
    application = QtWidgets.QApplication.instance() or QtWidgets.QApplication([])
    if "qt" not in sys.modules:
        sys.modules["qt"] = _qt()
    return application


def _qt() -> ModuleType:
    qt = ModuleType("qt")
    for name in api():
        found = next((getattr(module, name) for module in (QtWidgets, QtGui, QtCore) if hasattr(module, name)), None)
        if found is not None:
            setattr(qt, name, WrappedClass(found))
    # In PythonQt these return the path alone.
    dialog = QtWidgets.QFileDialog
    qt.QFileDialog = SimpleNamespace(
        getOpenFileName=lambda *arguments: dialog.getOpenFileName(*map(unwrap, arguments))[0],
        getSaveFileName=lambda *arguments: dialog.getSaveFileName(*map(unwrap, arguments))[0],
        getExistingDirectory=lambda *arguments: dialog.getExistingDirectory(*map(unwrap, arguments)),
    )
    qt.QDesktopServices = SimpleNamespace(openUrl=lambda url: QtGui.QDesktopServices.openUrl(unwrap(url)))
    qt.Qt = QtCore.Qt
    return qt


def install_module_bases() -> None:
    """Put the base classes of scripted modules in place, as far as AttentionSeg.py uses them."""

    class ScriptedLoadableModule:
        def __init__(self, parent: Any) -> None:
            self.parent = parent

    class ScriptedLoadableModuleWidget:
        def __init__(self, parent: Any = None) -> None:
            self.layout = Wrapped(QtWidgets.QVBoxLayout())

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
