"""Earlier results of the module, recognized by attributes of their nodes, so that a new run can replace them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING
from zlib import adler32

import numpy as np
import slicer

from ..boxes import bounding_box
from .segmentations import BINARY_LABELMAP
from .voxels import view_voxels

if TYPE_CHECKING:
    from ..models import Card
    from ..region import Region

# The choices of the run that made a node, and the state of the node at that time.
RUN_ATTRIBUTE = "AttentionSeg.Run"
STATE_ATTRIBUTE = "AttentionSeg.State"
# The volume that was segmented.
INPUT_ROLE = "AttentionSeg.Input"


def run_key(card: Card, region: Region | None, output: slicer.vtkMRMLSegmentationNode | None) -> str:
    """A key of a run on a volume: model, region and chosen output."""
    box = None if region is None else [np.round(part, 3).tolist() for part in (region.center, region.size, region.axes)]
    return json.dumps([card.id, card.weights_sha256, box, None if output is None else output.GetID()])


def mark(nodes: Iterable[slicer.vtkMRMLDisplayableNode], volume_node: slicer.vtkMRMLScalarVolumeNode, key: str) -> None:
    """Record on nodes that a run made them, with their current state."""
    for node in nodes:
        node.SetAttribute(RUN_ATTRIBUTE, key)
        node.SetNodeReferenceID(INPUT_ROLE, volume_node.GetID())
        node.SetAttribute(STATE_ATTRIBUTE, _state(node))


def keep(node: slicer.vtkMRMLDisplayableNode) -> None:
    """Make a node the user's own, so that no later run replaces it."""
    node.RemoveAttribute(RUN_ATTRIBUTE)


def is_own_result(node: slicer.vtkMRMLNode) -> bool:
    """Whether a node was made by a run and not taken over by the user."""
    return node.GetAttribute(RUN_ATTRIBUTE) is not None


def earlier_result(volume_node: slicer.vtkMRMLScalarVolumeNode, key: str) -> list[slicer.vtkMRMLDisplayableNode]:
    """The nodes of an earlier run on the volume with the same choices; none if the user has changed or renamed one of them."""
    scene = volume_node.GetScene()
    count = scene.GetNumberOfNodesByClass("vtkMRMLDisplayableNode")
    displayable = (scene.GetNthNodeByClass(index, "vtkMRMLDisplayableNode") for index in range(count))
    made = [node for node in displayable if node.GetAttribute(RUN_ATTRIBUTE) == key and input_of(node) is volume_node]
    return made if all(node.GetAttribute(STATE_ATTRIBUTE) == _state(node) for node in made) else []


def input_of(node: slicer.vtkMRMLNode) -> slicer.vtkMRMLScalarVolumeNode | None:
    """The volume that a node was made from, if it is still in the scene."""
    return node.GetNodeReference(INPUT_ROLE)


def _state(node: slicer.vtkMRMLDisplayableNode) -> str:
    if not node.IsA("vtkMRMLSegmentationNode"):
        return node.GetName()
    segmentation = node.GetSegmentation()
    segments = [(segment_id, segmentation.GetSegment(segment_id).GetName()) for segment_id in segmentation.GetSegmentIDs()]
    return json.dumps([node.GetName(), segments, _voxels(segmentation)])


def _voxels(segmentation: slicer.vtkSegmentation) -> list[tuple[int, int]]:
    """Checksum and size of each labelmap, cropped to its nonzero voxels."""
    labelmaps = {segmentation.GetNthSegment(index).GetRepresentation(BINARY_LABELMAP) for index in range(segmentation.GetNumberOfSegments())}
    voxels = [view_voxels(labelmap) for labelmap in labelmaps if labelmap is not None and labelmap.GetPointData().GetScalars() is not None]
    filled = [one[bounding_box(one) or (slice(0, 0),) * 3] for one in voxels]
    return sorted((adler32(np.asfortranarray(one.astype(np.uint8, copy=False)).ravel(order="K").data), one.size) for one in filled)
