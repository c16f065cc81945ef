"""Data that describes itself in a `dataset.json`: nnU-Net (version 2) and the Medical Segmentation Decathlon."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files import scan_stem
from .case_set import CaseSet, drawn_set, split_set
from .cases import SCAN_ENDINGS, Case, check_channels, pair_scans

NAME = "dataset.json"
NNUNET_SPLIT = "splits_final.json"
IGNORE = "ignore"
# Our word, and those under which the two write it.
ABOUT = {"name": ("name",), "description": ("description",), "license": ("license", "licence"), "citation": ("reference", "citation")}


def dataset_cases(path: Path, split: Path | None = None, seed: int = 0) -> CaseSet:
    """The cases of a folder with a `dataset.json`.

    Of nnU-Net: `channel_names`, `labels` (with `ignore`) and `file_ending`; cases from `dataset`, or `imagesTr` and `labelsTr` by their names. A
    `splits_final.json` beside it counts, by its first fold. Of the Decathlon: `training`, `modality` and `labels`.

    Args:
        path: the folder, or the file itself.
        split: CSV file or `splits_final.json` as of `find_cases`; without one a fifth of the cases is drawn to validate on.
        seed: of the draw.

    Raises:
        InputError: if the file cannot be read or lacks an entry, asks for what is not supported (labels made of several values, 4D images of several
            channels, other file formats), or the files do not make at least two cases.
    """
    file = Path(path) / NAME if Path(path).is_dir() else Path(path)
    try:
        document = json.loads(file.read_text(encoding="utf-8-sig"))
        if "training" in document:
            cases, channels = _decathlon(document, file)
        else:
            cases, channels = _nnunet(document, file)
        known = {"channel_names": channels, **_labels(document["labels"], file), "about": _about(document)}
    except InputError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        msg = f"The description {file} cannot be used ({error!r}); it must be one of nnU-Net version 2 or of the Medical Segmentation Decathlon."
        raise InputError(msg) from error
    twice = next((case_id for case_id, count in Counter(case.id for case in cases).items() if count > 1), None)
    if twice or not cases:
        wrong = f"names case {twice} more than once" if twice else "names no labelled scan"
        msg = f"The description {file} {wrong}; it must have one entry per case, so that none is both learned from and checked on."
        raise InputError(msg)
    check_channels(cases)
    if split is None and (file.parent / NNUNET_SPLIT).is_file():
        split = file.parent / NNUNET_SPLIT
    return drawn_set(cases, seed, **known) if split is None else split_set(cases, Path(split), **known)


def _nnunet(document: dict[str, Any], file: Path) -> tuple[list[Case], tuple[str, ...]]:
    ending = document["file_ending"]
    if ending not in SCAN_ENDINGS:
        msg = f"{file} says that the files end in '{ending}'; convert them to one of {', '.join(SCAN_ENDINGS)}."
        raise InputError(msg)
    channels = tuple(name for _, name in sorted(document["channel_names"].items(), key=lambda item: int(item[0])))
    if "dataset" not in document:
        return pair_scans(file.parent / "imagesTr", file.parent / "labelsTr"), channels
    return [
        Case(case_id, tuple(file.parent / image for image in entry["images"]), file.parent / entry["label"])
        for case_id, entry in sorted(document["dataset"].items())
    ], channels


def _decathlon(document: dict[str, Any], file: Path) -> tuple[list[Case], tuple[str, ...]]:
    channels = tuple(name for _, name in sorted(document["modality"].items(), key=lambda item: int(item[0])))
    if len(channels) > 1:
        msg = (
            f"{file} tells of 4D images with the channels {', '.join(channels)}, which cannot be read; save each channel as a file of its own, "
            "<case>_0000.nii.gz and so on (nnUNetv2_convert_MSD_dataset does it)."
        )
        raise InputError(msg)
    cases = [Case(scan_stem(entry["image"]), (file.parent / entry["image"],), file.parent / entry["label"]) for entry in document["training"]]
    return sorted(cases, key=lambda case: case.id), channels


def _labels(labels: dict[str, Any], file: Path) -> dict[str, Any]:
    """Names and ignored value: nnU-Net has values by name, the Decathlon names by value."""
    by_value = all(key.isdigit() for key in labels)
    values = {name: int(value) for value, name in labels.items()} if by_value else dict(labels)
    several = [name for name, value in values.items() if isinstance(value, list)]
    if several:
        msg = f"{file} makes the label '{several[0]}' of several values, which is not supported; give every label a value of its own."
        raise InputError(msg)
    ignored = values.pop(IGNORE, None)
    return {"label_names": {int(value): name for name, value in values.items() if value != 0}, "ignored_label": ignored}


def _about(document: dict[str, Any]) -> dict[str, str]:
    found = {word: next((document[key] for key in keys if document.get(key)), None) for word, keys in ABOUT.items()}
    return {word: text for word, text in found.items() if isinstance(text, str)}
