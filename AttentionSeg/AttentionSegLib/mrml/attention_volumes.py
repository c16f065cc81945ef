"""Attention maps and uncertainty to volumes, ready to lie over the scan as a heat map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import slicer
import vtk

from .heat_map import heat_map
from .provenance import provenance
from .voxels import fill_voxels, matrix_to_vtk

if TYPE_CHECKING:
    from ..image import Image
    from ..models import Card

# What kind of map a volume is, such as `gate_2`.
MAP_ATTRIBUTE = "AttentionSeg.Map"
CLEAR_BELOW = 0.01
BRIGHT_PERCENTILE = 99.5


def publish_map(image: Image, name: str, card: Card, volume_node: slicer.vtkMRMLScalarVolumeNode) -> slicer.vtkMRMLScalarVolumeNode:
    """Add a map to the scene of its input volume, on the map's own grid and under the input's parent transform.

    Args:
        image: values of one channel, [1, I, J, K], nothing to see at 0; the affine leads to the own RAS of the input volume.
        name: what kind of map: `gate_2`, `uncertainty`. The node is called `<input> <name>`.
        card: the model's card.
        volume_node: the input, in a scene.

    Returns:
        A float32 volume with display: heat-map colors from 0 to 1, or to the 99.5th percentile if that is more; clear below 1 % of this window.
    """
    scene = volume_node.GetScene()
    values = np.asarray(image.voxels[0], dtype=np.float32)
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", f"{volume_node.GetName()} {name}")
    with slicer.util.NodeModify(node):
        for attribute, value in {**provenance(card), MAP_ATTRIBUTE: name}.items():
            node.SetAttribute(attribute, value)
        node.SetAndObserveTransformNodeID(volume_node.GetTransformNodeID())
        node.SetIJKToRASMatrix(matrix_to_vtk(image.affine))
        # Display first: with voxels in place, Slicer would compute a window of its own from all of them.
        node.CreateDefaultDisplayNodes()
        _show_as_heat_map(node.GetDisplayNode(), values, heat_map(scene))
        image_data = vtk.vtkImageData()
        fill_voxels(image_data, values)
        node.SetAndObserveImageData(image_data)
    return node


def _show_as_heat_map(display: slicer.vtkMRMLScalarVolumeDisplayNode, values: np.ndarray, colors: slicer.vtkMRMLColorNode) -> None:
    brightest = float(values.max())
    top = max(1.0, float(np.percentile(values, BRIGHT_PERCENTILE))) if brightest > 1 else 1.0
    with slicer.util.NodeModify(display):
        display.SetAndObserveColorNodeID(colors.GetID())
        display.AutoWindowLevelOff()
        display.SetWindowLevelMinMax(0.0, top)
        display.AutoThresholdOff()
        display.SetThreshold(CLEAR_BELOW * top, max(brightest, top))
        display.ApplyThresholdOn()
        display.InterpolateOn()
