"""Names of files: their extension, and the stem that outputs are called after."""

from __future__ import annotations

import os
import re
from pathlib import Path

from .formats import ending_of


def extension(path: Path | str) -> str:
    """The whole extension in lower case, such as `.nii.gz`; of an unknown format what follows the last dot."""
    name = Path(path).name
    return ending_of(name) or Path(name.lower()).suffix


def as_text(path: str | os.PathLike) -> str:
    """A path for a report: a file name need not be valid text, a report must be."""
    return os.fsencode(path).decode("utf-8", "replace")


def without_parents(path: str | os.PathLike, root: str | os.PathLike | None = None) -> str:
    """A path as reports and tables show it: from a folder on, else the name alone. Names of parent folders may say who the patient is.

    Args:
        path: a file or folder.
        root: the folder that the user named.
    """
    own = os.path.abspath(path)
    if root is None:
        return as_text(os.path.basename(own))
    beside = os.path.relpath(own, root)
    return as_text(os.path.basename(own) if beside == "." or beside.startswith("..") else beside.replace(os.sep, "/"))


def scan_stem(path: Path | str) -> str:
    """What to call the outputs of a scan: its file name without the extension, or the name of its DICOM folder.

    Letters of any script, digits, `-`, `_` and `.` are kept, everything else becomes `_`. Never empty and never starts with a dot.
    """
    path = Path(os.path.abspath(path))
    name = path.name
    ending = ending_of(name)
    if ending and not path.is_dir():
        name = name[: -len(ending)]
    return re.sub(r"[^\w.-]+", "_", name).lstrip(".") or "scan"
