"""What one voxel looks at, as a volume that follows the crosshair."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import slicer

from ..errors import InputError
from .attention_volumes import publish_map
from .transforms import transform_between
from .voxels import fill_voxels, matrix_to_vtk

if TYPE_CHECKING:
    from ..image import Image
    from .segment import SegmentedVolume


class ProbeVolume:
    """A volume of the scene that shows what a voxel of a result looks at.

        probe = ProbeVolume(result)
        probe.move((26, -24, -13))
        probe.remove()

    Args:
        result: with position attention (guided-attention models).
        name: the position map; the coarsest when left out.

    Raises:
        InputError: if the result keeps no rows of position attention.
    """

    def __init__(self, result: SegmentedVolume, name: str | None = None) -> None:
        if not result.prediction.probe.names:
            msg = f"The model {result.prediction.card.id} has no position attention to probe; segment with a guided-attention model."
            raise InputError(msg)
        self.result, self._name = result, name
        self.node: slicer.vtkMRMLScalarVolumeNode | None = None

    def move(self, position: Sequence[float]) -> bool:
        """Show what the voxel at a position looks at, as shares of the largest value.

        Args:
            position: world RAS mm, as the crosshair has it.

        Returns:
            Whether the position is in what was segmented; nothing changes where it is not.
        """
        volume = self.result.volume
        if volume.GetScene() is None:
            return False
        local = transform_between(None, volume).TransformPoint(*position)
        try:
            row = self.result.prediction.probe.row(local, self._name)
        except InputError:
            return False
        shares = row.voxels / max(float(row.voxels.max()), np.finfo(np.float32).tiny)
        self._show(row, shares.astype(np.float32))
        return True

    def remove(self) -> None:
        """Take the volume out of the scene, with its display."""
        if self.node is not None and self.node.GetScene() is not None:
            scene, display = self.node.GetScene(), self.node.GetDisplayNode()
            scene.RemoveNode(self.node)
            scene.RemoveNode(display)
        self.node = None

    def _show(self, row: Image, shares: np.ndarray) -> None:
        if self.node is None or self.node.GetScene() is None:
            shown = type(row)(shares, row.affine, "probe")
            self.node = publish_map(shown, "probe", self.result.prediction.card, self.result.volume)
            # It shows the crosshair of this moment: nothing to keep in a saved scene.
            self.node.SetSaveWithScene(False)
            self.node.GetDisplayNode().SetSaveWithScene(False)
            return
        with slicer.util.NodeModify(self.node):
            self.node.SetIJKToRASMatrix(matrix_to_vtk(row.affine))
            fill_voxels(self.node.GetImageData(), shares[0])
            self.node.GetImageData().Modified()
