"""Stand-ins of CTK's and Slicer's widgets, made of PySide6; each has the name of the class whose interface it is held to."""

from __future__ import annotations

from collections.abc import Callable

import slicer
from PySide6 import QtCore, QtWidgets
from PySide6.QtCore import Property, Signal


class ctkCollapsibleButton(QtWidgets.QGroupBox):  # noqa: N801
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


class ctkSliderWidget(QtWidgets.QDoubleSpinBox):  # noqa: N801
    pageStep = Property(float, lambda self: 0.1, lambda self, value: None)  # noqa: N815


class ctkPathLineEdit(QtWidgets.QLineEdit):  # noqa: N801
    currentPathChanged = Signal(str)  # noqa: N815
    validInputChanged = Signal(bool)  # noqa: N815

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._valid = False
        self.textChanged.connect(self._update)

    setCurrentPath = QtWidgets.QLineEdit.setText  # noqa: N815
    currentPath = Property(str, QtWidgets.QLineEdit.text, QtWidgets.QLineEdit.setText)  # noqa: N815

    def _update(self, text: str) -> None:
        # No path is told when there is none any more.
        if text:
            self.currentPathChanged.emit(text)
        if bool(text) != self._valid:
            self._valid = bool(text)
            self.validInputChanged.emit(self._valid)


class qMRMLSortFilterProxyModel(QtCore.QObject):  # noqa: N801
    """Keeps nodes out of a list."""

    def __init__(self, changed: Callable[[], None]) -> None:
        super().__init__()
        self._hidden: list[str] = []
        self._changed = changed

    def _set_hidden(self, node_ids: list[str]) -> None:
        self._hidden = list(node_ids)
        self._changed()

    hiddenNodeIDs = Property("QStringList", lambda self: self._hidden, _set_hidden)  # noqa: N815


class qMRMLNodeComboBox(QtWidgets.QComboBox):  # noqa: N801
    currentNodeChanged = Signal(object)  # noqa: N815

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._types: list[str] = ["vtkMRMLColorNode"]
        self._none, self._scene, self._ids, self._tags = "None", None, [None], []
        self._filter = qMRMLSortFilterProxyModel(lambda: self._scene and self._list())
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

    def sortFilterProxyModel(self) -> qMRMLSortFilterProxyModel:  # noqa: N802
        return self._filter

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
        nodes = [node for node in nodes if node.GetID() not in self._filter.hiddenNodeIDs]
        self._ids = [None, *(node.GetID() for node in nodes)]
        self.clear()
        self.addItems([self._none, *(node.GetName() for node in nodes)])
        self.setCurrentIndex(self._ids.index(before) if before in self._ids else 0)
        self.blockSignals(blocked)
        if before not in self._ids:
            self.currentNodeChanged.emit(None)


class qMRMLWidget(QtWidgets.QWidget):  # noqa: N801
    def setMRMLScene(self, scene: slicer.vtkMRMLScene | None) -> None:  # noqa: N802
        for selector in self.findChildren(qMRMLNodeComboBox):
            selector.setMRMLScene(scene)


class qMRMLColorTableComboBox(qMRMLNodeComboBox):  # noqa: N801
    """Lists nodes of every type of color table, which is what the base class begins with."""


CUSTOM = {
    made.__name__: made for made in (ctkCollapsibleButton, ctkSliderWidget, ctkPathLineEdit, qMRMLNodeComboBox, qMRMLColorTableComboBox, qMRMLWidget)
}
