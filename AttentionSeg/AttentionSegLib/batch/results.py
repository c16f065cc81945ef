"""Results of a whole batch: a CSV table and an HTML page."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from ..models import Card
from ..reporting import STATISTICS
from ..writing import csv_text, write_text
from .flags import flags_of
from .found import Skipped
from .manifest import DONE, Entry
from .page import page

REPORT, MEASUREMENTS = "report.html", "measurements.csv"
COLUMNS = ("value", *(statistic.key for statistic in STATISTICS))


def write_results(folder: Path, card: Card, entries: Sequence[Entry], skipped: Sequence[Skipped], gone: Collection[str] = ()) -> tuple[Path, Path]:
    """Write `report.html` and `measurements.csv`, each completely or not at all, and return their paths.

    The table has the columns case, label, value, one for each of STATISTICS (empty if a label has none), flags of the case separated by semicolons
    (see `flags_of`), and id and version of the model. `gone` are the cases whose scans no longer exist.

    Raises:
        OutputError: if one cannot be written.
    """
    write_text(folder / MEASUREMENTS, _table(entries, gone))
    write_text(folder / REPORT, page(folder, card, entries, skipped, gone))
    return folder / REPORT, folder / MEASUREMENTS


def _table(entries: Sequence[Entry], gone: Collection[str]) -> str:
    rows: list[tuple[str, ...]] = [("case", "label", *COLUMNS, "flags", "model")]
    done = [entry for entry in entries if entry.state == DONE]
    flags = {case: "; ".join(found) for case, found in flags_of(done, gone).items()}
    for entry in done:
        more = flags[entry.case], entry.model
        rows += ((entry.case, label["name"], *(_number(label.get(column)) for column in COLUMNS), *more) for label in entry.labels)
    return csv_text(rows)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.9g}"
