"""The card of a result in which each found region, such as a side, has labels of its own."""

from __future__ import annotations

from dataclasses import replace

from .card import Card
from .found_by import FoundRegion
from .terms import Label


def card_of_sides(card: Card) -> Card:
    """A card with each label once per region of `found_by`, whether it is found or not, so that values have the same meaning in every result.

    With n labels, label v has the value v in the first region, n + v in the second, and so on. Names end with that of the region (`Hippocampus,
    anterior, right`), colors are those of the structures, terms get the laterality.
    A single region that is not of one side leaves the labels as they are.

    Args:
        card: of a model with `found_by`.
    """
    count = len(card.labels)
    regions = () if card.found_by is None else card.found_by.regions
    if len(regions) == 1 and regions[0].laterality is None:
        return card
    labels = tuple(_sided(label, region, number * count) for number, region in enumerate(regions) for label in card.labels)
    offsets = [number * count for number in range(len(regions))]
    return replace(
        card,
        labels=labels,
        largest_component=frozenset(value + offset for value in card.largest_component for offset in offsets),
        fill_holes=frozenset(value + offset for value in card.fill_holes for offset in offsets),
    )


def _sided(label: Label, region: FoundRegion, offset: int) -> Label:
    return replace(
        label,
        value=offset + label.value,
        name=f"{label.name}, {region.name}",
        segment_id=f"{label.segment_id}_{region.name.replace(' ', '_')}",
        laterality=region.laterality,
    )
