"""Tables as text, from programs and from spreadsheets."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError

ENDINGS = (".csv", ".tsv", ".txt")
DELIMITERS = ",;\t"
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
# The line by which a spreadsheet says what stands between the cells.
TOLD = re.compile(r"sep=(.)\r?\n", re.IGNORECASE)


@dataclass(frozen=True)
class Table:
    """A table with a head.

    Attributes:
        columns: their names in lower case, without blanks around.
        rows: the number of the line in the file, and the cells by their columns without blanks around; lines without any text are left out.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[int, dict[str, str]], ...]


def read_table(path: Path, what: str) -> Table:
    """Read a table between commas, semicolons or tabs, in UTF-8, UTF-16 or Windows-1252.

    Args:
        path: the file.
        what: that the table should be, for the message: `a CSV file with a column for each input of the model`.

    Raises:
        InputError: if it cannot be read.
    """
    try:
        text = _text(path.read_bytes())
        told = TOLD.match(text)
        delimiter = told[1] if told else _delimiter(text)
        lines = csv.reader(io.StringIO(text[told.end() if told else 0 :], newline=""), delimiter=delimiter)
        before = 1 if told else 0
        filled = [(lines.line_num + before, [cell.strip() for cell in cells]) for cells in lines if any(map(str.strip, cells))]
    except (OSError, ValueError, csv.Error) as error:
        msg = f"The table {path} cannot be read ({error}); give {what}."
        raise InputError(msg) from error
    head = [name.casefold() for name in filled[0][1]] if filled else []
    return Table(tuple(head), tuple((line, {**dict.fromkeys(head, ""), **dict(zip(head, cells))}) for line, cells in filled[1:]))


def _text(content: bytes) -> str:
    if content.startswith(UTF_16):
        return content.decode("utf-16")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252")


def _delimiter(text: str) -> str:
    """What stands most often in the first line that holds anything; a comma where nothing does."""
    head = next(filter(str.strip, text.splitlines()), "")
    return max(DELIMITERS, key=head.count)
