"""Default title and id of a model."""

from __future__ import annotations

import re
from collections.abc import Sequence

MOST_NAMES = 3


def title_of(labels: Sequence[str]) -> str:
    """A title of one line from the names of a model's labels."""
    shown = ", ".join(labels[:MOST_NAMES])
    return shown if len(labels) <= MOST_NAMES else f"{shown} and {len(labels) - MOST_NAMES} more"


def id_of(text: str) -> str:
    """A model id from the letters and digits of a text; empty if it has none."""
    return re.sub("[^a-z0-9]+", "-", text.lower()).strip("-")
