"""Conversion of scalar volume nodes to the engine's image."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import slicer

from ..errors import InputError
from ..files.formats import PICTURES, ending_of
from ..image import Image, affine_fault, without_nan
from ..models.channels import COLORS
from ..same_grid import is_same_grid, place_on
from .resampling import resample_onto
from .transforms import linear_between, local_affine
from .voxels import view_channels


def image_from_volumes(volume_nodes: Iterable[slicer.vtkMRMLScalarVolumeNode]) -> Image:
    """Copy volumes, one per channel, into one image.

    The image has the grid of the first volume, in that volume's own RAS: its parent transform is not applied, so results
    under the same parent transform match it exactly. Another volume with voxels at the same positions is copied voxel by voxel; one
    on another grid or under another parent transform is sampled linearly at the world positions of the first one's voxels,
    with its own smallest value outside of it.

    Args:
        volume_nodes: scalar volumes in the order of the model's inputs; a single color slice (a vector volume) counts as three.

    Returns:
        Voxels [C, I, J, K] in the smallest type that holds every channel.

    Raises:
        InputError: if there is no volume, one is a label map, has no voxels or several values per voxel, the geometry of one is not regular
            (see `Image`), or one covers less than 90 % of the first one's voxels.
    """
    nodes = list(volume_nodes)
    if not nodes:
        msg = "No volume was given; choose the volume to segment."
        raise InputError(msg)
    images = [_view(node, number) for number, node in enumerate(nodes, start=1)]
    channels = list(images[0].voxels)
    for node, image in zip(nodes[1:], images[1:]):
        same = _same_voxels(image, node, images[0], nodes[0])
        channels.append(resample_onto(images[0], nodes[0], node) if same is None else same)
    # In VTK's memory order, I fastest: a copy into another order takes ten times as long.
    voxels = np.empty((len(channels), *reversed(images[0].shape)), dtype=np.result_type(*channels)).transpose(0, 3, 2, 1)
    for index, channel in enumerate(channels):
        voxels[index] = channel
    modalities = tuple(dicom_modality(node) for node, image in zip(nodes, images) for _ in range(image.channels))
    return without_nan(replace(images[0], voxels=voxels, modalities=modalities if any(modalities) else ()))


def dicom_modality(node: slicer.vtkMRMLNode) -> str | None:
    """The modality of the DICOM series that a node was loaded from, such as `CT`; None if it was not loaded from DICOM."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(node.GetScene()) if node.GetScene() is not None else None
    if hierarchy is None:
        return None
    item = hierarchy.GetItemByDataNode(node)
    return (hierarchy.GetItemAttribute(item, "DICOM.Modality") if item else "") or None


def volume_state(volume_node: slicer.vtkMRMLScalarVolumeNode) -> tuple:
    """The state of a volume's voxels and geometry, which is another one after each change."""
    image_data = volume_node.GetImageData()
    return None if image_data is None else image_data.GetMTime(), *local_affine(volume_node).ravel()


def check_unchanged(image: Image, volume_node: slicer.vtkMRMLScalarVolumeNode) -> None:
    """Raise InputError unless a result still has the grid of its input volume."""
    if not is_same_grid(image, volume_node.GetImageData().GetDimensions(), local_affine(volume_node)):
        msg = f"The geometry of {volume_node.GetName()} changed after it was segmented; segment it again."
        raise InputError(msg)


def _view(node: slicer.vtkMRMLScalarVolumeNode, number: int) -> Image:
    if node is None or not node.IsA("vtkMRMLScalarVolumeNode"):
        msg = f"Input {number} is not a scalar volume; choose a volume for it."
        raise InputError(msg)
    name = node.GetName() or f"Input {number}"
    if node.IsA("vtkMRMLLabelMapVolumeNode"):
        msg = f"{name} is a label map, which holds numbers of structures and no intensities; choose the scan that it was drawn on."
        raise InputError(msg)
    image_data = node.GetImageData()
    if image_data is None or image_data.GetPointData().GetScalars() is None or image_data.GetNumberOfPoints() == 0:
        msg = f"{name} has no voxels; load its image or choose another volume."
        raise InputError(msg)
    components = image_data.GetNumberOfScalarComponents()
    in_colors = components == len(COLORS) and 1 in image_data.GetDimensions() and number == 1
    if components != 1 and not in_colors:
        msg = f"{name} has {components} values per voxel, such as a color image; convert it to a scalar volume first."
        raise InputError(msg)
    return Image(view_channels(image_data), local_affine(node), name, spacing_known=not is_picture(node))


def is_picture(node: slicer.vtkMRMLScalarVolumeNode) -> bool:
    """Whether a volume was loaded from a 2D image file without spacing, and has not been given one since."""
    storage = node.GetStorageNode()
    return storage is not None and ending_of(storage.GetFileName() or "") in PICTURES.endings and set(node.GetSpacing()) == {1.0}


def _same_voxels(image: Image, node: slicer.vtkMRMLVolumeNode, first: Image, first_node: slicer.vtkMRMLVolumeNode) -> np.ndarray | None:
    """The voxels [I, J, K] of a volume on the grid of the first one; None if they are at other positions or do not cover it."""
    to_first = linear_between(node, first_node)
    if to_first is None or affine_fault(to_first @ image.affine) is not None:
        return None
    moved = replace(image, affine=to_first @ image.affine)
    placement = place_on(moved, first)
    if placement is None or not placement.is_exact or not placement.covers(image.shape, first.shape):
        return None
    return placement.rearrange(image.voxels, first.shape)[0]
