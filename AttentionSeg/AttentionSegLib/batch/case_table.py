"""Cases of a batch listed in a CSV file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import InputError
from ..files.tables import read_table
from ..models import Card
from ..region import Region
from .found import Found, without_extension

ONLY_CHANNEL = "image"


def find_in_table(path: Path, card: Card) -> list[Found]:
    """The cases of a table, one per line (see `find_cases`), with paths relative to its folder.

    Raises:
        InputError: if the file cannot be read, or lacks a column for an input of the model. A line that cannot be used becomes a case with a problem.
    """
    table = read_table(path, "a CSV file with a column for each input of the model")
    columns = _columns(path, table.columns, card)
    return [_case(path.parent, line, row, columns) for line, row in table.rows]


def _columns(path: Path, there: Sequence[str], card: Card) -> list[str]:
    """The column of each input, in lower case."""
    wanted = [channel.name.casefold() for channel in card.scans]
    if len(wanted) == 1 and wanted[0] not in there:
        wanted = [ONLY_CHANNEL]
    missing = [channel.name for channel, column in zip(card.scans, wanted) if column not in there]
    if missing:
        also = f" (or '{ONLY_CHANNEL}')" if len(wanted) == 1 else ""
        msg = f"The table {path} has no column '{missing[0]}'{also}, only {', '.join(sorted(filter(None, there)))}; add it, with a path on each line."
        raise InputError(msg)
    return wanted


def _case(folder: Path, line: int, row: dict[str, str], columns: list[str]) -> Found:
    paths = [row[column] for column in columns]
    region_text = row.get("region", "")
    title = row.get("case", "") or (without_extension(_place(folder, paths[0]).name) if paths[0] else f"line {line}")
    region, problem = None, None
    if not all(paths):
        problem = f"Line {line} of the table has no path in the column '{columns[paths.index('')]}'; add it, or take the line out."
    elif region_text:
        try:
            region = Region.parse(region_text)
        except InputError as error:
            problem = str(error)
    key = f"{' '.join(paths)} {region_text}" if all(paths) else f"line {line}"
    return Found(title, key, () if problem else tuple(_place(folder, part) for part in paths), region, problem)


def _place(folder: Path, written: str) -> Path:
    """The path in a table, which may have the separators of Windows."""
    path = folder / written
    return path if path.exists() else folder / written.replace("\\", "/")
