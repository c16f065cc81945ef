"""Search for DICOM series among files, and the choice of one of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError

if TYPE_CHECKING:
    from pydicom import Dataset

# Modalities of objects that are derived from a scan.
DERIVED = ("SEG", "RTDOSE", "RTIMAGE")
LISTED = 8


@dataclass(frozen=True)
class DicomSeries(os.PathLike):
    """One series; as a path it is its folder, or `place`.

    Attributes:
        folder: the deepest folder that holds all its files.
        uid: SeriesInstanceUID.
        files: its files in alphabetical order.
        modality: such as `CT`.
        number, description: empty if there are none.
        localizer: whether it is a scout view, by its ImageType.
        is_volume: whether it has more than one slice.
        place: the file of a single image that lies beside other scans, of which its name tells it; else None.
    """

    folder: Path
    uid: str
    files: tuple[Path, ...]
    modality: str
    number: str = ""
    description: str = ""
    localizer: bool = False
    is_volume: bool = True
    place: Path | None = None

    @property
    def title(self) -> str:
        """Number and description, if any."""
        return " ".join(filter(None, (self.number, self.description)))

    @property
    def is_scan(self) -> bool:
        return self.is_volume and not self.localizer and self.modality not in DERIVED

    def __fspath__(self) -> str:
        return str(self.place or self.folder)

    def __str__(self) -> str:
        return f"{self.folder} (series {self.title or self.uid})"


def find_series(files: Iterable[Path]) -> tuple[list[DicomSeries], dict[Path, str]]:
    """The series of images among files, by folder and number, and what is wrong with damaged DICOM files. Other files are skipped."""
    # Imported here because it needs pydicom, which `DicomSeries` does not.
    from .dicom_header import read_header

    headers: dict[Path, Dataset] = {}
    damaged: dict[Path, str] = {}
    for path in sorted(files):
        try:
            header = read_header(path)
        except InputError as error:
            damaged[path] = str(error)
            continue
        if header is not None:
            headers[path] = header
    return series_of(headers), damaged


def series_of(headers: Mapping[Path, Dataset]) -> list[DicomSeries]:
    """The series of images with these headers, by folder and number."""
    by_uid: dict[str, dict[Path, Dataset]] = {}
    for path, header in headers.items():
        by_uid.setdefault(str(header.get("SeriesInstanceUID")), {})[path] = header
    series = (_series(uid, found) for uid, found in by_uid.items())
    return sorted(series, key=lambda one: (one.folder, one.title, one.uid))


def choose_series(series: Sequence[DicomSeries], folder: Path, wanted: str | None = None) -> DicomSeries:
    """Choose one of the series of a folder.

    Args:
        series: of the folder.
        folder: for messages.
        wanted: number, description or SeriesInstanceUID; when left out, the only series, or else the only scan among them.

    Raises:
        InputError: listing the series, if none or several match.
    """
    if wanted is None:
        found = list(series) if len(series) == 1 else [one for one in series if one.is_scan]
    else:
        said = wanted.strip().casefold()
        found = [one for one in series if said in (one.number, one.description.casefold(), one.title.casefold(), one.uid)]
    if len(found) == 1:
        return found[0]
    more = f" and {len(series) - LISTED} more" if len(series) > LISTED else ""
    listing = ", ".join(_listed(one) for one in series[:LISTED]) + more
    asked = "" if wanted is None else f", of which {len(found) or 'none'} are called '{wanted}'"
    msg = (
        f"The folder {folder} holds {len(series)} DICOM series: {listing}{asked}; give a folder with one of them, or say which "
        "(segment --series with its number, description or SeriesInstanceUID)."
    )
    raise InputError(msg)


def series_in(folder: Path, wanted: str) -> DicomSeries:
    """The series of a folder, without its subfolders, with this number, description or UID (see `choose_series`)."""
    series, _damaged = find_series(path for path in folder.iterdir() if path.is_file())
    return choose_series(series, folder, wanted)


def _series(uid: str, found: Mapping[Path, Dataset]) -> DicomSeries:
    first = next(iter(found.values()))
    number, description = (str(first.get(key) if first.get(key) is not None else "").strip() for key in ("SeriesNumber", "SeriesDescription"))
    return DicomSeries(
        Path(os.path.commonpath([path.parent for path in found])),
        uid,
        tuple(found),
        str(first.get("Modality") or "unknown modality"),
        number,
        description,
        "LOCALIZER" in (first.get("ImageType") or ()),
        len(found) > 1 or int(first.get("NumberOfFrames") or 1) > 1,
    )


def _listed(one: DicomSeries) -> str:
    title = " ".join(filter(None, (one.number, f"'{one.description}'" if one.description else ""))) or "without number"
    return f"{title} ({one.modality}, {len(one.files)} file{'s' if len(one.files) > 1 else ''})"
