"""Observer of the scene and its slice views that updates the panel."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import qt
import slicer
import vtk
from slicer.util import VTKObservationMixin

if TYPE_CHECKING:
    from .module_panel import ModulePanel
    from .settings import Settings


class SceneEvents(VTKObservationMixin):
    """Keeps a panel up to date with the application's scene, until `removeObservers`.

    Args:
        panel: to update.
        settings: returns the settings of the current scene.
    """

    def __init__(self, panel: ModulePanel, settings: Callable[[], Settings]) -> None:
        super().__init__()
        self._panel, self._settings, self._nodes_have_gone = panel, settings, False
        scene = self._scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self._on_start_close)
        for event in (scene.EndCloseEvent, scene.EndImportEvent, scene.EndRestoreEvent):
            self.addObserver(scene, event, self._on_other_scene)
        # Called before the selectors are: they would select another node themselves.
        self.addObserver(scene, scene.NodeAboutToBeRemovedEvent, self._on_node_leaves, priority=1.0)
        self.addObserver(scene, scene.NodeAddedEvent, self._on_node_added)
        self.addObserver(scene, scene.NodeRemovedEvent, self._on_node_removed)
        self.addObserver(scene, scene.EndBatchProcessEvent, self._on_batch_ends)

    def follow_views(self) -> None:
        """Observe all slice views, including those added since the last call."""
        for view in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
            if not self.hasObserver(view, vtk.vtkCommand.ModifiedEvent, self._on_view_changed):
                self.addObserver(view, vtk.vtkCommand.ModifiedEvent, self._on_view_changed)

    def _on_start_close(self, _caller: object, _event: str) -> None:
        self._panel.leave_scene()

    def _on_other_scene(self, _caller: object, _event: str) -> None:
        self._panel.use(self._settings())

    def _on_view_changed(self, _caller: object, _event: str) -> None:
        # Views change too while their volumes are removed; the panel is updated once all are.
        if not self._scene.IsClosing():
            self._panel.presenter.follow_views()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _on_node_leaves(self, _caller: object, _event: str, node: slicer.vtkMRMLNode) -> None:
        if not self._scene.IsClosing():
            self._panel.presenter.node_leaves(node)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _on_node_added(self, _caller: object, _event: str, node: slicer.vtkMRMLNode) -> None:
        if _is_listed(node) and not self._scene.IsBatchProcessing():
            self._panel.train.refresh()
            # Deferred until it is completely loaded and has its storage node.
            qt.QTimer.singleShot(0, lambda: self._panel.look_at(node))

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _on_node_removed(self, _caller: object, _event: str, node: slicer.vtkMRMLNode) -> None:
        if not _is_listed(node) or self._scene.IsClosing():
            return
        if self._scene.IsBatchProcessing():
            # Many nodes may be removed together.
            self._nodes_have_gone = True
        else:
            self._panel.refresh_nodes()

    def _on_batch_ends(self, _caller: object, _event: str) -> None:
        if self._nodes_have_gone and not self._scene.IsClosing():
            self._nodes_have_gone = False
            self._panel.refresh_nodes()


def _is_listed(node: slicer.vtkMRMLNode) -> bool:
    return node.IsA("vtkMRMLVolumeNode") or node.IsA("vtkMRMLSegmentationNode")
