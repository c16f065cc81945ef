"""The data of a training: cases with their roles, and names of channels and labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..errors import InputError
from ..written_names import folded
from .case_files import label_maps_in
from .cases import Case, assign, find_cases, named, pair_scans
from .label_names import quoted
from .label_reading import AS_STORED, LabelReading
from .label_tables import gaps_filled, read_alike
from .validation_split import draw_validation


@dataclass(frozen=True)
class CaseSet:
    """Cases with their metadata.

    Attributes:
        roles: cases by role; `train` and `val` are not empty.
        channel_names: one per channel, or empty.
        label_names: by value from 1, without gaps; empty if not known.
        ignored_label: the ignore label.
        about: `name`, `description`, `license` and `citation` of the data, as far as known.
        validation_seed: seed of the random choice of validation cases; None if a split named them.
        notes: sentences on how the roles were assigned.
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
            msg = f"The labels have the values {', '.join(map(str, values))}, which must be 1, 2, ... without gaps; {gaps_filled(values)}."
            raise InputError(msg)
        counts = Counter(map(folded, self.label_names.values()))
        twice = [name for name in self.label_names.values() if counts[folded(name)] > 1]
        if twice:
            msg = f"Labels have the same name apart from case and outer blanks ({quoted(twice)}); give every label a name of its own."
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
    reading: LabelReading = AS_STORED,
    seed: int = 0,
) -> CaseSet:
    """The cases of a folder of scans and a folder of label maps of the same names.

    Args:
        images, labels, split: see `find_cases`. Without a split, a fifth of the cases is drawn at random for validation.
        label_names: by value from 1; when left out, those of the segments if the label maps are segmentations with names.
        channel_names: in the order of the channels, such as `T1` and `FLAIR`.
        reading: how the label maps are read: values to read as others, the ignore label, whether to resample.
        seed: of the random choice.

    Raises:
        InputError: if there are fewer than two cases (see `find_cases`, `pair_scans`), or names of labels or channels are missing.
    """
    unused: Collection[str] = ()
    if split is None:
        cases = pair_scans(Path(images), Path(labels))
    else:
        cases = [case for of_role in find_cases(images, labels, split).values() for case in of_role]
        unused = label_maps_in(Path(labels)).keys() - {case.id for case in cases}
    cases, names = read_alike(cases, reading, label_names or {})
    case_set = divided(cases, split, seed, unused)
    return replace(case_set, channel_names=tuple(channel_names), label_names=names, ignored_label=reading.ignored_label)


def divided(cases: Sequence[Case], split: Path | None, seed: int, unused: Collection[str] = ()) -> CaseSet:
    """A set of cases, without names, with the roles of a split (see `find_cases`), or with randomly drawn validation cases.

    Args:
        cases: those that a split may name, or all to draw from.
        split: names the cases to use; None to draw.
        seed: of the random choice.
        unused: ids of further cases, which the split does not name.

    Raises:
        InputError: if the split names others, or there is a single case to draw from.
    """
    if split is not None:
        roles = _of_split(cases, Path(split))
        left = sorted({case.id for case in cases}.union(unused) - {case.id for of_role in roles.values() for case in of_role})
        sentences = [f"{len(left)} case(s) are not in the split, and not used: {named(left)}."] if left else []
        return CaseSet(roles, notes=(split_note(split), *sentences))
    if len(cases) < 2:
        msg = f"There is a single case, {cases[0].id}; give at least two, one to train on and one to validate on."
        raise InputError(msg)
    drawn, sentence = draw_validation([case.id for case in cases], seed)
    return CaseSet(_roles(cases, drawn), validation_seed=seed, notes=(sentence,))


def redrawn(case_set: CaseSet, labels: Mapping[str, Collection[int]]) -> CaseSet:
    """The set with other validation cases if those drawn have no label, or the only voxels of one; otherwise the same set.

    Args:
        case_set: with validation cases that were drawn or given.
        labels: label values in each case.
    """
    if case_set.validation_seed is None:
        return case_set
    drawn, sentence = draw_validation(sorted(labels), case_set.validation_seed, labels)
    return case_set if sentence in case_set.notes else with_validation(case_set, drawn, sentence)


def rescaled_cases(case_set: CaseSet) -> CaseSet:
    """The set with CT that looks as if it was stored as HU + 1024 read in HU (see `Case.rescale`)."""
    return replace(case_set, roles={role: [replace(case, rescale=True) for case in cases] for role, cases in case_set.roles.items()})


def with_validation(case_set: CaseSet, drawn: Collection[str], sentence: str) -> CaseSet:
    """The set with these validation cases, and a sentence with the reason."""
    cases = sorted((case for of_role in case_set.roles.values() for case in of_role), key=lambda case: case.id)
    return replace(case_set, roles=_roles(cases, drawn), notes=(sentence,))


def _roles(cases: Sequence[Case], drawn: Collection[str]) -> dict[str, list[Case]]:
    return {"train": [case for case in cases if case.id not in drawn], "val": [case for case in cases if case.id in drawn]}


def _of_split(cases: Sequence[Case], split: Path) -> dict[str, list[Case]]:
    by_id = {case.id: case for case in cases}

    def find(case_id: str) -> Case:
        if case_id not in by_id:
            msg = f"The split {split} names case {case_id}, which is not among the data; correct the split."
            raise InputError(msg)
        return by_id[case_id]

    return assign(split, find)


def split_note(split: Path) -> str:
    fold = " (fold 0)" if Path(split).suffix == ".json" else ""
    return f"The split {Path(split).name}{fold} says which cases are for training and which for validation."
