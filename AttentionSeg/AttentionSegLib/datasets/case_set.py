"""All that a training is given to learn from: cases with their roles, and what is known of channels and labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import InputError
from .cases import Case, assign, find_cases, pair_scans
from .validation_split import draw_validation


@dataclass(frozen=True)
class CaseSet:
    """Cases and what is known of them.

    Attributes:
        roles: cases by role; `train` and `val` have some.
        channel_names: one per channel, or empty.
        label_names: by value from 1, without gaps; empty if not known.
        ignored_label: value of voxels that nobody has judged.
        about: what the data says of itself, of `name`, `description`, `license` and `citation`.
        validation_seed: that the cases to validate on were drawn with; None if a split named them.
        notes: sentences on how the roles came about.
    """

    roles: dict[str, list[Case]]
    channel_names: tuple[str, ...] = ()
    label_names: Mapping[int, str] = field(default_factory=dict)
    ignored_label: int | None = None
    about: Mapping[str, str] = field(default_factory=dict)
    validation_seed: int | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        values = sorted(self.label_names)
        if values != list(range(1, len(values) + 1)):
            msg = f"The labels have the values {', '.join(map(str, values))}; number them 1, 2, ... without gaps, in the label maps too."
            raise InputError(msg)
        channels = len(self.roles["train"][0].images)
        if self.channel_names and len(self.channel_names) != channels:
            names = ", ".join(self.channel_names)
            msg = f"There are {len(self.channel_names)} names of channels ({names}), but {channels} file(s) per case; give as many."
            raise InputError(msg)


def folder_cases(
    images: Path,
    labels: Path,
    split: Path | None = None,
    label_names: Mapping[int, str] | None = None,
    channel_names: Sequence[str] = (),
    ignored_label: int | None = None,
    seed: int = 0,
) -> CaseSet:
    """The cases of a folder of scans and a folder of label maps of the same names.

    Args:
        images, labels, split: see `find_cases`. Without a split a fifth of the cases is drawn to validate on.
        label_names: by value from 1.
        channel_names: in the order of the channels, such as `T1` and `FLAIR`.
        ignored_label: value in the label maps of voxels that nobody has judged.
        seed: of the draw.

    Raises:
        InputError: if the files do not make at least two cases (see `find_cases`, `pair_scans`), or names are missing among the labels or channels.
    """
    known = {"channel_names": tuple(channel_names), "label_names": dict(label_names or {}), "ignored_label": ignored_label}
    if split is not None:
        return CaseSet(find_cases(images, labels, split), **known, notes=(split_note(split),))
    return drawn_set(pair_scans(Path(images), Path(labels)), seed, **known)


def drawn_set(cases: Sequence[Case], seed: int, **known: object) -> CaseSet:
    """The set of cases of which no split tells the roles. Raises InputError if there is a single one."""
    if len(cases) < 2:
        msg = f"There is a single case, {cases[0].id}; give at least two, one to learn from and one to validate on."
        raise InputError(msg)
    drawn, sentence = draw_validation([case.id for case in cases], seed)
    roles = {"train": [case for case in cases if case.id not in drawn], "val": [case for case in cases if case.id in drawn]}
    return CaseSet(roles, **known, validation_seed=seed, notes=(sentence,))


def split_set(cases: Sequence[Case], split: Path, **known: object) -> CaseSet:
    """The set of those cases that a split names. Raises InputError if it names others (see `find_cases`)."""
    by_id = {case.id: case for case in cases}

    def find(case_id: str) -> Case:
        if case_id not in by_id:
            msg = f"The split {split} names case {case_id}, which is not among the data; correct the split."
            raise InputError(msg)
        return by_id[case_id]

    return CaseSet(assign(split, find), **known, notes=(split_note(split),))


def split_note(split: Path) -> str:
    fold = " (fold 0)" if Path(split).suffix == ".json" else ""
    return f"The split {Path(split).name}{fold} says which cases are to learn from and which to validate on."
