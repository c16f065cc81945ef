"""What is told about a whole batch: a table for programs and a page for people."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from ..errors import InputError
from ..files import write_text
from ..models import Card
from ..reporting import STATISTICS
from .flags import flags_of
from .found import Skipped
from .manifest import DONE, Entry
from .page import page

REPORT, MEASUREMENTS = "report.html", "measurements.csv"
COLUMNS = ("value", *(statistic.key for statistic in STATISTICS))


def check_drawing() -> None:
    """Raise InputError if pictures cannot be drawn here."""
    try:
        from ..reporting import sheet  # noqa: F401
    except ModuleNotFoundError as error:
        msg = f"The pictures of a batch need {error.name}, which is not installed; run: pip install matplotlib."
        raise InputError(msg) from error


def write_results(folder: Path, card: Card, entries: Sequence[Entry], skipped: Sequence[Skipped]) -> tuple[Path, Path]:
    """Write `report.html` and `measurements.csv`, each completely or not at all; where they are.

    The table has the columns case, label, value, one for each of STATISTICS, empty where a label has none, and flags of the case between semicolons
    (see `flags_of`).

    Raises:
        OutputError: if one cannot be written.
    """
    write_text(folder / MEASUREMENTS, _table(entries))
    write_text(folder / REPORT, page(folder, card, entries, skipped))
    return folder / REPORT, folder / MEASUREMENTS


def _table(entries: Sequence[Entry]) -> str:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("case", "label", *COLUMNS, "flags"))
    done = [entry for entry in entries if entry.state == DONE]
    flags = {case: "; ".join(found) for case, found in flags_of(done).items()}
    for entry in done:
        rows.writerows((entry.case, label["name"], *(_number(label.get(column)) for column in COLUMNS), flags[entry.case]) for label in entry.labels)
    return text.getvalue()


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.9g}"
