"""The cases of a batch: search, grouping of scans, and names."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from ..files import scan_stem
from ..files.names import without_parents
from ..files.tables import ENDINGS as TABLE_ENDINGS
from ..models import Card
from ..region import Region
from .bids import find_bids, is_bids
from .case_names import unique_names
from .case_table import find_in_table
from .channel_pattern import ChannelPattern
from .found import Found, Search, Skipped
from .scan_folder import find_scans


@dataclass(frozen=True)
class BatchCase:
    """One case of a batch.

    Attributes:
        name: unique, and valid as the name of a folder.
        inputs: one scan per input of the model; empty if there is a problem.
        region: box in RAS mm.
        problem: a sentence why the case cannot be run.
        root: the folder that the user named, or that of the file; results do not show it.
    """

    name: str
    inputs: tuple[os.PathLike, ...]
    region: Region | None = None
    problem: str | None = None
    root: Path | None = None

    @property
    def shown_inputs(self) -> list[str]:
        """The inputs as results show them."""
        return [without_parents(path, self.root) for path in self.inputs]

    def shown(self, sentence: str) -> str:
        """A sentence as results show it."""
        return sentence if self.root is None else sentence.replace(f"{self.root}{os.sep}", "")


@dataclass(frozen=True)
class Cohort:
    """The cases that were found, sorted by name, and what was skipped, with the reason."""

    cases: tuple[BatchCase, ...]
    skipped: tuple[Skipped, ...]


def find_cases(
    source: str | os.PathLike,
    card: Card,
    output: str | os.PathLike | None = None,
    recursive: bool = False,
    pattern: str | None = None,
    channels: str | None = None,
) -> Cohort:
    """Find the cases of a batch.

    Args:
        source: one scan; a folder of scans and DICOM series; a BIDS tree (it holds `dataset_description.json`); or a CSV file with a column per input
            of the model, of the input's name (for a model of one input also `image`), and optional columns `case` and `region` (R,A,S,W,H,D in mm).
        card: of the model: its inputs determine columns, BIDS suffixes and DICOM modality.
        output: folder of the results. It is not searched, and neither is any other folder with the results of a batch.
        recursive: whether to search subfolders; those of a BIDS tree are always searched.
        pattern: only files whose name matches, such as `*_T1w.nii.gz`.
        channels: one file name per input of the model, `{case}_0000.nii.gz,{case}_0001.nii.gz`, or `{case}/T1.nii.gz,{case}/FLAIR.nii.gz`.

    Raises:
        InputError: if the source cannot be used or contains no case.
    """
    source = Path(source)
    if source.is_dir():
        search = Search(source, None if output is None else Path(output), recursive or is_bids(source), pattern)
        if channels is not None:
            ChannelPattern(channels, card).find(search)
        elif is_bids(source) and pattern is None:
            find_bids(search, card)
        else:
            find_scans(search, card)
        found, skipped = search.found, search.skipped
    elif source.is_file() and source.suffix.lower() in TABLE_ENDINGS:
        found, skipped = find_in_table(source, card), []
    elif source.is_file():
        found, skipped = [Found(scan_stem(source), source.name, (source,))], []
    else:
        msg = f"There is no file or folder {source}; give a folder of scans, a BIDS tree or a CSV file."
        raise InputError(msg)
    if not found:
        more = f" ({len(skipped)} skipped, such as {skipped[0].path}: {skipped[0].reason})" if skipped else ""
        hint = "" if recursive or source.is_file() else ", or search its subfolders too (--recursive)"
        hint += f", or another pattern than '{pattern}'" if pattern else ""
        msg = f"There is no case in {source}{more}; give a folder of scans{hint}."
        raise InputError(msg)
    distinct: dict[str, Found] = {}
    for one in found:
        if distinct.setdefault(one.key, one) is not one:
            skipped.append(Skipped(one.title, "the same scans again"))
    root = source if source.is_dir() else source.parent
    names = unique_names(list(distinct.values()))
    cases = (BatchCase(name, one.inputs, one.region, one.problem, root) for name, one in zip(names, distinct.values()))
    return Cohort(tuple(sorted(cases, key=lambda case: case.name)), tuple(skipped))
