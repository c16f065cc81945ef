"""The files of a model folder or .zip that need not be trusted: checked for paths outside the folder, links and decompression bombs."""

from __future__ import annotations

import stat
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile

from ..errors import InputError, OutputError
from .card_schema import LARGEST_CARD

# Largest text, card or template, in bytes.
LARGEST_OTHER = LARGEST_CARD
MOST_ENTRIES = 50
# Largest compression ratio: trained weights hardly compress, so a higher ratio means a file made to fill a disk.
MOST_PACKED = 50
CHUNK = 1 << 20


@dataclass(frozen=True)
class ModelFile:
    """A file of a model, in a folder or a .zip."""

    size: int
    open: Callable[[], IO[bytes]]

    def content(self) -> bytes:
        with self.open() as stream:
            return stream.read(LARGEST_OTHER)


@contextmanager
def model_files(path: Path) -> Iterator[dict[str, ModelFile]]:
    """The files of a model folder or .zip by their names."""
    if path.is_dir():
        yield _files_of_folder(path)
        return
    if not path.is_file():
        msg = f"There is no file or folder {path}; check the path."
        raise InputError(msg)
    with _reading(path), ZipFile(path) as archive:
        yield _files_of_zip(archive, path)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except OutputError:
        raise
    except (BadZipFile, zlib.error, EOFError, NotImplementedError, UnicodeDecodeError, OSError) as error:
        wrong = "cannot be read" if path.is_dir() else "is not a .zip that can be read"
        msg = f"{path} {wrong} ({str(error) or type(error).__name__}); get it again."
        raise InputError(msg) from error


def _files_of_folder(folder: Path) -> dict[str, ModelFile]:
    files = {}
    for path in sorted(folder.iterdir()):
        if _is_clutter(path.name):
            continue
        if path.is_symlink() or not path.is_file():
            msg = f"{path} is a folder or a link; a model folder contains files only, remove it or choose another folder."
            raise InputError(msg)
        files[path.name] = file_of(path)
    return files


def file_of(path: Path) -> ModelFile:
    return ModelFile(path.stat().st_size, lambda: path.open("rb"))


def _files_of_zip(archive: ZipFile, path: Path) -> dict[str, ModelFile]:
    entries = archive.infolist()
    if len(entries) > MOST_ENTRIES:
        msg = f"{path} holds {len(entries)} files; a model has no more than {MOST_ENTRIES}, choose the .zip of one model."
        raise InputError(msg)
    files: dict[str, ModelFile] = {}
    folders = set()
    for entry in entries:
        place = PurePosixPath(entry.filename)
        if entry.filename.endswith("/") or _is_clutter(place.name) or place.parts[:1] == ("__MACOSX",):
            continue
        wrong = None
        if place.is_absolute() or ".." in place.parts or "\\" in entry.filename or ":" in entry.filename:
            wrong = "leads out of its folder"
        elif stat.S_ISLNK(entry.external_attr >> 16):
            wrong = "is a link"
        elif entry.flag_bits & 1:
            wrong = "is encrypted"
        elif entry.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
            wrong = "is compressed by an unsupported method"
        elif entry.file_size > MOST_PACKED * max(entry.compress_size, LARGEST_OTHER / MOST_PACKED):
            wrong = f"is {entry.file_size / 1e6:.0f} MB packed into {entry.compress_size / 1e6:.1f} MB"
        elif place.name.lower() in (name.lower() for name in files):
            wrong = "is there twice"
        if wrong:
            msg = f"{path} holds '{entry.filename}', which {wrong}; nothing of it was taken, get the model from a source that you trust."
            raise InputError(msg)
        folders.add(place.parent)
        files[place.name] = ModelFile(entry.file_size, partial(archive.open, entry))
    if len(folders) > 1 or any(len(folder.parts) > 1 for folder in folders):
        msg = f"{path} holds files in {', '.join(sorted(map(str, folders)))}; a .zip of a model has them side by side or in one folder."
        raise InputError(msg)
    return files


def _is_clutter(name: str) -> bool:
    """Whether a file was made by a file manager."""
    return name in (".DS_Store", "Thumbs.db", "desktop.ini")


def chunks(file: ModelFile, source: Path) -> Iterator[bytes]:
    with _reading(source), file.open() as stream:
        yield from iter(partial(stream.read, CHUNK), b"")
