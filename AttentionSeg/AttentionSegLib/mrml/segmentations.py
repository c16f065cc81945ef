"""Conversion of label maps to segmentation nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import slicer

from ..boxes import bounding_box
from ..errors import InputError
from ..image import Image
from .provenance import provenance
from .transforms import linear_between
from .volumes import check_unchanged
from .voxels import fill_voxels, matrix_to_vtk

if TYPE_CHECKING:
    from ..inference.prediction import Prediction
    from ..models import Label

BINARY_LABELMAP = "Binary labelmap"
CLOSED_SURFACE = "Closed surface"
REFERENCE_GEOMETRY = "Reference image geometry"


def publish_segmentation(
    prediction: Prediction,
    volume_node: slicer.vtkMRMLScalarVolumeNode,
    segmentation_node: slicer.vtkMRMLSegmentationNode | None = None,
) -> slicer.vtkMRMLSegmentationNode:
    """Add the labels of a prediction as segments, exactly on the voxels of the input volume.

    Every label of the card becomes a segment, an absent structure an empty one. A given segmentation keeps its other segments
    at their world positions; its segments with the ids of the labels are replaced.

    Args:
        prediction: of the volume.
        volume_node: the input (its first channel), in a scene.
        segmentation_node: node to add the segments to; a new node when left out.

    Raises:
        InputError: before anything changes, if the volume's geometry is no longer that of the prediction, or if the given
            segmentation has other segments and is not made of voxels or a nonlinear transform lies between it and the volume.
    """
    labels = prediction.labels
    check_unchanged(labels, volume_node)
    affine = labels.affine
    others = _other_segments(segmentation_node, prediction)
    if others:
        affine = _to_segmentation(volume_node, segmentation_node) @ affine
    segments = _segments(prediction, _labelmap(labels, affine))
    node = _new_node(volume_node) if segmentation_node is None else segmentation_node
    shown_in_3d = node.GetSegmentation().ContainsRepresentation(CLOSED_SURFACE)
    with slicer.util.NodeModify(node):
        _replace_segments(node.GetSegmentation(), segments, alone=not others)
        if not others:
            # Before the reference geometry, which Slicer transforms from the volume's to the segmentation's space when it is set.
            node.SetAndObserveTransformNodeID(volume_node.GetTransformNodeID())
        if not others or not node.GetSegmentation().GetConversionParameter(REFERENCE_GEOMETRY):
            node.SetReferenceImageGeometryParameterFromVolumeNode(volume_node)
        node.CreateDefaultDisplayNodes()
        if shown_in_3d:
            node.CreateClosedSurfaceRepresentation()
    return node


def _other_segments(node: slicer.vtkMRMLSegmentationNode | None, prediction: Prediction) -> set[str]:
    if node is None:
        return set()
    return set(node.GetSegmentation().GetSegmentIDs()) - {label.segment_id for label in prediction.card.labels}


def _to_segmentation(volume_node: slicer.vtkMRMLScalarVolumeNode, node: slicer.vtkMRMLSegmentationNode) -> np.ndarray:
    forms: list[str] = []
    node.GetSegmentation().GetContainedRepresentationNames(forms)
    if node.GetSegmentation().GetSourceRepresentationName() != BINARY_LABELMAP or not set(forms) <= {BINARY_LABELMAP, CLOSED_SURFACE}:
        msg = (
            f"The segmentation {node.GetName()} is made of {', '.join(sorted(forms))}, and Slicer cannot add voxels to it; "
            "convert it to a binary labelmap alone or choose a new segmentation."
        )
        raise InputError(msg)
    matrix = linear_between(volume_node, node)
    if matrix is None:
        msg = (
            f"The segmentation {node.GetName()} and the volume {volume_node.GetName()} are under different transforms that are not linear; "
            "put both under the same one or choose a new segmentation."
        )
        raise InputError(msg)
    return matrix


def _labelmap(labels: Image, affine: np.ndarray) -> slicer.vtkOrientedImageData:
    """One labelmap for all segments, cropped to its labeled voxels, as Slicer stores it."""
    voxels = labels.voxels[0]
    box = bounding_box(voxels) or (slice(0, 0),) * 3
    labelmap = slicer.vtkOrientedImageData()
    fill_voxels(labelmap, voxels[box], tuple(part.start for part in box))
    labelmap.SetImageToWorldMatrix(matrix_to_vtk(affine))
    return labelmap


def _new_node(volume_node: slicer.vtkMRMLScalarVolumeNode) -> slicer.vtkMRMLSegmentationNode:
    return volume_node.GetScene().AddNewNodeByClass("vtkMRMLSegmentationNode", f"{volume_node.GetName()} segmentation")


def _segments(prediction: Prediction, labelmap: slicer.vtkOrientedImageData) -> dict[str, slicer.vtkSegment]:
    tags = provenance(prediction.card)
    return {label.segment_id: _segment(label, labelmap, tags) for label in prediction.card.labels}


def _segment(label: Label, labelmap: slicer.vtkOrientedImageData, tags: dict[str, str]) -> slicer.vtkSegment:
    segment = slicer.vtkSegment()
    segment.SetName(label.name)
    segment.SetNameAutoGenerated(False)
    segment.SetColor(*(part / 255 for part in label.color))
    segment.SetColorAutoGenerated(False)
    segment.SetTag(segment.GetTerminologyEntryTagName(), label.terminology_entry)
    for name, value in tags.items():
        segment.SetTag(name, value)
    segment.SetLabelValue(label.value)
    segment.AddRepresentation(BINARY_LABELMAP, labelmap)
    return segment


def _replace_segments(segmentation: slicer.vtkSegmentation, segments: dict[str, slicer.vtkSegment], alone: bool) -> None:
    places = {segment_id: segmentation.GetSegmentIndex(segment_id) for segment_id in segments if segmentation.GetSegment(segment_id)}
    kept = [_voxels_of(segmentation, segment_id) for segment_id in segmentation.GetSegmentIDs() if segment_id not in places]
    for segment_id in places:
        # Slicer erases a segment from the labelmap that it shares, which takes long and is needed only if others stay in it.
        if _voxels_of(segmentation, segment_id) not in kept:
            segmentation.GetSegment(segment_id).RemoveRepresentation(BINARY_LABELMAP)
        segmentation.RemoveSegment(segment_id)
    if alone:
        segmentation.SetSourceRepresentationName(BINARY_LABELMAP)
    for segment_id, segment in segments.items():
        segmentation.AddSegment(segment, segment_id)
    for segment_id, place in sorted(places.items(), key=lambda item: item[1]):
        segmentation.SetSegmentIndex(segment_id, place)


def _voxels_of(segmentation: slicer.vtkSegmentation, segment_id: str) -> slicer.vtkOrientedImageData | None:
    """The labelmap of a segment, which it may share with others; None if it has another representation alone."""
    return segmentation.GetSegment(segment_id).GetRepresentation(BINARY_LABELMAP)
