"""Several result files in one folder: all of them, or none."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import InputError
from .atomic import check_output_folder


@contextmanager
def output_folder(path: str | os.PathLike) -> Iterator[Path]:
    """The folder for the results; if the block fails, folders that were made for it are gone again."""
    missing = [folder for folder in (Path(path), *Path(path).parents) if not os.path.exists(folder)]
    folder = check_output_folder(path)
    try:
        yield folder
    except BaseException:
        # Another run may have put its results there meanwhile: a folder that is not empty stays.
        with suppress(OSError):
            for empty in missing:
                empty.rmdir()
        raise


@contextmanager
def all_or_none(folder: Path) -> Iterator[Path]:
    """A hidden folder to write into, whose files move to `folder` once everything is written.

    Files of the same names make way for them. If the block or a move fails, `folder` is as it was before.
    """
    hidden = Path(tempfile.mkdtemp(prefix=".attentionseg-", dir=folder))
    new, old = hidden / "new", hidden / "old"
    try:
        new.mkdir()
        old.mkdir()
        yield new
        _move_all(new, folder, old)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def _move_all(new: Path, folder: Path, old: Path) -> None:
    names = sorted(path.name for path in new.iterdir())
    for name in names:
        if (folder / name).is_dir():
            msg = f"There is a folder at {folder / name}, where a result file belongs; move it, or choose another folder for the results."
            raise InputError(msg)
    try:
        for name in names:
            if (folder / name).exists():
                os.replace(folder / name, old / name)
            os.replace(new / name, folder / name)
    except BaseException:
        for name in names:
            if (old / name).exists():
                os.replace(old / name, folder / name)
            elif not (new / name).exists():
                (folder / name).unlink(missing_ok=True)
        raise
