"""Attention maps and uncertainty to volumes, ready to lie over the scan as a heat map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import slicer
import vtk

from ..reporting.intensities import map_top
from .heat_map import heat_map
from .node_names import free_name
from .provenance import provenance
from .voxels import fill_voxels, matrix_to_vtk

if TYPE_CHECKING:
    from ..image import Image
    from ..models import Card

# What kind of map a volume is, such as `gate_2`.
MAP_ATTRIBUTE = "AttentionSeg.Map"
CLEAR_BELOW = 0.01


def is_own_map(node: slicer.vtkMRMLNode) -> bool:
    """Whether a volume shows what a network did (attention, uncertainty, probabilities, probe), and so is no scan to segment or to learn from."""
    return node.GetAttribute(MAP_ATTRIBUTE) is not None


def publish_map(
    image: Image, name: str, card: Card, volume_node: slicer.vtkMRMLScalarVolumeNode, node_name: str | None = None
) -> slicer.vtkMRMLScalarVolumeNode:
    """Add a map to the scene of its input volume, on the map's own grid and under the input's parent transform.

    Args:
        image: values of one channel, [1, I, J, K], nothing to see at 0; the affine leads to the own RAS of the input volume.
        name: which map: `gate_2`, `uncertainty` (see `map_kind`).
        card: the model's card.
        volume_node: the input, in a scene.
        node_name: `<input> <name>`, or with a number where another node has that name, when left out.

    Returns:
        A float32 volume with display: heat-map colors in the window of `map_top`; clear below 1 % of it.
    """
    scene = volume_node.GetScene()
    values = np.asarray(image.voxels[0], dtype=np.float32)
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", node_name or free_name(scene, f"{volume_node.GetName()} {name}"))
    with slicer.util.NodeModify(node):
        for attribute, value in {**provenance(card), MAP_ATTRIBUTE: name}.items():
            node.SetAttribute(attribute, value)
        node.SetAndObserveTransformNodeID(volume_node.GetTransformNodeID())
        node.SetIJKToRASMatrix(matrix_to_vtk(image.affine))
        # Display first: with voxels in place, Slicer would compute a window of its own from all of them.
        node.CreateDefaultDisplayNodes()
        show_as_heat_map(node.GetDisplayNode(), values, name, heat_map(scene))
        image_data = vtk.vtkImageData()
        fill_voxels(image_data, values)
        node.SetAndObserveImageData(image_data)
    return node


def set_window(display: slicer.vtkMRMLScalarVolumeDisplayNode, values: np.ndarray, name: str, clear_below: float) -> None:
    """Fit window and threshold to the values of a map.

    Args:
        display: of the map's volume.
        values: [I, J, K].
        name: which map.
        clear_below: share of the window, 0..1.
    """
    top = map_top(values, name)
    with slicer.util.NodeModify(display):
        display.SetWindowLevelMinMax(0.0, top)
        display.SetThreshold(clear_below * top, max(float(values.max()), top))


def show_as_heat_map(display: slicer.vtkMRMLScalarVolumeDisplayNode, values: np.ndarray, name: str, colors: slicer.vtkMRMLColorNode) -> None:
    """Color a map, in the window of `shown_top`, and clear below 1 % of it. `values` are [I, J, K] or [K, J, I]."""
    with slicer.util.NodeModify(display):
        display.SetAndObserveColorNodeID(colors.GetID())
        display.AutoWindowLevelOff()
        display.AutoThresholdOff()
        set_window(display, values, name, CLEAR_BELOW)
        display.ApplyThresholdOn()
        display.InterpolateOn()
