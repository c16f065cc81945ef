"""Label maps without scans, for trainings on synthesized images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ..errors import InputError
from ..files.formats import ENDINGS
from .case_files import label_maps_in
from .case_set import CaseSet, divided
from .case_statistics import CaseStatistics
from .cases import Case, named, pair_scans
from .label_reading import AS_STORED, LabelReading
from .label_tables import read_alike
from .sides import left_right_pairs

# Largest ratio of the two sides of a structure in the median case.
LOPSIDED = 3.0
# From this many pairs on, a map with labels of one side only counts as an error.
PAIRS_TOLD = 2


def label_cases(
    labels: Path,
    split: Path | None = None,
    label_names: Mapping[int, str] | None = None,
    reading: LabelReading = AS_STORED,
    seed: int = 0,
    validation: tuple[Path, Path] | None = None,
) -> CaseSet:
    """The cases of a folder of label maps, from which images are synthesized.

    Args:
        labels: folder of label maps.
        split: see `find_cases`. Without a split or validation scans, a fifth of the maps is drawn at random for validation.
        label_names: by value from 1.
        reading: how the label maps are read (see `folder_cases`).
        seed: of the random choice.
        validation: folders of scans and of their label maps for validation.

    Raises:
        InputError: if a folder is missing or empty, both a split and validation scans are given, a case is in both training and validation, or there
            are too few maps.
    """
    labels = Path(labels)
    if not labels.is_dir():
        msg = f"There is no folder {labels}; give the folder of the label maps."
        raise InputError(msg)
    cases = [Case(name, (), path) for name, path in label_maps_in(labels).items()]
    if not cases:
        msg = f"There is no label map in {labels}; give a folder of files that end in {', '.join(ENDINGS)}."
        raise InputError(msg)
    real = [] if validation is None else pair_scans(*map(Path, validation))
    read, names = read_alike([*cases, *real], reading, label_names or {})
    cases, real = read[: len(cases)], read[len(cases) :]
    if validation is None:
        return replace(divided(cases, split, seed), label_names=names, ignored_label=reading.ignored_label)
    if split is not None:
        msg = "Both a split of the label maps and scans to validate on were given; give one of the two."
        raise InputError(msg)
    both = sorted({case.id for case in cases} & {case.id for case in real})
    if both:
        msg = f"The label maps and the scans to validate on have cases of the same names ({named(both)}); leave these out of one, or rename them."
        raise InputError(msg)
    if len(real[0].images) != 1:
        msg = f"Case {real[0].id} has {len(real[0].images)} scans; synthesis is for models with one input, leave out the other scans."
        raise InputError(msg)
    notes = (f"{len(real)} scans were given to validate on.",)
    return CaseSet({"train": cases, "val": real}, label_names=names, ignored_label=reading.ignored_label, notes=notes)


def check_pairs(cases: Sequence[CaseStatistics], names: Mapping[int, str]) -> None:
    """Raise InputError if labels named as left and right are not a pair by their voxels.

    That is, a map has labels of one side only, for example because both sides have one value, or one side is far larger in most maps.

    Args:
        cases: to train on.
        names: of the labels, by value.
    """
    pairs = left_right_pairs(names)
    merged = []
    for case in cases:
        sides = [[value in case.labels for value in pair] for pair in pairs]
        if sum(left or right for left, right in sides) >= PAIRS_TOLD and (not any(left for left, _ in sides) or not any(right for _, right in sides)):
            merged.append(case.id)
    if merged:
        msg = f"The label maps {named(merged)} have labels of one side only; give both sides a value of their own, or leave these maps out."
        raise InputError(msg)
    for left, right in pairs:
        ratios = sorted(case.labels[left].voxels / case.labels[right].voxels for case in cases if left in case.labels and right in case.labels)
        middle = ratios[len(ratios) // 2] if ratios else 1.0
        if not 1 / LOPSIDED <= middle <= LOPSIDED:
            msg = (
                f"'{names[left]}' and '{names[right]}' are a pair of sides by their names, but in the median map one is "
                f"{max(middle, 1 / middle):.1f} times as large as the other; correct the names or the maps."
            )
            raise InputError(msg)


def with_scans(case_set: CaseSet, scans: Mapping[str, Case]) -> CaseSet:
    """A copy of the set with some cases replaced, by id."""
    roles = {role: [scans.get(case.id, case) for case in cases] for role, cases in case_set.roles.items()}
    return replace(case_set, roles=roles)
