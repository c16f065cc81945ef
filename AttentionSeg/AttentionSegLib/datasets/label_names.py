"""Matching of segments to labels by name."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

from ..errors import InputError
from ..written_names import folded, same_name

WORD = re.compile(r"[^\W_]+")


def quoted(names: Iterable[str], beside: Iterable[str] = ()) -> str:
    """Names in quotes, so that blanks at their ends are visible; with character codes if two of these names and those of `beside` look the same."""
    names = list(names)
    every = {*names, *beside}
    alike = len({_looks(name) for name in every}) < len(every)
    return ", ".join(ascii(name) if alike else f"'{name}'" for name in names)


def match_names(names: Sequence[str], tables: Sequence[Mapping[int, str]], file: str) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """The label value of each segment, by the first table that contains all of them.

    A segment matches the label of the same name, else the only label that contains all its words: `Anterior` matches `Hippocampus, anterior`.

    Args:
        names: of the segments of a file.
        tables: names of labels by value.
        file: name of the file in messages.

    Returns:
        Values by name, and the pairs of segment and label whose names differ in more than blanks and case.

    Raises:
        InputError: if two segments have one name, or no table contains all of them.
    """
    twice = [name for number, name in enumerate(names) if any(same_name(name, other) for other in names[:number])]
    if twice:
        msg = f"{file} has two segments of the name {quoted(twice[:1])}; rename one of them."
        raise InputError(msg)
    for table in tables:
        found = {name: value for name in names if (value := label_of(name, table)) is not None}
        if len(names) == len(found) == len(set(found.values())):
            return found, [(name, table[value]) for name, value in found.items() if not same_name(name, table[value])]
    known = tuple(dict.fromkeys(label for table in tables for label in table.values()))
    unknown = [name for name in names if label_of(name, tables[0]) is None] or list(names)
    msg = (
        f"{file} has the segment(s) {quoted(unknown, known)}, and the labels are {quoted(known, unknown)}; give the segments these names, or say "
        f"which label each is (--label-map '{unknown[0].strip()}=1')."
    )
    raise InputError(msg)


def common_names(files: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The label names of several files with segments: those of the first file that has all names of all files, in its order.

    Args:
        files: names of the segments by name of the file.

    Raises:
        InputError: if there is no such file: then names are spelled differently, or the complete list of labels is not known.
    """
    largest = max(files, key=lambda file: len(files[file]))
    known = {folded(name) for name in files[largest]}
    for file, names in files.items():
        if not known.issuperset(map(folded, names)):
            own = [name for name in names if folded(name) not in known]
            msg = (
                f"{file} has the segment(s) {quoted(own, files[largest])}, and {largest} has {quoted(files[largest], own)}; give the same segments "
                "the same names, or name all labels (--label-names)."
            )
            raise InputError(msg)
    return tuple(name.strip() for name in files[largest])


def label_of(name: str, table: Mapping[int, str]) -> int | None:
    """The value of the label of the same name, else of the only one that contains all its words; None if there is none or several."""
    same = [value for value, label in table.items() if same_name(name, label)]
    words = _words(name)
    found = same or [value for value, label in table.items() if words and words <= _words(label)]
    return found[0] if len(found) == 1 else None


def _words(name: str) -> set[str]:
    return set(WORD.findall(folded(name)))


def _looks(name: str) -> str:
    return re.sub(r"\s+", " ", unicodedata.normalize("NFKC", name))
