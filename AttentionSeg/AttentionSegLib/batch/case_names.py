"""Names of cases that are folders too."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

from .found import Found

# The longest name of a file is 255 bytes, and the files of a case are called after it.
MOST_BYTES = 120


def unique_names(cases: Sequence[Found]) -> list[str]:
    """A name for each case: its title with `__` for the slash of a folder, `_` for what is not a letter, a digit, `-`, `_` or `.`.

    A title that is too long, or like another's on a disk that does not tell upper from lower case, ends in a check sum of the case's key.
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
