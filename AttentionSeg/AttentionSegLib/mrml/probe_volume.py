"""The position attention of one voxel as a volume that follows the crosshair."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import slicer

from ..errors import InputError
from .attention_volumes import publish_map, set_window
from .node_names import free_name, remove_node
from .probe_mark import ProbeMark
from .transforms import transform_between
from .voxels import fill_voxels, matrix_to_vtk

if TYPE_CHECKING:
    from ..image import Image
    from .segment import SegmentedVolume


class ProbeVolume:
    """A volume that shows the position attention of a voxel of a result, and a mark on that voxel.

        probe = ProbeVolume(result)
        probe.move((26, -24, -13))
        probe.remove()

    Values are in times the average: 1 everywhere means uniform attention. Neither volume nor mark is saved.

    Args:
        result: with position attention (guided-attention models).
        name: the position map; `Probe.most_telling` when left out.

    Raises:
        InputError: if the result keeps no rows of position attention.
    """

    def __init__(self, result: SegmentedVolume, name: str | None = None) -> None:
        if not result.prediction.probe.names:
            msg = f"The model {result.prediction.card.id} has no position attention to probe; segment with a guided-attention model."
            raise InputError(msg)
        self.result, self.name = result, name or result.prediction.probe.most_telling
        self.node: slicer.vtkMRMLScalarVolumeNode | None = None
        self._mark = ProbeMark(result.volume.GetScene())

    def move(self, position: Sequence[float]) -> bool:
        """Show the position attention of the voxel at a position, and mark it.

        Args:
            position: world RAS mm, such as that of the crosshair.

        Returns:
            Whether the position is in the segmented part of the scan; otherwise nothing changes.
        """
        volume = self.result.volume
        if volume.GetScene() is None:
            return False
        local = transform_between(None, volume).TransformPoint(*position)
        try:
            row = self.result.prediction.probe.row(local, self.name)
        except InputError:
            return False
        self._show(row, (row.voxels * row.voxels.size).astype(np.float32))
        self._mark.move(position)
        return True

    def remove(self) -> None:
        """Remove the volume and the mark from the scene, with their display nodes."""
        self._mark.remove()
        if self.node is not None and self.node.GetScene() is not None:
            remove_node(self.node)
        self.node = None

    def _show(self, row: Image, times: np.ndarray) -> None:
        kind, volume = f"probe_{self.name}", self.result.volume
        if self.node is None or self.node.GetScene() is None:
            name = free_name(volume.GetScene(), f"{volume.GetName()} probe")
            self.node = publish_map(type(row)(times, row.affine, "probe"), kind, self.result.prediction.card, volume, name)
            # It depends on the current crosshair position, so there is nothing to save.
            self.node.SetSaveWithScene(False)
            self.node.GetDisplayNode().SetSaveWithScene(False)
            return
        display = self.node.GetDisplayNode()
        clear_below = display.GetLowerThreshold() / display.GetWindowLevelMax()
        with slicer.util.NodeModify(self.node):
            self.node.SetIJKToRASMatrix(matrix_to_vtk(row.affine))
            fill_voxels(self.node.GetImageData(), times[0])
            self.node.GetImageData().Modified()
            set_window(display, times[0], kind, clear_below)
