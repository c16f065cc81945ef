"""Left and right in the names of labels."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

# Words of a name in any of the usual spellings: `kidney_left`, `Left-Kidney`, `LeftKidney`, `LKidney`.
# A number belongs to the word before it, so that the vertebra L4 is on no side.
WORD = re.compile(r"[A-Z]+(?![a-z])\d*|[A-Z]?[a-z]+\d*|\d+|[^\W\d_]+")
WORDS = {"left": "left", "right": "right"}
ABBREVIATIONS = {"l": "left", "lt": "left", "lh": "left", "r": "right", "rt": "right", "rh": "right"}


class Side(NamedTuple):
    """The side that a name tells (`left`, `right`), the rest of the name, and whether the side is written out."""

    side: str
    structure: tuple[str, ...]
    certain: bool


def side_of(name: str) -> Side | None:
    """The side of a label by its name; None if it tells none, or both."""
    words = [word.lower() for word in WORD.findall(name)]
    for table in (WORDS, ABBREVIATIONS):
        found = [word for word in words if word in table]
        if len(found) == 1:
            return Side(table[found[0]], tuple(word for word in words if word != found[0]), table is WORDS)
    return None


def left_right_pairs(names: Mapping[int, str]) -> list[tuple[int, int]]:
    """The values of labels that are the left and the right one of a structure, left first."""
    sides = {value: side for value, side in ((value, side_of(name)) for value, name in names.items()) if side is not None}
    pairs = []
    for left, one in sides.items():
        partners = [right for right, other in sides.items() if other.structure == one.structure and other.side == "right"]
        if one.side == "left" and len(partners) == 1:
            pairs.append((left, partners[0]))
    return pairs
