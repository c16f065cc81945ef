"""Cases described by a `dataset.json` of nnU-Net (versions 1 and 2) or the Medical Segmentation Decathlon."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files import scan_stem
from ..files.formats import ENDINGS, ending_of
from ..files.names import composed
from ..files.tables import decoded
from ..written_names import same_name
from .case_files import scans_in
from .case_set import CaseSet, divided
from .cases import Case, check_channels, numbered, pair_scans
from .label_reading import AS_STORED, LabelReading
from .label_tables import read_alike

NAME = "dataset.json"
NNUNET_SPLIT = "splits_final.json"
IGNORE, BACKGROUND = "ignore", "background"
# By our key, the keys in these files.
ABOUT = {"name": ("name",), "description": ("description",), "license": ("license", "licence"), "citation": ("reference", "citation")}


def dataset_cases(path: Path, split: Path | None = None, seed: int = 0, reading: LabelReading = AS_STORED) -> CaseSet:
    """The cases of a folder with a `dataset.json`.

    Read from nnU-Net 2: `channel_names`, `labels` (with `ignore`) and `file_ending`; cases from `dataset`, or from `imagesTr` and `labelsTr` by name.
    The first fold of a `splits_final.json` beside it is used. Read from the Decathlon and nnU-Net 1: `training`, `modality` and `labels`.

    Args:
        path: the folder, or the file itself.
        split: CSV file or `splits_final.json`, see `find_cases`; without one, a fifth of the cases is drawn at random for validation.
        seed: of the random choice.
        reading: how the label maps are read (see `folder_cases`); label names and ignore label are those of the file.

    Raises:
        InputError: if the file cannot be read or lacks an entry, uses an unsupported feature (labels made of several values, 4D images of several
            channels, other file formats), or there are fewer than two cases.
    """
    file = Path(path) / NAME if Path(path).is_dir() else Path(path)
    try:
        document = json.loads(decoded(file.read_bytes()))
        channels = _channels(document, file)
        cases = _listed(document, channels, file) if "training" in document else _nnunet(document, file)
        names, ignored = _labels(_pairs(document, "labels", file), file)
        about = _about(document)
    except InputError:
        raise
    except KeyError as error:
        msg = f"The description {file} has no entry {error}; add it, as in nnU-Net and the Medical Segmentation Decathlon."
        raise InputError(msg) from error
    except (OSError, ValueError, TypeError, AttributeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        msg = f"The description {file} cannot be used ({reason}); it must be that of nnU-Net or the Medical Segmentation Decathlon."
        raise InputError(msg) from error
    twice = next((case_id for case_id, count in Counter(case.id for case in cases).items() if count > 1), None)
    if twice or not cases:
        wrong = f"names case {twice} more than once" if twice else "names no labeled scan"
        msg = f"The description {file} {wrong}; it must have one entry per case, so that none is used for both training and validation."
        raise InputError(msg)
    check_channels(cases)
    if split is None and (file.parent / NNUNET_SPLIT).is_file():
        split = file.parent / NNUNET_SPLIT
    reading = _with_ignored(reading, ignored, file)
    cases, names = read_alike(cases, reading, _mapped(names, reading.label_map))
    case_set = divided(cases, split, seed)
    return replace(case_set, channel_names=channels, label_names=names, ignored_label=reading.ignored_label, about=about)


def _channels(document: dict[str, Any], file: Path) -> tuple[str, ...]:
    """Names by number; the key in nnU-Net 2 differs from that in nnU-Net 1 and the Decathlon."""
    key = "modality" if "modality" in document or "training" in document else "channel_names"
    named_by = _pairs(document, "channel_names" if "channel_names" in document else key, file)
    return tuple(str(name) for _, name in sorted(named_by.items(), key=lambda item: int(item[0])))


def _pairs(document: dict[str, Any], key: str, file: Path) -> dict[str, Any]:
    if not isinstance(document[key], dict):
        msg = (
            f"The entry '{key}' of {file} has no pairs of a name and a number; write it as nnU-Net does, such as "
            '{"channel_names": {"0": "T1"}, "labels": {"background": 0, "tumor": 1}}.'
        )
        raise InputError(msg)
    return document[key]


def _nnunet(document: dict[str, Any], file: Path) -> list[Case]:
    ending = str(document.get("file_ending", ENDINGS[0]))
    if f".{ending.lower().lstrip('.')}" not in ENDINGS:
        msg = f"{file} says that the files end in '{ending}'; convert them to one of {', '.join(ENDINGS)}."
        raise InputError(msg)
    if "dataset" not in document:
        return pair_scans(file.parent / "imagesTr", file.parent / "labelsTr")
    place = _Places(file.parent)
    return [
        Case(composed(case_id), tuple(place(image) for image in entry["images"]), place(entry["label"]))
        for case_id, entry in sorted(document["dataset"].items())
    ]


def _listed(document: dict[str, Any], channels: Sequence[str], file: Path) -> list[Case]:
    """The cases listed by their scans: file names in the Decathlon, names without channel number in nnU-Net 1."""
    place, cases = _Places(file.parent), []
    for entry in document["training"]:
        if not isinstance(entry, dict):
            msg = f'{file} lists {entry} among its cases; write each as {{"image": "imagesTr/a.nii.gz", "label": "labelsTr/a.nii.gz"}}.'
            raise InputError(msg)
        path = place(entry["image"])
        beside, name = place.beside(path)
        images = (path,) if name in beside else tuple(numbered(beside, name)) or (path,)
        cases.append(Case(scan_stem(path), images, place(entry["label"])))
    if len(channels) > 1 and any(len(case.images) == 1 for case in cases):
        msg = (
            f"{file} describes 4D images with the channels {', '.join(channels)}, which cannot be read; save each channel as a file of its own, "
            "<case>_0000.nii.gz and so on (nnUNetv2_convert_MSD_dataset does it)."
        )
        raise InputError(msg)
    return sorted(cases, key=lambda case: case.id)


class _Places:
    """The files of a folder by the paths in its description, which may differ from theirs in the ending, and have the separators of Windows."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._scans: dict[Path, dict[str, Path]] = {}

    def __call__(self, written: str) -> Path:
        path = self._folder / written.replace("\\", "/")
        scans, name = self.beside(path)
        return path if path.is_file() else scans.get(name, path)

    def beside(self, path: Path) -> tuple[dict[str, Path], str]:
        """The scans by name in the folder of a path, and the name of the path among them."""
        if path.parent not in self._scans:
            self._scans[path.parent] = scans_in(path.parent) if path.parent.is_dir() else {}
        return self._scans[path.parent], composed(path.name[: len(path.name) - len(ending_of(path.name))])


def _labels(labels: dict[str, Any], file: Path) -> tuple[dict[int, str], int | None]:
    """Names by value, and the ignore label: nnU-Net 2 stores values by name, nnU-Net 1 and the Decathlon names by value."""
    by_value = all(key.isdecimal() for key in labels)
    pairs = labels.items() if by_value else [(value, name) for name, value in labels.items()]
    names: dict[int, str] = {}
    for given, name in pairs:
        value = _value(given, str(name), file)
        if value in names:
            msg = f"{file} gives the labels '{names[value]}' and '{name}' the same value {value}; give every label a value of its own."
            raise InputError(msg)
        names[value] = str(name)
    if not same_name(names.pop(0, BACKGROUND), BACKGROUND):
        msg = f"{file} gives a label the value 0, which is background; give every label a value from 1, in the label maps too, and 0 to 'background'."
        raise InputError(msg)
    ignored = next((value for value, name in names.items() if same_name(name, IGNORE)), None)
    return {value: name for value, name in sorted(names.items()) if value != ignored}, ignored


def _value(given: object, name: str, file: Path) -> int:
    """A label value given as a number, as text, or as a list of one."""
    if isinstance(given, float) and given.is_integer():
        return int(given)
    if isinstance(given, (list, tuple)):
        if len(given) != 1:
            msg = f"{file} makes the label '{name}' of several values, which is not supported; give every label a value of its own."
            raise InputError(msg)
        return _value(given[0], name, file)
    if isinstance(given, bool) or not str(given).strip().isdecimal():
        msg = f"{file} gives the label '{name}' the value {given!r}; give it a whole number from 0."
        raise InputError(msg)
    return int(str(given))


def _with_ignored(reading: LabelReading, ignored: int | None, file: Path) -> LabelReading:
    if None not in (ignored, reading.ignored_label) and ignored != reading.ignored_label:
        msg = f"{file} says that the value {ignored} is ignored, and {reading.ignored_label} was given; leave out --ignored-label."
        raise InputError(msg)
    return reading if ignored is None else replace(reading, ignored_label=ignored)


def _mapped(names: dict[int, str], label_map: Mapping[int | str, int]) -> dict[int, str]:
    """The names by the values that the label maps are read as; merged labels get the name of their new value."""
    found: dict[int, str] = {}
    for value, name in names.items():
        number = label_map.get(value, value)
        if number and (number == value or number not in found):
            found[number] = name
    return found


def _about(document: dict[str, Any]) -> dict[str, str]:
    found = {word: next((document[key] for key in keys if document.get(key)), None) for word, keys in ABOUT.items()}
    return {word: text for word, text in found.items() if isinstance(text, str)}
