"""The files of labeled scans: finding them in folders, and what tells that they changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..errors import InputError
from ..files.formats import DICOM_ENDINGS, ENDINGS, ending_of
from ..files.names import composed

# DICOM: single files with a 2D image, such as a radiograph.
SCANS = (*ENDINGS, *DICOM_ENDINGS)


def check_folders(images: Path, labels: Path) -> None:
    """Raise InputError unless both folders exist."""
    for folder in (images, labels):
        if not folder.is_dir():
            msg = f"There is no folder {folder}; give the folder of the scans and that of their label maps."
            raise InputError(msg)


def images_in(folder: Path) -> dict[str, Path]:
    """The scans in a folder by case name: the files that `scans_in` finds and DICOM files; if there are none, subfolders with DICOM slices.

    Raises:
        InputError: if two scans have the name of one case, or a subfolder cannot be read.
    """
    return scans_in(folder, SCANS) or _named((path, path.name) for path in sorted(folder.iterdir()) if _is_series(path))


def label_maps_in(folder: Path) -> dict[str, Path]:
    """The label maps in a folder by case name: the files that `scans_in` finds, and DICOM files."""
    return scans_in(folder, SCANS)


def scans_in(folder: Path, endings: Sequence[str] = ENDINGS) -> dict[str, Path]:
    """The scans in a folder by case name; extensions are not case-sensitive. Hidden files, such as those that macOS adds to archives, are skipped.

    Raises:
        InputError: if two files have the name of one case.
    """
    known = ((path, ending_of(path.name)) for path in sorted(folder.iterdir()) if not path.name.startswith("."))
    return _named((path, path.name[: -len(ending)]) for path, ending in known if ending in endings)


def files_of(scan: Path) -> list[Path]:
    """The files of a scan: itself, or the DICOM files in its folder. Raises OSError if one cannot be read."""
    # File managers leave files of their own beside them.
    return sorted(_dicom_files(scan)) if scan.is_dir() else [scan]


def file_stamps(scans: Iterable[Path]) -> list[tuple[str, int, int]]:
    """Path, bytes and time of the last change of every file of scans and label maps. Raises InputError if one cannot be read."""
    with readable():
        states = [(path, path.stat()) for scan in scans for path in files_of(scan)]
    return [(str(path), state.st_size, state.st_mtime_ns) for path, state in states]


@contextmanager
def readable() -> Iterator[None]:
    """Raise InputError, which names the file, instead of OSError."""
    try:
        yield
    except OSError as error:
        msg = f"{error.filename} cannot be read ({error.strerror}); restore the file or take its case out."
        raise InputError(msg) from error


def _named(scans: Iterable[tuple[Path, str]]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path, stem in scans:
        name = composed(stem)
        if name in found:
            msg = f"{path.parent} has both {found[name].name} and {path.name}, which are one case by their names; keep one of them."
            raise InputError(msg)
        found[name] = path
    return found


def _is_series(folder: Path) -> bool:
    with readable():
        return folder.is_dir() and not folder.name.startswith(".") and any(_dicom_files(folder))


def _dicom_files(folder: Path) -> Iterator[Path]:
    # Imported on use: pydicom takes a while to import, and most runs do not need it.
    from ..files.dicom_header import is_dicom

    return (path for path in folder.iterdir() if path.is_file() and is_dicom(path))
