"""Writing files so that a reader never meets half of one."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import InputError
from .names import extension


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Give a temporary path in the same folder and with the same full extension; what was written there becomes `path` at the end.

    If the block raises, `path` stays as it was and nothing else is left behind.

    Raises:
        InputError: instead of an OSError of the block or of the final move, such as a full disk or a folder without permission.
    """
    path = Path(path)
    temporary = path.with_name(f".{uuid.uuid4().hex}{extension(path)}")
    try:
        try:
            yield temporary
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        msg = f"{path} cannot be written ({error.strerror or error}); check the disk and the permissions, or choose another folder."
        raise InputError(msg) from error


def write_text(path: Path | str, text: str) -> None:
    """Write UTF-8 text with the line ends as given. InputError if it cannot be written."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(text.encode("utf-8"))


def check_output_folder(path: Path | str) -> Path:
    """The folder for outputs, made with its parents if it is not there.

    Raises:
        InputError: if it is a file, or cannot be made or written to; then no folder is left behind.
    """
    folder = Path(path)
    made: list[Path] = []
    try:
        for parent in [*reversed(folder.parents), folder]:
            if not parent.is_dir():
                parent.mkdir(exist_ok=True)
                made.append(parent)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        for parent in reversed(made):
            parent.rmdir()
        wrong = f"{error.filename} is a file" if isinstance(error, (FileExistsError, NotADirectoryError)) else error.strerror
        msg = f"The output folder {folder} cannot be used ({wrong}); choose another folder."
        raise InputError(msg) from error
