"""Volume nodes for attention maps, uncertainty and probabilities, with the display of a heat map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import slicer
import vtk

from ..reporting.intensities import map_top
from .heat_map import heat_map
from .node_names import free_name
from .provenance import provenance
from .volumes import is_picture
from .voxels import fill_voxels, matrix_to_vtk, view_voxels

if TYPE_CHECKING:
    from ..image import Image
    from ..models import Card

# The id of the map that a volume shows, such as `gate_2`.
MAP_ATTRIBUTE = "AttentionSeg.Map"
# Method and layer of an explanation where they are not the usual ones, of which the model's card has figures.
EXPLAINED_ATTRIBUTE = "AttentionSeg.Explained"
# Of a picture, whose pixels are of unknown size.
IN_PIXELS_ATTRIBUTE = "AttentionSeg.InPixels"
CLEAR_BELOW = 0.01


def is_own_map(node: slicer.vtkMRMLNode) -> bool:
    """Whether a volume is a map (attention, uncertainty, probabilities, probe), and not a scan to segment or to train on."""
    return node.GetAttribute(MAP_ATTRIBUTE) is not None


def publish_map(
    image: Image, name: str, card: Card, volume_node: slicer.vtkMRMLScalarVolumeNode, node_name: str | None = None
) -> slicer.vtkMRMLScalarVolumeNode:
    """Add a map to the scene of its input volume, on the map's own grid and under the input's parent transform.

    Args:
        image: values of one channel, [1, I, J, K], transparent at 0; the affine leads to the own RAS of the input volume.
        name: id of the map: `gate_2`, `uncertainty` (see `map_kind`).
        card: the model's card.
        volume_node: the input, in a scene.
        node_name: when left out, `<input> <name>`, with a number if that name is taken.

    Returns:
        A float32 volume with heat-map colors in the window of `map_top`, transparent below 1 % of it.
    """
    node = add_map(name, card, volume_node, node_name)
    fill_map(node, map_voxels(image), image.affine, volume_node)
    return node


def add_map(name: str, card: Card, volume_node: slicer.vtkMRMLScalarVolumeNode, node_name: str | None = None) -> slicer.vtkMRMLScalarVolumeNode:
    """Add a volume for a map, with display nodes and without voxels (see `publish_map`)."""
    scene = volume_node.GetScene()
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", node_name or free_name(scene, f"{volume_node.GetName()} {name}"))
    with slicer.util.NodeModify(node):
        for attribute, value in {**provenance(card), MAP_ATTRIBUTE: name}.items():
            node.SetAttribute(attribute, value)
        # Before the voxels are set, because Slicer would compute a window from all of them.
        node.CreateDefaultDisplayNodes()
        color_as_heat_map(node.GetDisplayNode(), heat_map(scene))
    return node


def map_voxels(image: Image) -> vtk.vtkImageData:
    """The values of a map [1, I, J, K] as a VTK image, single precision."""
    voxels = vtk.vtkImageData()
    fill_voxels(voxels, np.asarray(image.voxels[0], dtype=np.float32))
    return voxels


def fill_map(node: slicer.vtkMRMLScalarVolumeNode, voxels: vtk.vtkImageData, affine: np.ndarray, volume_node: slicer.vtkMRMLScalarVolumeNode) -> None:
    """Set the values of a map and fit its window to them; the colors stay.

    Args:
        node: made by `add_map`.
        voxels: from `map_voxels`.
        affine: from voxel indices to the own RAS of the input volume.
        volume_node: the input, whose parent transform the map gets.
    """
    with slicer.util.NodeModify(node):
        node.SetAndObserveTransformNodeID(volume_node.GetTransformNodeID())
        node.SetAttribute(IN_PIXELS_ATTRIBUTE, "1" if is_picture(volume_node) else None)
        node.SetIJKToRASMatrix(matrix_to_vtk(affine))
        set_window(node.GetDisplayNode(), view_voxels(voxels), node.GetAttribute(MAP_ATTRIBUTE), CLEAR_BELOW)
        node.SetAndObserveImageData(voxels)


def set_window(display: slicer.vtkMRMLScalarVolumeDisplayNode, values: np.ndarray, name: str, clear_below: float) -> None:
    """Fit window and threshold to the values of a map.

    Args:
        display: of the map's volume.
        values: [I, J, K].
        name: id of the map.
        clear_below: fraction of the window below which the map is transparent, 0..1.
    """
    top = map_top(values, name)
    with slicer.util.NodeModify(display):
        display.SetWindowLevelMinMax(0.0, top)
        display.SetThreshold(clear_below * top, max(float(values.max()), top))


def show_as_heat_map(display: slicer.vtkMRMLScalarVolumeDisplayNode, values: np.ndarray, name: str, colors: slicer.vtkMRMLColorNode) -> None:
    """Color a map in the window of `map_top`, transparent below 1 % of it. `values` are [I, J, K] or [K, J, I]."""
    with slicer.util.NodeModify(display):
        color_as_heat_map(display, colors)
        set_window(display, values, name, CLEAR_BELOW)


def color_as_heat_map(display: slicer.vtkMRMLScalarVolumeDisplayNode, colors: slicer.vtkMRMLColorNode) -> None:
    """Set heat-map colors, and make the window and threshold manual."""
    with slicer.util.NodeModify(display):
        display.SetAndObserveColorNodeID(colors.GetID())
        display.AutoWindowLevelOff()
        display.AutoThresholdOff()
        display.ApplyThresholdOn()
        display.InterpolateOn()
