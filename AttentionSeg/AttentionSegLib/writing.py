"""Atomic writing of files and folders: into a hidden folder beside the target, then moved into place."""

from __future__ import annotations

import csv
import errno
import io
import os
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from .errors import InputError, OutputError, after_results

if sys.platform != "win32":
    import fcntl

HIDDEN = ".attentionseg-"
# What a cell with a formula begins with (OWASP, CSV injection).
FORMULA = ("=", "+", "-", "@", "\t", "\r")
# A new hidden folder is locked within this time.
SETTLING_SECONDS = 10.0
FAULTS_OF_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path of the same file name; the file written there is moved to `path` at the end.

    If the block raises, `path` is unchanged and no temporary file is left.

    Raises:
        OutputError: instead of an OSError of the block or of the move, such as a full disk or a folder without permission.
    """
    path = Path(path)
    with _hidden_folder(path.parent, path) as hidden:
        yield hidden / path.name
        os.replace(hidden / path.name, path)


@contextmanager
def atomic_folder(target: Path, replace: bool = False) -> Iterator[Path]:
    """Yield an empty folder to write into, which becomes `target` at the end, in one step; parent folders are made.

    If the block or the move fails, `target` is unchanged. A killed process leaves a hidden folder for `sweep`.

    Args:
        target: the folder to make.
        replace: whether an existing folder may be replaced.

    Raises:
        InputError: if a folder exists at the end and must not be replaced.
        OutputError: see `atomic_path`.
    """
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    with _hidden_folder(target.parent, target) as hidden:
        new, old = hidden / target.name, hidden / f"{target.name}.old"
        new.mkdir()
        yield new
        if replace:
            with suppress(FileNotFoundError):
                os.rename(target, old)
        try:
            os.rename(new, target)
        except BaseException as error:
            with suppress(FileNotFoundError):
                os.rename(old, target)
            if not replace and isinstance(error, OSError) and target.exists():
                msg = f"There is a folder at {target} already; move it, or choose another name."
                raise InputError(msg) from error
            raise


@contextmanager
def all_or_none(folder: Path, check: Callable[[], object] | None = None) -> Iterator[Path]:
    """Yield a hidden folder to write files into, which are all moved to `folder` at the end.

    Files of the same names are replaced. If the block, the check or a move fails, `folder` is unchanged.

    Args:
        folder: for the files.
        check: called before the move. Of several processes one at a time checks and moves (not on Windows, nor on disks without locks).

    Raises:
        InputError: if a folder has the name of a file.
        OutputError: see `atomic_path`.
        InterruptedAfterwards: for a KeyboardInterrupt after the move.
    """
    with ExitStack() as after, _hidden_folder(folder, folder) as old, _hidden_folder(folder, folder) as new:
        yield new
        with _locked(folder, wait=True):
            if check is not None:
                check()
            _move_all(new, folder, old)
            after.enter_context(after_results())


def write_text(path: Path | str, text: str) -> None:
    """Write UTF-8 text with its line ends unchanged. Raises OutputError if it cannot be written."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(text.encode("utf-8"))


def csv_text(rows: Iterable[Iterable[object]]) -> str:
    """A table as CSV. Text that a spreadsheet would run as a formula, such as `=1+2`, gets an apostrophe before it; numbers do not."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([_inert(cell) for cell in row] for row in rows)
    return text.getvalue()


def _inert(cell: object) -> object:
    if not isinstance(cell, str) or not cell.startswith(FORMULA):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell


def sweep(folder: Path) -> None:
    """Remove the hidden folders that killed runs left."""
    for hidden in folder.glob(f"{HIDDEN}*"):
        shutil.rmtree(hidden, ignore_errors=True)


def check_output_folder(path: str | os.PathLike) -> Path:
    """Make the folder for outputs and its parents if missing, and check that it can be written to.

    Raises:
        InputError: if it is a file, or cannot be made or written to; no new folder is left then.
        OutputError: likewise, if its disk is full or failing.
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
        raise (OutputError if error.errno in FAULTS_OF_DISK else InputError)(msg) from error


@contextmanager
def output_folder(path: str | os.PathLike) -> Iterator[Path]:
    """The folder for the results (see `check_output_folder`); if the block fails, folders that were made for it are removed."""
    missing = [folder for folder in (Path(path), *Path(path).parents) if not os.path.exists(folder)]
    folder = check_output_folder(path)
    try:
        yield folder
    except BaseException:
        # A folder that is not empty stays: another run may have written results there.
        with suppress(OSError):
            for empty in missing:
                empty.rmdir()
        raise


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn OSErrors into OutputErrors that name the final path of the file."""
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        place = Path(*(part for part in path.parts if not part.startswith(HIDDEN)))
        msg = f"{place} cannot be written ({error.strerror or error}); check the disk and the permissions, or choose another folder."
        raise OutputError(msg) from error


@contextmanager
def _hidden_folder(parent: Path, path: Path) -> Iterator[Path]:
    """A temporary folder in `parent`, so on the same disk as `path`; removed at the end."""
    # Not `tempfile`: its folders (on Windows, files in them too) are readable by the user only.
    hidden = parent / f"{HIDDEN}{uuid.uuid4().hex}"
    with writing(path):
        _sweep_abandoned(parent)
        try:
            hidden.mkdir()
            with _locked(hidden):
                yield hidden
        finally:
            shutil.rmtree(hidden, ignore_errors=True)


@contextmanager
def _locked(folder: Path, wait: bool = False) -> Iterator[bool]:
    """Lock a folder until the end of the block or of the process; whether that was possible: another may hold it."""
    if sys.platform == "win32":
        yield False
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)


def _sweep_abandoned(folder: Path) -> None:
    """Remove the hidden folders of processes that were killed. On Windows, where folders cannot be locked, only `sweep` removes them."""
    for hidden in folder.glob(f"{HIDDEN}*"):
        # Another process may remove it at the same time.
        with suppress(FileNotFoundError):
            if time.time() - hidden.stat().st_mtime > SETTLING_SECONDS:
                with _locked(hidden) as is_abandoned:
                    if is_abandoned:
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
