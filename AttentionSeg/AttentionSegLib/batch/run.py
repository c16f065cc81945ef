"""Segmentation of many scans by one call."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import Cancelled, InputError, OutputError
from ..inference.checks import check_attention
from ..lock import locked
from ..models import Card, find_model
from ..models.card import CARD_NAME
from ..options import RETURNED, KeywordOnly, RunOptions
from ..region import Region
from ..reporting import check_drawing
from ..writing import output_folder, sweep
from .cohort import Cohort, Skipped, find_cases
from .found import CASES
from .manifest import DONE, FAILED, MANIFEST, Entry, Manifest
from .pool import LocalPool, Pool, run_all
from .progress import BatchProgress
from .results import write_results
from .worker import is_current, make_worker

if TYPE_CHECKING:
    from ..progress import Cancel, OnProgress


@dataclass(frozen=True)
class BatchOptions(KeywordOnly):
    """Options of a batch: how cases are found and run.

    Attributes:
        recursive, pattern, channels: see `find_cases`.
        region: box in RAS mm, for all cases without one of their own in a CSV file.
        restart: whether to run all cases again.
        jobs: number of cases at a time: while the network computes one, others are read and written. Each takes the memory of a scan and its
            results. Ignored on a cluster, where the number of worker threads counts.
        scheduler: address of a Dask scheduler, or a `dask.distributed.Client`, whose workers run the cases; all paths must be the same there.

    Raises:
        InputError: if `jobs` is below 1.
    """

    recursive: bool = False
    pattern: str | None = None
    channels: str | None = None
    region: Region | None = None
    restart: bool = False
    jobs: int = 3
    scheduler: object = None

    def __post_init__(self) -> None:
        if self.jobs < 1:
            msg = f"The number of jobs is {self.jobs}; give 1 or more."
            raise InputError(msg)


@dataclass(frozen=True, eq=False)
class BatchResult:
    """Result of a batch.

    Attributes:
        folder: of the results.
        entries: of each case by name, including those done by earlier runs.
        skipped: what the search for cases skipped.
        segmented: number of cases that this run tried; the others were done before.
        files: `report.html`, `measurements.csv` and `manifest.jsonl`.
    """

    folder: Path
    entries: dict[str, Entry]
    skipped: tuple[Skipped, ...]
    segmented: int
    files: tuple[Path, ...]

    @property
    def done(self) -> list[str]:
        """The names of the cases with results."""
        return [name for name, entry in self.entries.items() if entry.state == DONE]

    @property
    def failed(self) -> dict[str, str]:
        """Reasons of failed cases, by the name of the case."""
        return {name: entry.error or "" for name, entry in self.entries.items() if entry.state == FAILED}


def segment_folder(
    source: str | os.PathLike,
    output: str | os.PathLike,
    model: str | os.PathLike,
    *,
    options: RunOptions | None = None,
    on_progress: OnProgress | None = None,
    cancel: Cancel | None = None,
    **more: Any,
) -> BatchResult:
    """Segment many scans. Called again, after a crash or a cancel or with more scans, it resumes: finished cases are not run again.

        from AttentionSegLib.batch import segment_folder
        segment_folder("scans", "results", model="hippocampus-mr-attention-unet")

    The results of each case are in `cases/<name>`, all or none of them. Beside that folder are `report.html`, `measurements.csv` (a line per case and
    label) and `manifest.jsonl` (a line per case: how it ended and why). A case that cannot be segmented is recorded there, and the run continues. A
    case is run again if its scans, the weights or the options have changed, a result is missing, or it failed.

    Args:
        source: with the cases (see `find_cases`).
        output: folder for the results, made if it does not exist. It may be inside the source.
        model: the id of an installed model, or the path of a model folder.
        options: of the run; the defaults of `RunOptions` when left out. On a cluster the memory limit applies to each worker.
        on_progress: called with (fraction 0..1, stage, seconds left or None), from the calling thread.
        cancel: called a few times a second; when it returns True, cases in the network are dropped, those being written are completed.
        more: options of the batch (see `BatchOptions`), and options of `RunOptions` that replace those in `options`, by name.

    Raises:
        InputError: before any work, if the source, the model, an option or the folder cannot be used, or another run works in the folder.
        OutputError: if the results cannot be written. Finished cases are kept.
        Cancelled: if `cancel` returned True. Finished cases are kept.
    """
    batch = BatchOptions(**{name: more.pop(name) for name in BatchOptions.names() if name in more})
    options = replace(options or RunOptions(), **more).default(RETURNED)
    check_drawing("A batch with its pictures")
    if options.dicom:
        # Imported here because it needs pydicom.
        from ..files.dicom_segmentation import check_highdicom

        check_highdicom()
    folder = find_model(model)
    card = Card.load(folder / CARD_NAME)
    cohort = _with_region(find_cases(source, card, output, batch.recursive, batch.pattern, batch.channels), batch.region)
    with output_folder(output) as place, locked(place):
        results = place.resolve() / CASES
        manifest = Manifest(place / MANIFEST)
        before = {} if batch.restart else manifest.entries
        _check_model(before.values(), card, place)
        done = {case.name for case in cohort.cases if is_current(before.get(case.name), case, card, results, options)}
        todo = [case for case in cohort.cases if case.name not in done]
        pool = _pool(folder.resolve(), results, options, batch) if todo else None
        results.mkdir(exist_ok=True)
        sweep(results)
        present = {case.name for case in cohort.cases}
        manifest.keep(done | {name for name, entry in manifest.entries.items() if name not in present and entry.state == DONE})
        progress = BatchProgress(len(todo), on_progress, cancel)
        stopped = None
        try:
            if pool is not None:
                run_all(pool, todo, manifest, progress)
        except OutputError as error:
            msg = f"{error} Then run the same again to resume: {len(done) + progress.ended} of {len(cohort.cases)} cases are done."
            raise OutputError(msg) from error
        except (Cancelled, KeyboardInterrupt) as error:
            stopped = error
        gone = manifest.entries.keys() - present
        files = write_results(place, card, sorted(manifest.entries.values(), key=lambda entry: entry.case), cohort.skipped, gone)
        if stopped is not None:
            raise stopped
    progress.finish()
    entries = {case.name: manifest.entries[case.name] for case in cohort.cases}
    return BatchResult(place, entries, cohort.skipped, len(todo), (*files, place / MANIFEST))


def _check_model(entries: Iterable[Entry], card: Card, folder: Path) -> None:
    """Raise InputError if a folder contains results of another model, which those of this one would replace."""
    others = sorted({entry.model for entry in entries if entry.state == DONE and entry.model.partition(" ")[0] != card.id})
    if others:
        msg = (
            f"The folder {folder} holds results of {', '.join(others)}; choose another folder for those of {card.id}, or have them replaced "
            "(--restart)."
        )
        raise InputError(msg)


def _with_region(cohort: Cohort, region: Region | None) -> Cohort:
    if region is None:
        return cohort
    return replace(cohort, cases=tuple(case if case.region else replace(case, region=region) for case in cohort.cases))


def _pool(model: Path, folder: Path, options: RunOptions, batch: BatchOptions) -> Pool:
    """The pool that runs the cases. Raises InputError if the model, a map's name, the device or the scheduler cannot be used."""
    # Imported only now, when there is something to do, because torch takes seconds.
    from ..inference.explanation import check_explain
    from ..models import card_of_sides, load_model

    loaded = load_model(model)
    check_attention(options.attention, loaded.network.attention_strides, loaded.card)
    sides = card_of_sides(loaded.card).labels if loaded.card.found_by else ()
    check_explain(options, (*loaded.card.labels, *sides), loaded)
    if batch.scheduler is None:
        return LocalPool(make_worker(loaded, folder, options), batch.jobs)
    from ..inference.mirroring import check_mirroring
    from .scheduler import ClusterPool

    if options.mirroring:
        check_mirroring(loaded.card)
    return ClusterPool(batch.scheduler, model, folder, options)
