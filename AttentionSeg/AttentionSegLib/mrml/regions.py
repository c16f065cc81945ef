"""Markups ROI nodes: conversion to the engine's regions, placement, and display."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import slicer

from ..errors import InputError
from ..image import Image
from ..inference.checks import holds_voxels
from ..region import Region
from .transforms import linear_between, transform_between
from .voxels import matrix_from_vtk, matrix_to_vtk

RETIRED_OPACITY = 0.4


def region_from_roi(roi_node: slicer.vtkMRMLMarkupsROINode, volume_node: slicer.vtkMRMLScalarVolumeNode) -> Region:
    """The box that Slicer shows for an ROI, in the own RAS of a volume (its parent transform not applied).

    Raises:
        InputError: if there is no ROI, it has no size yet, it or the volume is under a nonlinear transform,
            or the volume's transform shears the box.
    """
    if roi_node is None or not roi_node.IsA("vtkMRMLMarkupsROINode"):
        msg = "No region was given; draw a markups ROI around the structure."
        raise InputError(msg)
    name = roi_node.GetName()
    size = np.array(roi_node.GetSize())
    if (size <= 0).any():
        msg = f"The region {name} has no size yet; draw it around the structure."
        raise InputError(msg)
    to_volume = linear_between(None, volume_node)
    if to_volume is None or linear_between(roi_node, None) is None:
        msg = f"The region {name} or the volume {volume_node.GetName()} is under a transform that is not linear; harden it or take it off first."
        raise InputError(msg)
    # Slicer removes shear of the ROI's own parent transform; the box is taken as Slicer shows it.
    box = to_volume @ matrix_from_vtk(roi_node.GetObjectToWorldMatrix())
    scale = np.linalg.norm(box[:3, :3], axis=0)
    axes = box[:3, :3] / scale
    if not np.allclose(axes.T @ axes, np.eye(3), atol=1e-4):
        msg = f"The transform of {volume_node.GetName()} shears the region {name}; harden the transform of the volume first."
        raise InputError(msg)
    return Region(tuple(box[:3, 3].tolist()), tuple((size * scale).tolist()), axes)


def check_region(region: Region, image: Image, roi_node: slicer.vtkMRMLMarkupsROINode, volume_node: slicer.vtkMRMLScalarVolumeNode) -> None:
    """Raise InputError, in the world coordinates that Slicer shows, if a region contains no voxel of its volume.

    Args:
        region, image: as read from the two nodes.
        roi_node, volume_node: the nodes.
    """
    if holds_voxels(image, region):
        return
    center, bounds = np.array(roi_node.GetCenterWorld()), [0.0] * 6
    volume_node.GetRASBounds(bounds)
    spans = ", ".join(f"{axis} {low:.0f}..{high:.0f}" for axis, low, high in zip("RAS", bounds[::2], bounds[1::2]))
    where = ", ".join(f"{coordinate:.0f}" for coordinate in center)
    msg = (
        f"The region {roi_node.GetName()} around ({where}) holds no voxel of {volume_node.GetName()}, which spans {spans} mm; "
        "move the region into the volume."
    )
    raise InputError(msg)


def place_region(
    volume_node: slicer.vtkMRMLScalarVolumeNode, center: Sequence[float], size: Sequence[float], name: str
) -> slicer.vtkMRMLMarkupsROINode:
    """Add an ROI around a position, its edges along the axes of the volume in world space.

    Args:
        volume_node: the volume to segment, in a scene.
        center: world RAS mm.
        size: edge lengths in mm along right, anterior and superior of the volume.
        name: of the new node.
    """
    roi = volume_node.GetScene().AddNewNodeByClass("vtkMRMLMarkupsROINode", name)
    roi.CreateDefaultDisplayNodes()
    roi.GetDisplayNode().SetFillOpacity(0.1)
    to_world = linear_between(volume_node, None)
    if to_world is not None:
        axes, _ = np.linalg.qr(to_world[:3, :3])
        pose = np.eye(4)
        pose[:3, :3] = axes * np.sign((axes * to_world[:3, :3]).sum(axis=0))
        roi.SetAndObserveObjectToNodeMatrix(matrix_to_vtk(pose))
    roi.SetCenterWorld(*center)
    roi.SetSize(*size)
    return roi


def placed_regions(volume_node: slicer.vtkMRMLScalarVolumeNode, regions: dict[str, Region], name: str) -> dict[str, slicer.vtkMRMLMarkupsROINode]:
    """Add an ROI, named after the key, for each region in the own RAS of a volume; see `place_region`."""
    to_world = transform_between(volume_node, None)
    return {
        side: place_region(volume_node, to_world.TransformPoint(*region.center), region.size, f"{name} {side}") for side, region in regions.items()
    }


def retire_region(roi_node: slicer.vtkMRMLMarkupsROINode) -> None:
    """Show a region as a thin outline without fill, handles and label, so that it cannot be dragged by accident. For regions with a result."""
    display = roi_node.GetDisplayNode()
    if display is None:
        return
    with slicer.util.NodeModify(display):
        display.SetFillVisibility(False)
        display.SetOutlineOpacity(RETIRED_OPACITY)
        display.SetHandlesInteractive(False)
        display.SetPropertiesLabelVisibility(False)


def edit_region(roi_node: slicer.vtkMRMLMarkupsROINode) -> None:
    """Undo `retire_region`, so that the region can be moved and resized."""
    display = roi_node.GetDisplayNode()
    if display is None:
        return
    with slicer.util.NodeModify(display):
        display.SetFillVisibility(True)
        display.SetOutlineOpacity(1.0)
        display.SetHandlesInteractive(True)
        display.SetPropertiesLabelVisibility(True)


def crosshair_in(volume_node: slicer.vtkMRMLScalarVolumeNode) -> tuple[float, float, float] | None:
    """Position of the crosshair, world RAS mm; None if it was not moved yet or is outside the volume."""
    crosshair = volume_node.GetScene().GetFirstNodeByClass("vtkMRMLCrosshairNode")
    if crosshair is None:
        return None
    low, high = _bounds(volume_node)
    position = np.array(crosshair.GetCrosshairRAS())
    # The crosshair is at the origin until it is moved.
    return tuple(position.tolist()) if position.any() and ((position >= low) & (position <= high)).all() else None


def middle_of(volume_node: slicer.vtkMRMLScalarVolumeNode) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """The center of a volume in world RAS mm, and half its size in mm."""
    low, high = _bounds(volume_node)
    return tuple(((low + high) / 2).tolist()), tuple(((high - low) / 2).tolist())


def _bounds(volume_node: slicer.vtkMRMLScalarVolumeNode) -> tuple[np.ndarray, np.ndarray]:
    bounds = [0.0] * 6
    volume_node.GetRASBounds(bounds)
    low, high = np.array(bounds).reshape(3, 2).T
    return low, high
