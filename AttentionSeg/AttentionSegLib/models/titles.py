"""The title and the id of a model that is given none."""

from __future__ import annotations

import re
from collections.abc import Sequence

MOST_NAMES = 3


def title_of(labels: Sequence[str]) -> str:
    """One line that tells what a model of labels of such names segments."""
    shown = ", ".join(labels[:MOST_NAMES])
    return shown if len(labels) <= MOST_NAMES else f"{shown} and {len(labels) - MOST_NAMES} more"


def id_of(text: str) -> str:
    """The letters and digits of a text as the id of a model, empty where it has none."""
    return re.sub("[^a-z0-9]+", "-", text.lower()).strip("-")
