"""Which DICOM series lie among some files."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError

if TYPE_CHECKING:
    from pydicom import Dataset


@dataclass(frozen=True)
class DicomSeries(os.PathLike):
    """One series; as a path it is its folder.

    Attributes:
        folder: the deepest folder that holds all its files.
        uid: SeriesInstanceUID.
        files: its files in alphabetical order.
        modality: such as `CT`.
        title: number and description, as far as there are.
        localizer: whether it is a scout view, by its ImageType.
    """

    folder: Path
    uid: str
    files: tuple[Path, ...]
    modality: str
    title: str
    localizer: bool

    def __fspath__(self) -> str:
        return str(self.folder)

    def __str__(self) -> str:
        return f"{self.folder} (series {self.title or self.uid})"


def find_series(files: Iterable[Path]) -> tuple[list[DicomSeries], dict[Path, str]]:
    """The series of images among files, by folder and number, and what is wrong with damaged DICOM files. Other files are passed over."""
    # Here, because it needs pydicom: a series as such does not.
    from .dicom_header import read_header

    headers: dict[str, dict[Path, Dataset]] = {}
    damaged: dict[Path, str] = {}
    for path in sorted(files):
        try:
            header = read_header(path)
        except InputError as error:
            damaged[path] = str(error)
            continue
        if header is not None:
            headers.setdefault(str(header.get("SeriesInstanceUID")), {})[path] = header
    series = []
    for uid, found in headers.items():
        first = next(iter(found.values()))
        title = " ".join(str(first.get(key)) for key in ("SeriesNumber", "SeriesDescription") if first.get(key) not in (None, ""))
        localizer = "LOCALIZER" in (first.get("ImageType") or ())
        folder = Path(os.path.commonpath([path.parent for path in found]))
        series.append(DicomSeries(folder, uid, tuple(found), str(first.get("Modality") or "unknown modality"), title, localizer))
    return sorted(series, key=lambda one: (one.folder, one.title, one.uid)), damaged
