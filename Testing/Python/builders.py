"""Small valid inputs that several tests share."""

from __future__ import annotations

from typing import Any


def make_card_document(**changes: Any) -> dict[str, Any]:
    """A valid model card: one MR input, two labels. `changes` replaces top-level entries."""
    document = {
        "card_version": 1,
        "id": "hippocampus-t1",
        "version": "1.0.0",
        "title": "Hippocampus in T1 MR",
        "description": "Anterior and posterior hippocampus.",
        "network": {"name": "attention-unet", "arguments": {}},
        "inputs": [{"name": "T1", "modality": "MR", "normalization": {"kind": "z-score", "percentiles": [0.5, 99.5]}}],
        "spacing_mm": [1.0, 1.0, 1.0],
        "orientation": "RAS",
        "patch_size": [32, 32, 32],
        "overlap": 0.5,
        "labels": [_label(1, "Hippocampus anterior", [221, 130, 101]), _label(2, "Hippocampus posterior", [144, 238, 144])],
        "field_of_view": {"kind": "whole"},
        "weights": {"sha256": "0" * 64, "bytes": 1, "license": "CC-BY-SA-4.0"},
        "training_data": [{"name": "Task04", "license": "CC-BY-SA-4.0", "citation": "Antonelli et al. 2022"}],
        "accuracy": [],
        "intended_use": "Research.",
        "limits": ["Crops around one hippocampus."],
    }
    return {**document, **changes}


def _label(value: int, name: str, color: list[int]) -> dict[str, Any]:
    terminology = {
        "category": {"scheme": "SCT", "value": "123037004", "meaning": "Anatomical Structure"},
        "type": {"scheme": "SCT", "value": "5366008", "meaning": "Hippocampus"},
    }
    return {"value": value, "name": name, "color": color, "terminology": terminology}
