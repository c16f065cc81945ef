"""Checks whether a volume suits a model: modality, spacing, field of view."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import slicer

from ..errors import InputError
from ..image import Image
from ..inference import checks
from ..inference.checks import region_note
from ..inference.fit import AIR_IN_HU, ScanFacts, can_rescale, fit_notes
from ..inference.memory_estimate import estimated_bytes, estimated_gpu_bytes
from .regions import region_from_roi
from .transforms import local_affine
from .volumes import dicom_modality, is_picture
from .voxels import view_channels

if TYPE_CHECKING:
    from ..models import Card
    from ..options import RunOptions


def fit_hints(
    card: Card,
    volume_nodes: Sequence[slicer.vtkMRMLScalarVolumeNode | None],
    roi_node: slicer.vtkMRMLMarkupsROINode | None = None,
    rescale: bool = False,
) -> list[str]:
    """One sentence for each difference between volumes or region and the model's training data. These are hints: they do not stop a run.

    Args:
        card: of the model.
        volume_nodes: one per input of the model.
        roi_node: the region to segment.
        rescale: whether 1024 will be subtracted from CT stored as HU + 1024, which then needs no hint.
    """
    scans = [None if node is None or node.GetImageData() is None else _facts(node) for node in volume_nodes]
    if rescale:
        scans = [
            replace(scan, intensities="HU") if scan and can_rescale(one.modality, scan.intensities) else scan for one, scan in zip(card.inputs, scans)
        ]
    hints = fit_notes(card, scans)
    hint = _region_hint(card, volume_nodes[0], roi_node) if volume_nodes else ""
    return [*hints, hint] if hint else hints


def is_stored_hu(card: Card, volume_nodes: Sequence[slicer.vtkMRMLScalarVolumeNode | None]) -> bool:
    """Whether a volume looks like CT stored as HU + 1024, and the model takes HU."""
    scans = ((one.modality, node) for one, node in zip(card.inputs, volume_nodes) if node is not None and node.GetImageData() is not None)
    return any(can_rescale(modality, _facts(node).intensities) for modality, node in scans)


def misfit(modalities: Sequence[str], slices: str | None, in_colors: bool, volume_node: slicer.vtkMRMLScalarVolumeNode) -> str:
    """Why a model cannot take a volume: its colors, its single slice or its modality, in a few words; empty if it can.

    Args:
        modalities: of the scans of the model, such as `("MR",)`.
        slices: that the model works on, such as `axial`; None if it works on volumes.
        in_colors: whether the model takes images in colors.
        volume_node: the first input.
    """
    if volume_node.GetImageData() is None:
        return ""
    name, thin = volume_node.GetName(), checks.thin_planes(_image(volume_node))
    colored = volume_node.GetImageData().GetNumberOfScalarComponents() > 1
    if colored != in_colors:
        return f"for images in colors, and {name} is gray" if in_colors else f"for gray images, and {name} is in colors"
    if thin and slices is None:
        return f"for volumes, and {name} is a single slice"
    if thin and thin != [slices]:
        return f"for {slices} slices, and {name} is a single {' and '.join(thin)} one"
    scan, wanted = _facts(volume_node), modalities[0]
    found = scan.looks_like
    if found is None and wanted == "CT":
        return f"for CT, and {name} has no air below {AIR_IN_HU:g} HU"
    if found is not None and found != wanted and "CT" in (found, wanted):
        return f"for {wanted}, and {name} looks like {found}"
    return ""


def refused_kind(card: Card, volume_nodes: Sequence[slicer.vtkMRMLScalarVolumeNode]) -> str:
    """The sentence with which a run would refuse the colors or the single slice of a volume; empty if it would not."""
    try:
        for node in volume_nodes:
            checks.check_slice(_image(node), card)
        if len(card.scans) == 1:
            checks.check_channels(_image(volume_nodes[0]), card)
    except InputError as error:
        return str(error)
    return ""


def lacks_region(card: Card, volume_node: slicer.vtkMRMLScalarVolumeNode) -> bool:
    """Whether a model that segments a region only, and has no model to find it, would get a volume that is much larger."""
    if volume_node.GetImageData() is None:
        return False
    spacing = np.linalg.norm(local_affine(volume_node)[:3, :3], axis=0)
    return checks.lacks_region(spacing * volume_node.GetImageData().GetDimensions(), card)


def needed_bytes(
    card: Card, volume_node: slicer.vtkMRMLScalarVolumeNode, roi_node: slicer.vtkMRMLMarkupsROINode | None, options: RunOptions
) -> tuple[float, float]:
    """Estimated memory of a run on a volume with voxels: in main memory, and on a GPU if it computes there (see `memory_estimate`).

    Raises:
        InputError: for a region that cannot be used.
    """
    image_data, region = volume_node.GetImageData(), region_from_roi(roi_node, volume_node) if roi_node is not None else None
    shape, spacing = image_data.GetDimensions(), np.linalg.norm(local_affine(volume_node)[:3, :3], axis=0).tolist()
    main = estimated_bytes(card, shape, spacing, options, region, image_data.GetScalarSize())
    return main, estimated_gpu_bytes(card, shape, spacing, region)


def _region_hint(card: Card, volume_node: slicer.vtkMRMLScalarVolumeNode | None, roi_node: slicer.vtkMRMLMarkupsROINode | None) -> str:
    if roi_node is None or volume_node is None:
        return ""
    try:
        return region_note(region_from_roi(roi_node, volume_node), card)
    except InputError as error:
        # A run would fail with this sentence.
        return str(error)


def _image(node: slicer.vtkMRMLScalarVolumeNode) -> Image:
    """A volume with voxels, which are not copied."""
    return Image(view_channels(node.GetImageData()), local_affine(node), node.GetName())


def _facts(node: slicer.vtkMRMLScalarVolumeNode) -> ScanFacts:
    """Facts of a volume with voxels; the modality is that of its DICOM header."""
    return ScanFacts.of(node.GetName(), view_channels(node.GetImageData())[0], local_affine(node), dicom_modality(node), not is_picture(node))
