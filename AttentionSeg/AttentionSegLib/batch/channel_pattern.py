"""Cases found by a pattern of file names per input, such as `{case}_0000.nii.gz` and `{case}_0001.nii.gz`."""

from __future__ import annotations

import re
from pathlib import Path

from ..errors import InputError
from ..files.formats import ending_of
from ..models import Card
from .found import Search

PLACE = "{case}"


class ChannelPattern:
    """File names of a case, one per input of the model.

    Args:
        text: names separated by commas, each with `{case}`, and with `/` between folders.
        card: of the model.

    Raises:
        InputError: if there are not as many names as inputs, one is given twice, or one lacks `{case}`.
    """

    def __init__(self, text: str, card: Card) -> None:
        self._names = [part.strip() for part in text.split(",")]
        self._channels = [channel.name for channel in card.scans]
        if len(self._names) != len(self._channels) or len(set(self._names)) < len(self._names) or any(PLACE not in name for name in self._names):
            wanted = ", ".join(self._channels)
            msg = f"The channels '{text}' are not {len(self._channels)} file name(s) with {PLACE}, one for each input of {card.id} ({wanted})."
            raise InputError(msg)

    def find(self, search: Search) -> None:
        """Add every case with at least one scan."""
        patterns = [self._expression(name) for name in self._names]
        deep = max(name.count("/") for name in self._names)
        wide = Search(search.root, search.output, search.recursive or deep > 0, None)
        cases: dict[str, dict[int, Path]] = {}
        for _, files in wide.files():
            for path in files:
                place = search.relative(path)
                for number, pattern in enumerate(patterns):
                    match = pattern.fullmatch(place)
                    if match and search.matches(path.name) and (search.recursive or not match["folder"]):
                        cases.setdefault(match["folder"] + match["case"], {})[number] = path
        search.skipped += wide.skipped
        for title, scans in cases.items():
            missing = [number for number in range(len(patterns)) if number not in scans]
            problem = None
            if missing:
                name = self._names[missing[0]].replace(PLACE, title.rpartition("/")[2])
                problem = f"The case {title} has no {self._channels[missing[0]]} scan ({name}); add it."
            search.add(title, *(scans[number] for number in sorted(scans)), problem=problem)

    @staticmethod
    def _expression(name: str) -> re.Pattern[str]:
        ending = ending_of(name)
        before, *after = (re.escape(part) for part in name[: len(name) - len(ending)].split(PLACE))
        return re.compile(rf"(?P<folder>(?:.*/)?){before}(?P<case>[^/]+?)" + "(?P=case)".join(after) + f"(?i:{re.escape(ending)})")
