"""Reading of a table with a region for each case of an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..datasets.cases import Case, named, one_sentence
from ..errors import InputError
from ..files.names import composed
from ..files.tables import read_table
from ..region import Region


def read_regions(path: Path, cases: Sequence[Case]) -> dict[str, Region]:
    """Read a table with the columns `id` and `region` (R,A,S,W,H,D in mm): the regions by case id; lines of other cases are skipped.

    Raises:
        InputError: if the table cannot be read, a case is not in it, or a region is not six numbers.
    """
    table = read_table(path, "a CSV file with the columns id and region (R,A,S,W,H,D in mm)")
    if not {"id", "region"} <= set(table.columns):
        msg = f"The table {path} has no column 'id' or no column 'region', only {', '.join(table.columns)}; add it."
        raise InputError(msg)
    written = {composed(row["id"]): row["region"] for _, row in table.rows}
    missing = [case.id for case in cases if not written.get(case.id)]
    if missing:
        msg = f"The table {path} has no region for {named(missing)}; add a line with the columns id and region for each case."
        raise InputError(msg)
    regions: dict[str, Region] = {}
    problems = []
    for case in cases:
        try:
            regions[case.id] = Region.parse(written[case.id])
        except InputError as error:
            problems.append(f"{case.id}: {error}")
    if problems:
        raise InputError(one_sentence(problems, f"The table {path} cannot be used"))
    return regions
