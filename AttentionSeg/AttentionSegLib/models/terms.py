"""Coded terms, and the labels that they describe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

TERMINOLOGY_CONTEXT = "Segmentation category and type - 3D Slicer General Anatomy list"
ANATOMIC_CONTEXT = "Anatomic codes - DICOM master list"


@dataclass(frozen=True)
class Code:
    """One coded term, such as SCT 5366008 Hippocampus."""

    scheme: str
    value: str
    meaning: str

    def __str__(self) -> str:
        return f"{self.scheme}^{self.value}^{self.meaning}"


@dataclass(frozen=True)
class Label:
    """One structure that a model segments.

    `color` is RGB, each 0..255. `segment_id` is the id of its segment: the same in every run, and unique among models. `laterality` is the side of a
    paired structure.
    """

    value: int
    name: str
    color: tuple[int, int, int]
    segment_id: str
    category: Code
    type: Code
    modifier: Code | None = None
    laterality: Code | None = None

    @property
    def terminology_entry(self) -> str:
        """The term as Slicer serializes it in the tag `TerminologyEntry` of a segment.

        Slicer supports one modifier of the type, which is the side if there is one; type and other modifier are then stored as the anatomic region.
        """
        modifier, region = self.laterality or self.modifier, "^^~^^"
        if self.laterality and self.modifier:
            region = f"{self.type}~{self.modifier}"
        return f"{TERMINOLOGY_CONTEXT}~{self.category}~{self.type}~{modifier or '^^'}~{ANATOMIC_CONTEXT}~{region}"


def parse_label(entry: dict[str, Any], model_id: str) -> Label:
    """A label from its entry in a validated card."""
    terms = entry["terminology"]
    modifier = Code(**terms["modifier"]) if "modifier" in terms else None
    segment_id = f"{model_id}_{entry['value']}"
    return Label(entry["value"], entry["name"], tuple(entry["color"]), segment_id, Code(**terms["category"]), Code(**terms["type"]), modifier)
