"""Probe of position attention at Slicer's crosshair. Without Qt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import slicer

from ..mrml.probe_volume import ProbeVolume
from .translation import tr as _

if TYPE_CHECKING:
    from ..mrml.segment import SegmentedVolume


def why_no_probe(result: SegmentedVolume | None, scene: slicer.vtkMRMLScene | None) -> str:
    """Why a result cannot be probed, in a sentence; empty if it can."""
    if result is None or scene is None:
        return _("Segment with a guided-attention model to probe it.")
    if not result.prediction.probe.names:
        return _("This model has no position attention; guided-attention models do.")
    if scene.GetFirstNodeByClass("vtkMRMLCrosshairNode") is None:
        return _("There is no crosshair in this scene.")
    return ""


class CrosshairProbe:
    """Shows the position attention of the voxel under the crosshair, from now until `end`. Main thread only.

    Args:
        result: one that can be probed (see `why_no_probe`).
        on_volume: called with the volume whenever a new one is made: at first, and after the user deleted it.

    Attributes:
        position: of the marked voxel, world RAS mm; None before the crosshair has moved over the scan.
    """

    def __init__(self, result: SegmentedVolume, on_volume: Callable[[slicer.vtkMRMLScalarVolumeNode], None]) -> None:
        self._volume, self._on_volume = ProbeVolume(result), on_volume
        self.position: tuple[float, ...] | None = None
        self._crosshair = result.volume.GetScene().GetFirstNodeByClass("vtkMRMLCrosshairNode")
        self._tag = self._crosshair.AddObserver(slicer.vtkMRMLCrosshairNode.CursorPositionModifiedEvent, self._follow)

    @property
    def node(self) -> slicer.vtkMRMLScalarVolumeNode | None:
        """The volume that shows it; None before the crosshair has moved."""
        return self._volume.node

    def look_from(self, position: Sequence[float]) -> None:
        """Show the position attention of the voxel at a position (world RAS mm). Outside the scan nothing changes."""
        before = self._volume.node
        if self._volume.move(position):
            self.position = tuple(position)
            if self._volume.node is not before:
                self._on_volume(self._volume.node)

    def end(self) -> None:
        """Stop following the crosshair, and remove the volume and its mark from the scene."""
        self._crosshair.RemoveObserver(self._tag)
        self._volume.remove()

    def _follow(self, crosshair: slicer.vtkMRMLCrosshairNode, _event: str) -> None:
        position = [0.0] * 3
        if crosshair.GetCursorPositionRAS(position):
            self.look_from(position)
