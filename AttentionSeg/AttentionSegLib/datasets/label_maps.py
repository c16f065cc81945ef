"""Label maps without scans, for trainings that draw their images."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..errors import InputError
from ..files.formats import ENDINGS
from .case_set import CaseSet, drawn_set, split_set
from .case_statistics import CaseStatistics
from .cases import Case, label_maps_in, named, pair_scans
from .label_reading import AS_STORED, LabelReading
from .label_tables import read_alike
from .sides import left_right_pairs

# Times as large as the other side that a side may be in the median case.
LOPSIDED = 3.0
# Pairs of sides from which on a map with one side alone is no accident.
PAIRS_TOLD = 2


def label_cases(
    labels: Path,
    split: Path | None = None,
    label_names: Mapping[int, str] | None = None,
    reading: LabelReading = AS_STORED,
    seed: int = 0,
    validation: tuple[Path, Path] | None = None,
) -> CaseSet:
    """The cases of a folder of label maps, whose images are drawn.

    Args:
        labels: folder of label maps.
        split: see `find_cases`. Without a split or scans to validate on, a fifth of the maps is drawn for that.
        label_names: by value from 1.
        reading: how the label maps are read (see `folder_cases`).
        seed: of the draw.
        validation: folders of scans and of their label maps to validate on.

    Raises:
        InputError: if a folder is missing or empty, both a split and scans to validate on are given, a case is both learned from and validated on, or
            there are too few maps.
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
    known = {"label_names": names, "ignored_label": reading.ignored_label}
    if validation is None:
        return drawn_set(cases, seed, **known) if split is None else split_set(cases, Path(split), **known)
    if split is not None:
        msg = "A split says which label maps to validate on, and there are scans for that; give one of the two."
        raise InputError(msg)
    both = sorted({case.id for case in cases} & {case.id for case in real})
    if both:
        msg = f"{named(both)} is both among the label maps and the scans to validate on; take it out of one, or give it another name."
        raise InputError(msg)
    if len(real[0].images) != 1:
        msg = f"Case {real[0].id} has {len(real[0].images)} scans; images are drawn for models of a single one."
        raise InputError(msg)
    return CaseSet({"train": cases, "val": real}, **known, notes=(f"{len(real)} scans were given to validate on.",))


def check_pairs(cases: Sequence[CaseStatistics], names: Mapping[int, str]) -> None:
    """Raise InputError where labels that are a pair of sides by their names are none by their voxels.

    That is a map with the labels of one side alone, as where both sides have one value, or a side that is far larger than the other in most maps.

    Args:
        cases: to learn from.
        names: of the labels, by value.
    """
    pairs = left_right_pairs(names)
    merged = []
    for case in cases:
        sides = [[value in case.labels for value in pair] for pair in pairs]
        if sum(left or right for left, right in sides) >= PAIRS_TOLD and (not any(left for left, _ in sides) or not any(right for _, right in sides)):
            merged.append(case.id)
    if merged:
        msg = (
            f"The label maps {named(merged)} have the labels of one side alone; tell the sides apart in them (both may have one value there), or "
            "leave them out."
        )
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
    """The same cases, with those given by their id in place of theirs."""
    roles = {role: [scans.get(case.id, case) for case in cases] for role, cases in case_set.roles.items()}
    return dataclasses.replace(case_set, roles=roles)
