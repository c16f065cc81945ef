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
from .voxels import fill_voxels, matrix_to_vtk, view_voxels

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
    node = add_map(name, card, volume_node, node_name)
    fill_map(node, map_voxels(image), image.affine, volume_node)
    return node


def add_map(name: str, card: Card, volume_node: slicer.vtkMRMLScalarVolumeNode, node_name: str | None = None) -> slicer.vtkMRMLScalarVolumeNode:
    """A volume for a map with display and without voxels; see `publish_map`."""
    scene = volume_node.GetScene()
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", node_name or free_name(scene, f"{volume_node.GetName()} {name}"))
    with slicer.util.NodeModify(node):
        for attribute, value in {**provenance(card), MAP_ATTRIBUTE: name}.items():
            node.SetAttribute(attribute, value)
        # Before there are voxels: Slicer would compute a window of its own from all of them.
        node.CreateDefaultDisplayNodes()
        color_as_heat_map(node.GetDisplayNode(), heat_map(scene))
    return node


def map_voxels(image: Image) -> vtk.vtkImageData:
    """The values of a map [1, I, J, K] as Slicer keeps them, single precision."""
    voxels = vtk.vtkImageData()
    fill_voxels(voxels, np.asarray(image.voxels[0], dtype=np.float32))
    return voxels


def fill_map(node: slicer.vtkMRMLScalarVolumeNode, voxels: vtk.vtkImageData, affine: np.ndarray, volume_node: slicer.vtkMRMLScalarVolumeNode) -> None:
    """Give a map, which keeps its colors, other values in a window that fits them.

    Args:
        node: made by `add_map`.
        voxels: of `map_voxels`.
        affine: to the own RAS of the input volume.
        volume_node: the input, whose parent transform the map gets.
    """
    with slicer.util.NodeModify(node):
        node.SetAndObserveTransformNodeID(volume_node.GetTransformNodeID())
        node.SetIJKToRASMatrix(matrix_to_vtk(affine))
        set_window(node.GetDisplayNode(), view_voxels(voxels), node.GetAttribute(MAP_ATTRIBUTE), CLEAR_BELOW)
        node.SetAndObserveImageData(voxels)


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
    """Color a map, in the window of `map_top`, and clear below 1 % of it. `values` are [I, J, K] or [K, J, I]."""
    with slicer.util.NodeModify(display):
        color_as_heat_map(display, colors)
        set_window(display, values, name, CLEAR_BELOW)


def color_as_heat_map(display: slicer.vtkMRMLScalarVolumeDisplayNode, colors: slicer.vtkMRMLColorNode) -> None:
    """Colors for a window and a threshold that are set by hand."""
    with slicer.util.NodeModify(display):
        display.SetAndObserveColorNodeID(colors.GetID())
        display.AutoWindowLevelOff()
        display.AutoThresholdOff()
        display.ApplyThresholdOn()
        display.InterpolateOn()
