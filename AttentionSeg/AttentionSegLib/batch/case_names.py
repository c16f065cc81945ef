"""Names of cases, which are also names of folders."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

from .found import Found

# File names may have 255 bytes, and those of a case begin with its name.
MOST_BYTES = 120


def unique_names(cases: Sequence[Found]) -> list[str]:
    """A name for each case: its title with `__` for slashes, and `_` for anything but letters, digits, `-`, `_` and `.`.

    A title that is too long, or equal to another one but for case, gets a checksum of the case's key at its end.
    """
    names = [_safe(case.title) for case in cases]
    counts = Counter(_folded(name) for name in names)
    return [
        f"{_cut(name)}-{hashlib.sha256(case.key.encode('utf-8', 'surrogateescape')).hexdigest()[:8]}"
        if counts[_folded(name)] > 1 or len(name.encode()) > MOST_BYTES
        else name
        for name, case in zip(names, cases)
    ]


def _safe(title: str) -> str:
    return re.sub(r"[^\w.-]+", "_", title.replace("/", "__")).strip(".") or "scan"


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _cut(name: str) -> str:
    return name.encode()[: MOST_BYTES - 9].decode(errors="ignore")
