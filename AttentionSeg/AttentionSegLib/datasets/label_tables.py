"""One table of label names for all cases, by which every label map is read."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from itertools import count

from ..errors import InputError
from ..files.listed_segment import Segment
from ..files.segments import read_segments
from ..written_names import folded, same_name
from .cases import Case
from .label_names import common_names
from .label_reading import LabelReading


def read_alike(cases: Sequence[Case], reading: LabelReading, label_names: Mapping[int, str]) -> tuple[list[Case], dict[int, str]]:
    """The cases, with label maps that are all read by the same names, and these names by value.

    Args:
        cases: of all roles.
        reading: options of the user.
        label_names: by value from 1; when empty, those of the segments if the label maps are segmentations with names.

    Raises:
        InputError: if the segments of two files have different names, or numbers in label maps without names would be ambiguous.
    """
    names = dict(label_names)
    if not names:
        files = {str(case.label): read_segments(case.label) for case in sorted(cases, key=lambda case: case.id)}
        names = _names_of_segments(files, reading)
    table = [names] if names else []
    return [dataclasses.replace(case, reading=reading.with_names(*table)) for case in cases], names


def gaps_filled(values: Sequence[int]) -> str:
    """Advice for label values that are not 1, 2, ..."""
    pairs = ",".join(f"{value}={number}" for number, value in enumerate(sorted(values), start=1) if value != number)
    return f"read them as such (--label-map {pairs})"


def read_otherwise(value: int, label: int = 1) -> str:
    """Advice for a value that is no label."""
    # On the command line, what begins with a minus sign is taken for an option unless an equals sign is before it.
    return f"read it as a label (--label-map{'=' if value < 0 else ' '}{value}={label}), or ignore it (--ignored-label {value})"


def _names_of_segments(files: Mapping[str, Sequence[Segment]], reading: LabelReading) -> dict[int, str]:
    segmented = {file: segments for file, segments in files.items() if segments}
    if not segmented:
        return {}
    names: dict[int, str] = {}
    for key, value in reading.label_map.items():
        written = next((one.name.strip() for of in segmented.values() for one in of if isinstance(key, str) and same_name(key, one.name)), None)
        if written is not None and value:
            names.setdefault(value, written)
    unmapped = {file: [one.name for one in of if reading.mapped_segment(one.name) is None] for file, of in segmented.items()}
    taken = set(names)
    names.update(zip((value for value in count(1) if value not in taken), common_names(unmapped)))
    values = {folded(name): value for value, name in names.items()}
    numbered_otherwise = any(values.get(folded(one.name), one.value) != one.value for of in segmented.values() for one in of)
    if len(segmented) < len(files) and numbered_otherwise:
        plain = next(file for file, segments in files.items() if not segments)
        msg = (
            f"{plain} has numbers and {next(iter(segmented))} names of segments, and the numbers of the segments differ between files, so that it is "
            "not known which number is which label; name the labels 1, 2, ... in order (--label-names)."
        )
        raise InputError(msg)
    return dict(sorted(names.items()))
