"""Reading of tables in text files (CSV, TSV), from programs and spreadsheets."""

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
# The line in which a spreadsheet names the delimiter.
SEP_LINE = re.compile(r'"?sep=(.)"?[,;\t]*\r?\n', re.IGNORECASE)
QUOTED = re.compile(r'"[^"]*"')


@dataclass(frozen=True)
class Table:
    """A table with a header line.

    Attributes:
        columns: names in lower case, stripped of blanks.
        rows: the number of the line in the file, and its cells by column, stripped of blanks; empty lines are left out.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[int, dict[str, str]], ...]


def read_table(path: Path, what: str) -> Table:
    """Read a table delimited by commas, semicolons or tabs, in UTF-8, UTF-16 or Windows-1252.

    Args:
        path: the file.
        what: the expected table, for the message: `a CSV file with a column for each input of the model`.

    Raises:
        InputError: if it cannot be read.
    """
    try:
        text = decoded(path.read_bytes())
        sep_line = SEP_LINE.match(text)
        delimiter = sep_line[1] if sep_line else _delimiter(text)
        lines = csv.reader(io.StringIO(text[sep_line.end() if sep_line else 0 :], newline=""), delimiter=delimiter)
        before = 1 if sep_line else 0
        filled = [(lines.line_num + before, [cell.strip() for cell in cells]) for cells in lines if any(map(str.strip, cells))]
    except (OSError, ValueError, csv.Error) as error:
        reason = "it is no text" if isinstance(error, UnicodeError) else getattr(error, "strerror", None) or error
        msg = f"The table {path} cannot be read ({reason}); give {what}."
        raise InputError(msg) from error
    if not filled:
        msg = f"The table {path} is empty; give {what}."
        raise InputError(msg)
    head = [name.casefold() for name in filled[0][1]]
    return Table(tuple(head), tuple((line, {**dict.fromkeys(head, ""), **dict(zip(head, cells))}) for line, cells in filled[1:]))


def decoded(content: bytes) -> str:
    """Text in UTF-8, UTF-16 or Windows-1252. Raises ValueError for any other."""
    if content.startswith(UTF_16):
        return content.decode("utf-16")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252")


def _delimiter(text: str) -> str:
    """The most frequent delimiter in the first line that is not empty; a comma if there is none."""
    head = next(filter(str.strip, text.splitlines()), "")
    return max(DELIMITERS, key=QUOTED.sub("", head).count)
