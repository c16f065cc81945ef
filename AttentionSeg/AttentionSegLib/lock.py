"""Lock on a folder of results: one run at a time."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import InputError

LOCK, HOLDER = ".attentionseg.lock", ".attentionseg.holder"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a lock on a folder. The system releases it when the process ends in any way.

    Raises:
        InputError: if another run holds it (naming its computer and process), or the file system does not support locks.
    """
    # Imported here because it is installed with torch.
    from filelock import FileLock, Timeout

    path, holder = folder / LOCK, folder / HOLDER
    try:
        lock = FileLock(path, timeout=0)
        lock.acquire()
    except Timeout as error:
        who = f" ({holder.read_text(encoding='utf-8')})" if holder.is_file() else ""
        msg = f"Another run{who} is working in {folder}; wait for it, or choose another folder for the results."
        raise InputError(msg) from error
    except (NotImplementedError, OSError) as error:
        msg = f"The folder {folder} cannot be locked against a second run ({error}); choose a folder on another disk for the results."
        raise InputError(msg) from error
    try:
        holder.write_text(f"process {os.getpid()} on {platform.node()}", encoding="utf-8")
        yield
    finally:
        holder.unlink(missing_ok=True)
        if [path.name for path in folder.iterdir()] == [LOCK]:
            # Safe: a process that has opened the file meanwhile notices that it is gone, and makes a new one.
            path.unlink(missing_ok=True)
        lock.release()
