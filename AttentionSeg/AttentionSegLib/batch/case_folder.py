"""The folder of one case: all its files are there, or it is not."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

HIDDEN = ".attentionseg-"


@contextmanager
def case_folder(target: Path) -> Iterator[Path]:
    """A hidden folder to write into, which becomes `target` in the end, in one step; a folder that is there already makes way for it.

    If the block or the step fails, `target` is as it was. A kill leaves hidden folders behind for `sweep`.
    """
    hidden = Path(tempfile.mkdtemp(prefix=HIDDEN, dir=target.parent))
    new, old = hidden / "new", hidden / "old"
    try:
        new.mkdir()
        yield new
        with suppress(FileNotFoundError):
            os.rename(target, old)
        try:
            os.rename(new, target)
        except BaseException:
            with suppress(FileNotFoundError):
                os.rename(old, target)
            raise
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def sweep(folder: Path) -> None:
    """Remove what killed runs left behind."""
    for hidden in folder.glob(f"{HIDDEN}*"):
        shutil.rmtree(hidden, ignore_errors=True)
