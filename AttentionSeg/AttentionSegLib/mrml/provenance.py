"""Which model made a node: said on the node itself, so that it survives saving."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import slicer

    from ..models import Card

MODEL_ID = "AttentionSeg.ModelId"


def provenance(card: Card) -> dict[str, str]:
    """Names and values for attributes of nodes and tags of segments."""
    return {
        MODEL_ID: card.id,
        "AttentionSeg.ModelVersion": card.version,
        "AttentionSeg.WeightsSHA256": card.weights_sha256,
    }


def is_result(node: slicer.vtkMRMLSegmentationNode) -> bool:
    """Whether a model made every segment of a segmentation."""
    inner = node.GetSegmentation()
    segments = [inner.GetNthSegment(index) for index in range(inner.GetNumberOfSegments())]
    return bool(segments) and all(segment.HasTag(MODEL_ID) for segment in segments)
