"""The labelled scans of an evaluation, and what can be wrong with them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..files import read_image
from ..image import Image, box_corners
from ..inference.checks import check_input
from ..models import Card
from ..training.recipe import SCAN_ENDINGS, Case, find_cases

SAME_PLACE_MM = 1e-3
MOST_NAMED = 5


def labelled_cases(images: Path, labels: Path, split: Path | None, role: str | None) -> list[Case]:
    """The cases to measure on: those of one role of the split, or all.

    Raises:
        InputError: if a folder is missing or holds no scan, scans and label maps do not pair, or the split cannot be used (see `find_cases`).
    """
    for folder in (images, labels):
        if not folder.is_dir():
            msg = f"There is no folder {folder}; give the folder of the scans and that of their label maps."
            raise InputError(msg)
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
    return _pairs(images, labels)


def _pairs(images: Path, labels: Path) -> list[Case]:
    scans, maps = _scans(images), _scans(labels)
    lonely = [f"no label map of {name}" for name in scans if name not in maps] + [f"no scan of {name}" for name in maps if name not in scans]
    if lonely:
        more = f" and {len(lonely) - MOST_NAMED} more" if len(lonely) > MOST_NAMED else ""
        named = ", ".join(lonely[:MOST_NAMED]) + more
        msg = f"The scans in {images} and the label maps in {labels} do not pair: {named}; give both of a case the same name, or give a split."
        raise InputError(msg)
    if not scans:
        msg = f"There is no scan in {images}; give a folder of files that end in {', '.join(SCAN_ENDINGS)}."
        raise InputError(msg)
    return [Case(name, path, maps[name]) for name, path in scans.items()]


def _scans(folder: Path) -> dict[str, Path]:
    """The scans in a folder by the name of the case. Hidden files, such as those that macOS puts into archives, are none."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        ending = next((ending for ending in SCAN_ENDINGS if path.name.endswith(ending)), None)
        if ending is None or path.name.startswith("."):
            continue
        name = as_text(path.name[: -len(ending)])
        if name in found:
            msg = f"{folder} has both {found[name].name} and {path.name}, which are one case by their names; keep one of them."
            raise InputError(msg)
        found[name] = path
    return found


def as_text(path: str | os.PathLike) -> str:
    """A path for a report: a file name need not be valid text, a report must be."""
    return os.fsencode(path).decode("utf-8", "replace")


def read_labelled(case: Case) -> tuple[Image, Image]:
    """The scan and its label map."""
    return read_image(case.image), read_image(case.label)


def check_labelled(image: Image, reference: Image, cards: Sequence[Card]) -> None:
    """Raise InputError unless the models can segment the scan, and the label map lies on its grid and holds only their labels."""
    if image.shape != reference.shape:
        sizes = " and ".join(" x ".join(map(str, shape)) for shape in (image.shape, reference.shape))
        msg = f"{image.name} and {reference.name} differ in shape ({sizes} voxels); resample the label map to the grid of the scan."
        raise InputError(msg)
    corners = box_corners(np.zeros(3), np.array(image.shape) - 1.0)
    apart = np.linalg.norm(image.to_ras(corners) - reference.to_ras(corners), axis=1).max()
    if apart > SAME_PLACE_MM:
        msg = f"The voxels of {image.name} and {reference.name} lie up to {apart:.3g} mm apart; resample the label map to the grid of the scan."
        raise InputError(msg)
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
