"""Names of files: their extension, and the stem for the names of outputs."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from .formats import ending_of


def extension(path: Path | str) -> str:
    """The whole extension in lower case, such as `.nii.gz`; for an unknown format the part from the last dot on."""
    name = Path(path).name
    return ending_of(name) or Path(name.lower()).suffix


def as_text(path: str | os.PathLike) -> str:
    """A path as valid text for a report; a file name may contain bytes that are not."""
    return os.fsencode(path).decode("utf-8", "replace")


def composed(name: str | os.PathLike) -> str:
    """A name for comparison: macOS stores letters with accents as two characters, other systems and tables as one."""
    return unicodedata.normalize("NFC", as_text(name))


def without_parents(path: str | os.PathLike, root: str | os.PathLike | None = None) -> str:
    """A path as reports and tables show it: relative to a folder, else the name alone. Names of parent folders may identify the patient.

    Args:
        path: a file or folder.
        root: the folder that the user named.
    """
    own = os.path.abspath(path)
    if root is None:
        return as_text(os.path.basename(own))
    beside = os.path.relpath(own, root)
    return as_text(os.path.basename(own) if beside == "." or beside.startswith("..") else beside.replace(os.sep, "/"))


def without_folders(sentence: str, paths: Iterable[str | os.PathLike]) -> str:
    """A sentence that names these files without the folders above them, which may identify the patient."""
    for folder in {Path(path).parent for path in paths}:
        if folder.name:
            sentence = sentence.replace(f"{folder}{os.sep}", "")
    return sentence


def scan_stem(path: str | os.PathLike) -> str:
    """The stem for the names of a scan's outputs: its file name without the extension, or the name of its DICOM folder.

    Letters of any script, digits, `-`, `_` and `.` are kept, everything else becomes `_`. Never empty and never starts with a dot.
    """
    path = Path(os.path.abspath(path))
    name = path.name
    ending = ending_of(name)
    if ending and not path.is_dir():
        name = name[: -len(ending)]
    return re.sub(r"[^\w.-]+", "_", name).lstrip(".") or "scan"
