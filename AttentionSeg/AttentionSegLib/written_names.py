"""Comparison of names that people write, such as those of labels."""

from __future__ import annotations

import unicodedata


def folded(name: str) -> str:
    """A name for comparison: without outer blanks, in lower case."""
    return unicodedata.normalize("NFC", name).strip().casefold()


def same_name(one: str, other: str) -> bool:
    return folded(one) == folded(other)
