"""Names of files: their extension, and the stem that outputs are called after."""

from __future__ import annotations

import os
import re
from pathlib import Path

EXTENSIONS = (".seg.nrrd", ".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd", ".dcm", ".ima")


def extension(path: Path | str) -> str:
    """The whole extension in lower case, such as `.nii.gz`; of an unknown format what follows the last dot."""
    name = Path(path).name.lower()
    return next((known for known in EXTENSIONS if name.endswith(known)), Path(name).suffix)


def as_text(path: str | os.PathLike) -> str:
    """A path for a report: a file name need not be valid text, a report must be."""
    return os.fsencode(path).decode("utf-8", "replace")


def scan_stem(path: Path | str) -> str:
    """What to call the outputs of a scan: its file name without the extension, or the name of its DICOM folder.

    Letters of any script, digits, `-`, `_` and `.` are kept, everything else becomes `_`. Never empty and never starts with a dot.
    """
    path = Path(os.path.abspath(path))
    name = path.name
    ending = extension(path)
    if ending in EXTENSIONS and not path.is_dir():
        name = name[: -len(ending)]
    return re.sub(r"[^\w.-]+", "_", name).lstrip(".") or "scan"
