"""Which model made a node: said on the node itself, so that it survives saving."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..models import Card


def provenance(card: Card) -> dict[str, str]:
    """Names and values for attributes of nodes and tags of segments."""
    return {
        "AttentionSeg.ModelId": card.id,
        "AttentionSeg.ModelVersion": card.version,
        "AttentionSeg.WeightsSHA256": card.weights_sha256,
    }
