"""Cases in a folder: one for every volume file and every DICOM series of the model's modality."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..errors import InputError
from ..files import DicomSeries, find_series
from ..files.formats import DICOM_ENDINGS, PICTURES, SEGMENTATION
from ..files.names import extension
from ..models import Card
from .found import VOLUME_ENDINGS, Search, without_extension

ARCHIVES = (".zip", ".gz", ".tar", ".tgz", ".bz2", ".xz", ".7z", ".rar")
# Of the modalities of cards, those that DICOM calls the same, and the one for all others, such as radiographs.
MODALITIES, OTHER = ("CT", "MR", "PT", "US"), "OT"


def find_scans(search: Search, card: Card) -> None:
    """Add every scan as a case. Raises InputError for a model of several inputs, because a folder does not say which scans belong together."""
    if len(card.scans) > 1:
        names = ", ".join(channel.name for channel in card.scans)
        msg = (
            f"The model {card.id} needs {len(card.scans)} scans of a case ({names}); say which belong together: by names such as "
            "{case}_0000.nii.gz,{case}_0001.nii.gz (channels), or by a CSV file with a column for each."
        )
        raise InputError(msg)
    others: list[Path] = []
    for _, files in search.files():
        for path in files:
            if extension(path) == SEGMENTATION:
                search.skip(path, "a segmentation, not a scan")
            elif extension(path) in PICTURES.endings and card.slices is None:
                search.skip(path, "a picture, where the model takes volumes")
            elif extension(path) in VOLUME_ENDINGS:
                search.add(without_extension(search.relative(path)), path)
            elif path.suffix.lower() in ARCHIVES:
                search.skip(path, "an archive; unpack it first")
            else:
                others.append(path)
    _add_series(search, others, card.inputs[0].modality)


def _add_series(search: Search, files: Sequence[Path], modality: str) -> None:
    series, damaged = find_series(files)
    # What was derived from a scan may join it later, and must not change its name.
    in_folder = Counter(one.folder for one in series if not _unwanted(one, modality))
    with_others = {Path(path).parent for case in search.found for path in case.inputs}
    for one in series:
        reason = _unwanted(one, modality)
        if reason:
            search.skip(one, reason)
            continue
        beside = [path for path in damaged if path.parent in {file.parent for file in one.files}]
        problem = damaged[beside[0]] if beside else None
        if not one.is_volume and (in_folder[one.folder] > 1 or one.folder in with_others):
            path = one.files[0]
            title = search.relative(path.with_suffix("") if path.suffix.lower() in DICOM_ENDINGS else path)
            search.add(title, replace(one, place=path), problem=problem)
            continue
        title = search.relative(one.folder)
        title = search.root.resolve().name if title == "." else title
        search.add(f"{title}__{one.title or one.uid}" if in_folder[one.folder] > 1 else title, one, problem=problem)
    with_series = {file.parent for one in series for file in one.files}
    for path, sentence in damaged.items():
        if path.parent not in with_series:
            search.add(without_extension(search.relative(path)), path, problem=sentence)


def _unwanted(one: DicomSeries, modality: str) -> str | None:
    kind = one.modality if one.modality in MODALITIES else OTHER
    if kind != modality:
        return f"{one.modality}, where the model takes {modality}"
    return "a localizer" if one.localizer else None
