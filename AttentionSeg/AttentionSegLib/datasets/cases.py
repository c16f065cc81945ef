"""Labeled scans on disk: pairing of files into cases, splits, and reading of a case."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import NamedTuple, TypeVar

from ..errors import InputError
from ..files import read_images
from ..files.names import composed
from ..files.tables import decoded, read_table
from ..image import Image, Note
from ..inference.fit import in_hu
from .case_files import SCANS, check_folders, images_in, label_maps_in
from .label_reading import AS_STORED, LabelReading, labels_on_scan, read_labels

ROLES = ("train", "val")
MOST_NAMED = 5
A_SPLIT = "a CSV file with the columns id and role"
Found = TypeVar("Found")
CHANNEL = re.compile(r"(?P<case>.+)_(?P<number>\d{4})")


@dataclass(frozen=True)
class Case:
    """One labeled scan.

    Attributes:
        id: unique name of the case.
        images: one file, or folder of DICOM slices, per channel, in order; empty if images are synthesized from the label map.
        label: the label map.
        reading: how the label map is read.
        rescale: whether to subtract 1024 from channels that look like CT stored as HU + 1024.
    """

    id: str
    images: tuple[Path, ...]
    label: Path
    reading: LabelReading = AS_STORED
    rescale: bool = False


class Labeled(NamedTuple):
    """A case in memory: the scan [C, I, J, K], its label values [1, I, J, K] on the same grid, and notes on tolerated deviations."""

    image: Image
    label: Image
    notes: list[Note]


def find_cases(images: Path, labels: Path, split: Path, only: str | None = None) -> dict[str, list[Case]]:
    """The cases of each role (`train`, `val` and any others in the split).

    Args:
        images: folder of scans, `<id>.nii.gz` or another scan format, or the folder `<id>` of DICOM slices; with several channels
            `<id>_0000.nii.gz`, `<id>_0001.nii.gz` and so on.
        labels: folder of label maps `<id>.nii.gz`.
        split: CSV file with the columns `id` and `dev_role`, or `id` and `role`; or the `splits_final.json` of nnU-Net, whose first fold is used.
        only: a role whose cases alone are looked for; None for all, among which `train` and `val` must be.

    Raises:
        InputError: if the split cannot be read, a file that it names is missing, a case is named twice, a role has no case, or the cases differ in
            their channels.
    """
    check_folders(images, labels)
    maps = label_maps_in(Path(labels))
    scans = _by_case(images_in(Path(images)), maps)

    def find(case_id: str) -> Case:
        # The label map comes first, as scans `<id>_0000` are of the case only if it has one.
        label = _find(maps, case_id, f"label map of case {case_id} in {labels}")
        return Case(case_id, _in_order(_find(scans, case_id, f"scan of case {case_id} in {images}"), case_id), label)

    return assign(split, find, only)


def assign(split: Path, find: Callable[[str], Case], only: str | None = None) -> dict[str, list[Case]]:
    """The cases that a split names, by role; `find` returns a case by its id. For `only` and errors see `find_cases`."""
    roles = _read_split(split)
    twice = [case_id for case_id, count in Counter(case_id for case_id, _ in roles).items() if count > 1]
    if twice:
        msg = f"The split {split} names case {twice[0]} more than once; keep one line per case, so that none is in both training and validation."
        raise InputError(msg)
    there = {role for _, role in roles}
    for role in ROLES if only is None else (only,):
        if role not in there:
            ways = f"give every case one of the roles {' and '.join(ROLES)}" if only is None else "choose one of these"
            msg = f"The split {split} has no case of the role '{role}', but of {named(sorted(there)) or 'none'}; {ways}."
            raise InputError(msg)
    wanted = list(dict.fromkeys(role for _, role in roles)) if only is None else [only]
    cases = {role: [find(case_id) for case_id, its_role in roles if its_role == role] for role in wanted}
    check_channels([case for found in cases.values() for case in found])
    return cases


def pair_scans(images: Path, labels: Path) -> list[Case]:
    """The cases of a folder of scans and a folder of label maps, paired by name (see `find_cases`), in alphabetical order.

    Raises:
        InputError: if a folder is missing or contains no scan, two files have the name of one case, scans and label maps do not pair, or cases have
            different channels.
    """
    check_folders(images, labels)
    maps = label_maps_in(labels)
    scans = _by_case(images_in(images), maps)
    if not scans:
        msg = f"There is no scan in {images}; give a folder of files that end in {', '.join(SCANS)}, or of folders of DICOM slices."
        raise InputError(msg)
    lonely = [f"no label map of {name}" for name in scans if name not in maps] + [f"no scan of {name}" for name in maps if name not in scans]
    if lonely:
        msg = (
            f"The scans in {images} and the label maps in {labels} do not pair: {named(lonely)}; give both of a case the same name, or give a split."
        )
        raise InputError(msg)
    cases = [Case(name, _in_order(channels, name), maps[name]) for name, channels in scans.items()]
    check_channels(cases)
    return cases


def read_labelled(case: Case) -> Labeled:
    """Read a case.

    Raises:
        InputError: if a file cannot be read (see `read_images`, `read_labels`), or scan and label map are not on one grid (see `labels_on_scan`).
    """
    image = read_images(case.images)
    image = in_hu(image, ["CT"] * image.channels) if case.rescale else image
    label, notes = read_labels(case.label, case.reading)
    label, more = labels_on_scan(label, image, case.reading.resample)
    # Notes on both files are kept once.
    return Labeled(image, label, list(dict.fromkeys([*image.notes, *notes, *more])))


def note_sentences(notes: Mapping[str, Sequence[Note]], count: int) -> list[str]:
    """One sentence for each kind of tolerated deviation.

    Args:
        notes: of each case, by its id.
        count: number of cases.
    """
    kinds: dict[str, dict[str, list[str]]] = {}
    for case_id, found in notes.items():
        for note in found:
            if note.of_all and any(note not in of for of in notes.values()):
                continue
            kinds.setdefault(note.what, {}).setdefault(note.detail, []).append(case_id)
    return [
        f"{what} in {sum(map(len, by_detail.values()))} of {count} cases: "
        f"{named([named(ids) + (f' ({detail})' if detail else '') for detail, ids in by_detail.items()])}."
        for what, by_detail in kinds.items()
    ]


def one_sentence(problems: Sequence[str], what: str) -> str:
    """One message from several problems, each told once: `what` cannot be done, and the first few problems."""
    problems = list(dict.fromkeys(problems))
    more = f" And {len(problems) - MOST_NAMED} more." if len(problems) > MOST_NAMED else ""
    return f"{what}; {len(problems)} problem(s): {' '.join(problems[:MOST_NAMED])}{more}"


def check_channels(cases: Sequence[Case]) -> None:
    """Raise InputError unless all cases have the same number of channels."""
    usual, _ = Counter(len(case.images) for case in cases).most_common(1)[0]
    odd = [f"{case.id} ({len(case.images)})" for case in cases if len(case.images) != usual]
    if odd:
        msg = f"Most cases have {usual} channel(s), but not {named(odd)}; give every case one file per channel, numbered from _0000."
        raise InputError(msg)


def named(things: Sequence[str]) -> str:
    """The first few names in one line, and the number of further ones."""
    more = f" and {len(things) - MOST_NAMED} more" if len(things) > MOST_NAMED else ""
    return ", ".join(things[:MOST_NAMED]) + more


def _read_split(split: Path) -> list[tuple[str, str]]:
    """The cases in a split, and the role of each."""
    if Path(split).suffix.lower() == ".json":
        return _read_fold(Path(split))
    table = read_table(Path(split), A_SPLIT)
    if "id" not in table.columns or not {"role", "dev_role"}.intersection(table.columns):
        msg = f"The split {split} has the columns {', '.join(table.columns)}; give {A_SPLIT}."
        raise InputError(msg)
    roles = [(line, composed(row["id"]), (row.get("role") or row.get("dev_role") or "").casefold()) for line, row in table.rows]
    for line, case_id, role in roles:
        if not case_id or not role:
            msg = f"Line {line} of the split {split} has no id or no role; give every case both."
            raise InputError(msg)
    return [(case_id, role) for _, case_id, role in roles]


def _read_fold(split: Path) -> list[tuple[str, str]]:
    """The first fold of a `splits_final.json` of nnU-Net."""
    try:
        fold = json.loads(decoded(split.read_bytes()))[0]
        named_by = {role: fold[role] for role in ROLES}
        if not all(isinstance(ids, list) and all(isinstance(case_id, str) for case_id in ids) for ids in named_by.values()):
            raise TypeError
    except OSError as error:
        msg = f"The split {split} cannot be read ({error.strerror}); give the splits_final.json of nnU-Net, or {A_SPLIT}."
        raise InputError(msg) from error
    except (ValueError, KeyError, IndexError, TypeError, RecursionError) as error:
        what = "is no list of folds with the names of the cases under 'train' and 'val'"
        msg = f"The split {split} {what}, as nnU-Net writes it; give that, or {A_SPLIT}."
        raise InputError(msg) from error
    return [(composed(case_id), role) for role, ids in named_by.items() for case_id in ids]


def _by_case(scans: Mapping[str, Path], maps: Mapping[str, Path]) -> dict[str, list[tuple[int, Path]]]:
    """The numbers and files of the channels of each case: a scan `<id>_0000` belongs to case `<id>` if a label map has that name."""
    cases: dict[str, list[tuple[int, Path]]] = {}
    for name, path in scans.items():
        channel = None if name in maps else CHANNEL.fullmatch(name)
        case_id, number = (channel["case"], int(channel["number"])) if channel and channel["case"] in maps else (name, 0)
        cases.setdefault(case_id, []).append((number, path))
    return cases


def _in_order(channels: Sequence[tuple[int, Path]], case_id: str) -> tuple[Path, ...]:
    """The files of the channels of a case. Raises InputError if one is missing or there twice."""
    ordered = sorted(channels)
    for wanted, (number, path) in enumerate(ordered):
        if number < wanted:
            msg = f"Both {ordered[wanted - 1][1].name} and {path.name} are channel {number} of case {case_id}; keep one of them."
            raise InputError(msg)
        if number > wanted:
            msg = f"Case {case_id} has no scan {case_id}_{wanted:04}, but one of a later channel; number the channels from 0000 without gaps."
            raise InputError(msg)
    return tuple(path for _, path in ordered)


def numbered(scans: Mapping[str, Path], case_id: str) -> Iterator[Path]:
    """The channels `<id>_0000`, `<id>_0001` and so on of a case, among scans by name."""
    for number in count():
        path = scans.get(f"{case_id}_{number:04}")
        if path is None:
            return
        yield path


def _find(there: Mapping[str, Found], case_id: str, what: str) -> Found:
    if case_id not in there:
        msg = f"There is no {what}; add it or take it out of the split."
        raise InputError(msg)
    return there[case_id]
