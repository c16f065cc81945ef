"""The model that made a node, stored in attributes and tags so that it is saved with the scene."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import slicer

    from ..models import Card

MODEL_ID = "AttentionSeg.ModelId"
WEIGHTS = "AttentionSeg.WeightsSHA256"


def provenance(card: Card) -> dict[str, str]:
    """Names and values of the attributes of nodes and tags of segments."""
    return {
        MODEL_ID: card.id,
        "AttentionSeg.ModelVersion": card.version,
        WEIGHTS: card.weights_sha256,
    }


def is_result(node: slicer.vtkMRMLSegmentationNode) -> bool:
    """Whether every segment of a segmentation was made by a model."""
    inner = node.GetSegmentation()
    segments = [inner.GetNthSegment(index) for index in range(inner.GetNumberOfSegments())]
    return bool(segments) and all(segment.HasTag(MODEL_ID) for segment in segments)
