"""Left and right in the names of labels."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

# Words of a name in any usual spelling: `kidney_left`, `Left-Kidney`, `LeftKidney`, `LKidney`.
# A number belongs to the previous word, so that the vertebra L4 has no side.
WORD = re.compile(r"[A-Z]+(?![a-z])\d*|[A-Z]?[a-z]+\d*|\d+|[^\W\d_]+")
WORDS = {"left": "left", "right": "right"}
ABBREVIATIONS = {"l": "left", "lt": "left", "lh": "left", "r": "right", "rt": "right", "rh": "right"}


class Side(NamedTuple):
    """The side in a name (`left`, `right`), the rest of the name, and whether the side is spelled out."""

    side: str
    structure: tuple[str, ...]
    certain: bool


def side_of(name: str) -> Side | None:
    """The side of a label by its name; None if the name contains none, or both."""
    words = [word.lower() for word in WORD.findall(name)]
    for table in (WORDS, ABBREVIATIONS):
        found = [word for word in words if word in table]
        if len(found) == 1:
            return Side(table[found[0]], tuple(word for word in words if word != found[0]), table is WORDS)
    return None


def left_right_pairs(names: Mapping[int, str]) -> list[tuple[int, int]]:
    """Pairs of values of the left and right label of a structure, left first."""
    sides = {value: side for value, side in ((value, side_of(name)) for value, name in names.items()) if side is not None}
    pairs = []
    for left, one in sides.items():
        partners = [right for right, other in sides.items() if other.structure == one.structure and other.side == "right"]
        if one.side == "left" and len(partners) == 1:
            pairs.append((left, partners[0]))
    return pairs
