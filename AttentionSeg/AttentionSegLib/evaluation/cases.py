"""The labelled scans of an evaluation, and what can be wrong with them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..datasets.cases import MOST_NAMED, Case, check_folders, find_cases, pair_scans
from ..errors import InputError
from ..image import Image
from ..inference.checks import check_input
from ..models import Card


def labelled_cases(images: Path, labels: Path, split: Path | None, role: str | None) -> list[Case]:
    """The cases to measure on: those of one role of the split, or all.

    Raises:
        InputError: if a folder is missing or holds no scan, scans and label maps do not pair, or the split cannot be used (see `find_cases`).
    """
    check_folders(images, labels)
    if split is not None and role is not None:
        roles = find_cases(images, labels, split)
        if role not in roles:
            msg = f"The split {split} has no case of the role '{role}'; choose one of {', '.join(roles)}."
            raise InputError(msg)
        return roles[role]
    if split is not None or role is not None:
        given, missing = (f"The split {split}", "role") if role is None else (f"The role '{role}'", "split")
        msg = f"{given} was given without a {missing}; give both, or neither to measure on all scans of the folder."
        raise InputError(msg)
    return pair_scans(images, labels)


def check_labelled(image: Image, reference: Image, cards: Sequence[Card]) -> None:
    """Raise InputError unless the models can segment the scan, and the label map holds only their labels."""
    _check_values(reference, cards[0])
    for card in cards:
        check_input(image, None, card)


def _check_values(reference: Image, card: Card) -> None:
    known = [0, *(label.value for label in card.labels)]
    unknown = np.unique(reference.voxels[~np.isin(reference.voxels, known)])
    if unknown.size:
        named = ", ".join(f"{value:g}" for value in unknown[:MOST_NAMED]) + (", ..." if unknown.size > MOST_NAMED else "")
        labels = ", ".join(f"{label.value} {label.name}" for label in card.labels)
        msg = f"{reference.name} has label values that the model {card.id} does not know ({named}); renumber them to 0 background, {labels}."
        raise InputError(msg)
