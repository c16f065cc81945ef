"""Label maps prepared for synthesis: all values with an intensity of their own, numbered, at about their own spacing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ...datasets.case_files import file_stamps
from ...datasets.cases import Case, named
from ...datasets.label_reading import read_labels
from ...errors import InputError
from ...image import Image
from ...inference.preprocessing import working_grid
from ...models import Card
from ..preparation import IGNORED, OnCase, PreparedFiles, label_voxels_of, on_grid, write_arrays
from ..recipe import Recipe
from .settings import Synthesis

# Increased when earlier prepared files become unusable.
FORMAT = 1


class PreparedMap(PreparedFiles):
    """A label map on its working grid."""

    @property
    def values(self) -> np.ndarray:
        """Numbers of the values [I, J, K] uint8 (see `Numbering`), with a margin of one voxel of 0."""
        return np.load(self.folder / "values.npy", mmap_mode="r")


@dataclass(frozen=True, eq=False)
class Numbering:
    """Numbers of the values of label maps: 0, the labels of the card, values learned as others, the ignore label.

    Attributes:
        values: of the label maps, by number.
        learned: [values] uint8, the label as which each is learned, `IGNORED` for the ignore label.
        looks: [values] int, the number whose intensities each shares: both sides of a pair have the same, and so have the n-th values learned as
            one side and as the other.
        tissues: [values] int, the number of the first value of the same tissue, -1 without one. What is given for one side of a pair holds for both.
    """

    values: tuple[int, ...]
    learned: np.ndarray
    looks: np.ndarray
    tissues: np.ndarray

    @classmethod
    def of(cls, labels: int, synthesis: Synthesis, ignored: int | None, swaps: Sequence[tuple[int, int]]) -> Numbering:
        """The numbering for a card with so many labels and a recipe.

        Raises:
            InputError: if a value has two meanings or is learned as no label, or the sides of a pair have two tissues.
        """
        extra = sorted(synthesis.learned_as)
        twice = [value for value in extra if value <= labels or value == ignored]
        astray = [f"{value} as {label}" for value, label in sorted(synthesis.learned_as.items()) if label > labels]
        unknown = [str(value) for value in sorted(synthesis.tissues) if value > labels and value not in synthesis.learned_as]
        msg = None
        if unknown:
            msg = f"tissues names {named(unknown)}, which are neither labels nor learned as one; name other values."
        elif twice:
            msg = f"learned_as names {named([str(value) for value in twice])}, which are labels or ignored already; choose other values."
        elif astray:
            msg = f"learned_as has {named(astray)}, but the labels are 1..{labels}; name one of them, or 0 for background."
        elif labels + len(extra) >= IGNORED:
            msg = f"There are {labels} labels and {len(extra)} further values; label maps for synthesis may have up to {IGNORED - 1}."
        if msg:
            raise InputError(msg)
        values = (*range(labels + 1), *extra, *(() if ignored is None else (ignored,)))
        learned = [*range(labels + 1), *(synthesis.learned_as[value] for value in extra), *(() if ignored is None else (IGNORED,))]
        looks = np.arange(len(values))
        for one, other in swaps:
            both = [[number for number, label in enumerate(learned) if label == side] for side in (one, other)]
            for number, twin in zip(*both):
                looks[twin] = number
        return cls(values, np.array(learned, np.uint8), looks, _tissues(values, looks, synthesis.tissues))

    def numbered(self, label: Image, case_id: str) -> Image:
        """A label map with numbers instead of values. Raises InputError if it contains an unknown value."""
        found = np.unique(label.voxels)
        unknown = [f"{value:g}" for value in found.tolist() if value not in self.values]
        if unknown:
            msg = (
                f"The label map {label.name} of case {case_id} holds {named(unknown)}, neither among the labels nor learned as one; "
                "name these values, or correct the map."
            )
            raise InputError(msg)
        number = {value: n for n, value in enumerate(self.values)}
        lookup = np.array([number[int(value)] for value in found], np.uint8)
        return Image(lookup[np.searchsorted(found, label.voxels)], label.affine, label.name)


def _tissues(values: Sequence[int], looks: np.ndarray, given: Mapping[int, int]) -> np.ndarray:
    by_look: dict[int, int] = {}
    for value, look in zip(values, looks.tolist()):
        if value in given and by_look.setdefault(look, given[value]) != given[value]:
            other = next(one for one, its in zip(values, looks.tolist()) if its == look and one in given)
            msg = f"tissues has {other} as {given[other]} and {value} as {given[value]}, but both sides look the same; give them the same tissue."
            raise InputError(msg)
    first: dict[int, int] = {}
    return np.array([first.setdefault(by_look[look], number) if look in by_look else -1 for number, look in enumerate(looks.tolist())])


def prepare_maps(cases: Sequence[Case], card: Card, recipe: Recipe, folder: Path, on_case: OnCase = None) -> list[PreparedMap]:
    """Prepare label maps for synthesis, except those that are in the folder already. They take a byte per voxel.

    Args:
        cases: with label maps.
        card: of the new model.
        recipe: with its `synthesis`.
        folder: for the prepared maps; made if it does not exist.
        on_case: called before each case.

    Raises:
        InputError: if a label map cannot be read or contains unknown values, or the card has several inputs or works on slices.
        OutputError: if the folder cannot be written.
    """
    if len(card.inputs) != 1 or card.slice_axis is not None:
        msg = "Images are synthesized for 3D models with a single input only; take another card, or train on scans."
        raise InputError(msg)
    numbering = Numbering.of(len(card.labels), recipe.drawing, recipe.ignored_label, recipe.mirror_swaps)
    fine = _fine_card(card, recipe)
    prepared = []
    for done, case in enumerate(cases):
        if on_case is not None:
            on_case(done, len(cases))
        place = folder / _key(case, fine, numbering)
        if not place.is_dir():
            label = numbering.numbered(read_labels(case.label, case.reading)[0], case.id)
            grid = working_grid(label, None, fine, (1, 1, 1), (1, 1, 1))
            values = np.pad(on_grid(label, grid.affine, grid.shape, None)[0].numpy(), 1)
            learned = numbering.learned[values]
            write_arrays(place, {"values": values, "label_voxels": label_voxels_of(learned)})
        prepared.append(PreparedMap(case.id, place))
    return prepared


def _fine_card(card: Card, recipe: Recipe) -> Card:
    first, second, third = (spacing / steps for spacing, steps in zip(card.spacing, recipe.drawing.steps))
    return replace(card, spacing=(first, second, third))


def _key(case: Case, fine: Card, numbering: Numbering) -> str:
    parts = [file_stamps([case.label]), fine.spacing, fine.orientation, numbering.values, numbering.learned.tolist(), *case.reading.settings]
    return hashlib.sha256(json.dumps(["maps", FORMAT, *parts]).encode()).hexdigest()[:32]
