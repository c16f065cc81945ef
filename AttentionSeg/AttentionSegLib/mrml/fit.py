"""Whether a scan is of the kind a model knows: modality, spacing, field of view."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import slicer

from ..errors import InputError
from ..inference.checks import larger_than_region, region_note
from .regions import region_from_roi
from .transforms import local_affine

if TYPE_CHECKING:
    from ..models import Card

# Slices so many times thicker than those of the training data are worth a word.
THICK = 2.5
AIR_IN_HU = -500
SMALLER_THAN_REGION = 0.7


def fit_hints(
    card: Card,
    volume_nodes: Sequence[slicer.vtkMRMLScalarVolumeNode | None],
    roi_node: slicer.vtkMRMLMarkupsROINode | None = None,
) -> list[str]:
    """One sentence for each way in which volumes and region differ from what the model was trained on. Hints, not errors: the run may go on."""
    hints = []
    for channel, node in zip(card.inputs, volume_nodes):
        if node is None or node.GetImageData() is None:
            continue
        found = _modality(node)
        if found is not None and found != channel.modality and "CT" in (found, channel.modality):
            hints.append(f"{node.GetName()} looks like {found}; the model was trained on {channel.modality}.")
        thickest, known = max(node.GetSpacing()), max(card.spacing)
        if thickest > THICK * known:
            hints.append(f"{node.GetName()} has {thickest:.3g} mm between slices; the model was trained on {known:.3g} mm.")
        if card.region_size and (_extent(node) < SMALLER_THAN_REGION * np.sort(card.region_size)).any():
            sizes = (" x ".join(f"{length:.0f}" for length in lengths) for lengths in (_extent(node), np.sort(card.region_size)))
            hints.append("{} covers {} mm; the model was trained on about {} mm.".format(node.GetName(), *sizes))
    hint = _region_hint(card, volume_nodes[0], roi_node) if volume_nodes else ""
    return [*hints, hint] if hint else hints


def misfit(modalities: Sequence[str], volume_node: slicer.vtkMRMLScalarVolumeNode) -> str:
    """Why a volume cannot be what a model was trained on, in a few words; empty where it can be.

    Args:
        modalities: of the model's inputs, such as `("MR",)`.
        volume_node: the first input.
    """
    if volume_node.GetImageData() is None:
        return ""
    found, wanted = _modality(volume_node), modalities[0]
    if found is None and wanted == "CT":
        return f"for CT, and {volume_node.GetName()} has no air below {AIR_IN_HU} HU"
    if found is not None and found != wanted and "CT" in (found, wanted):
        return f"for {wanted}, and {volume_node.GetName()} looks like {found}"
    return ""


def lacks_region(card: Card, volume_node: slicer.vtkMRMLScalarVolumeNode) -> bool:
    """Whether a model that knows only a region, and names nothing that finds it, is about to be given a volume that is much larger."""
    if card.found_by is not None or volume_node.GetImageData() is None:
        return False
    return larger_than_region(_extent(volume_node), card)


def _region_hint(card: Card, volume_node: slicer.vtkMRMLScalarVolumeNode | None, roi_node: slicer.vtkMRMLMarkupsROINode | None) -> str:
    if roi_node is None or volume_node is None:
        return ""
    try:
        return region_note(region_from_roi(roi_node, volume_node), card)
    except InputError as error:
        # A run would be refused with this sentence.
        return str(error)


def _extent(node: slicer.vtkMRMLScalarVolumeNode) -> np.ndarray:
    """Edge lengths of a volume in mm, the shortest first."""
    steps = np.linalg.norm(local_affine(node)[:3, :3], axis=0)
    return np.sort(steps * node.GetImageData().GetDimensions())


def _modality(node: slicer.vtkMRMLScalarVolumeNode) -> str | None:
    """What DICOM says, else CT for air in Hounsfield units; None where nothing tells."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(node.GetScene())
    item = hierarchy.GetItemByDataNode(node) if hierarchy is not None else 0
    said = hierarchy.GetItemAttribute(item, "DICOM.Modality") if item else ""
    if said:
        return said
    return "CT" if node.GetImageData().GetScalarRange()[0] < AIR_IN_HU else None
