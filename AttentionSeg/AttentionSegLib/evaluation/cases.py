"""The labelled scans of an evaluation, and the checks of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..datasets.case_files import check_folders
from ..datasets.cases import MOST_NAMED, Case, find_cases, named, pair_scans
from ..datasets.label_reading import LabelReading
from ..datasets.label_tables import read_otherwise
from ..errors import InputError
from ..image import Image
from ..inference.checks import check_input, is_searched
from ..models import Card, card_of_sides
from ..region import Region


def readable_cases(cases: Sequence[Case], reading: LabelReading, card: Card) -> list[Case]:
    """Cases whose label maps are read by the label names of a model, or of the regions that it finds."""
    cards = [card] if card.found_by is None else [card, card_of_sides(card)]
    named = reading.with_names(*({label.value: label.name for label in one.labels} for one in cards))
    return [replace(case, reading=named) for case in cases]


def labelled_cases(images: Path, labels: Path, split: Path | None, role: str | None) -> list[Case]:
    """The cases to measure on: those of one role of the split, or all.

    Raises:
        InputError: if a folder is missing or has no scan, scans and label maps do not pair, or the split cannot be used (see `find_cases`).
    """
    check_folders(images, labels)
    if split is not None and role is not None:
        role = role.casefold()
        return find_cases(images, labels, split, only=role)[role]
    if split is not None or role is not None:
        given, missing = (f"The split {split}", "role") if role is None else (f"The role '{role}'", "split")
        msg = f"{given} was given without a {missing}; give both, or neither to measure on all scans of the folder."
        raise InputError(msg)
    return pair_scans(images, labels)


def check_labelled(image: Image, reference: Image, cards: Sequence[Card], ignored: int | None = None, region: Region | None = None) -> None:
    """Raise InputError unless the models can segment the scan, and the label map has only their labels, or those of the regions that they find."""
    for card in cards:
        check_input(image, region, card)
    labels = (card_of_sides(cards[0]) if region is None and is_searched(image.spacing * image.shape, cards[0]) else cards[0]).labels
    known_values = [label.value for label in labels] + ([] if ignored is None else [ignored])
    unknown = np.unique(reference.voxels[~np.isin(reference.voxels, [0, *known_values])])
    if unknown.size:
        found = ", ".join(map(str, unknown[:MOST_NAMED])) + (", ..." if unknown.size > MOST_NAMED else "")
        known = ", ".join(f"{label.value} {label.name}" for label in labels)
        msg = (
            f"{reference.name} has label values that the model {cards[0].id} does not know ({found}), only 0 background, {known}; "
            f"{read_otherwise(int(unknown[0]), labels[0].value)}."
        )
        raise InputError(msg)


def absence_note(absent: Sequence[str]) -> list[str]:
    """A sentence if there are labels that no reference has, in a list."""
    if not absent:
        return []
    return [f"No label map has a voxel of {named(absent)}: figures of such a label, which the means contain, say only whether it was predicted."]


def check_whole(image: Image, card: Card) -> None:
    """Raise InputError if a model would search for its regions in a scan; maps are measured only on scans that are segmented as a whole."""
    if is_searched(image.spacing * image.shape, card):
        msg = f"{image.name} is larger than a region of the model {card.id}, and maps are measured on single regions; crop it, or leave --maps out."
        raise InputError(msg)


def has_sides(reference: Image, card: Card, ignored: int | None = None) -> bool:
    """Whether a label map distinguishes sides: it has values beyond those of the model."""
    return bool(((reference.voxels > len(card.labels)) & (reference.voxels != ignored)).any())


def judged_cards(cards: Sequence[Card], sided: Sequence[str], searched: Sequence[bool]) -> list[Card]:
    """The cards whose labels are measured: those with sides if a label map distinguishes them, else those of the models, to which sides are folded.

    Args:
        cards: of the models.
        sided: names of the label maps that distinguish sides.
        searched: for each scan whether the models find their regions in it.

    Raises:
        InputError: if some label maps distinguish sides that not all models or scans have.
    """
    if not sided:
        return list(cards)
    if not all(searched):
        msg = f"{sided[0]} has labels of sides, and some scans show a single region, which has none; evaluate the two kinds one after the other."
        raise InputError(msg)
    judged = [card_of_sides(card) for card in cards]
    if any([label.name for label in card.labels] != [label.name for label in judged[0].labels] for card in judged):
        msg = (
            f"{sided[0]} has labels of sides, and the models {' and '.join(card.id for card in cards)} name their sides differently; compare others."
        )
        raise InputError(msg)
    return judged


def fold_sides(labels: Image, card: Card) -> Image:
    """Map labels of sides to those of the model: value v of the first region, n + v of the second and so on become v."""
    count = len(card.labels)
    voxels = labels.voxels
    return replace(labels, voxels=np.where(voxels > 0, (voxels - 1) % count + 1, 0).astype(voxels.dtype))
