"""A batch: many scans, one call."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import Cancelled, InputError, OutputError
from ..inference.checks import check_attention
from ..models import Card, find_model
from ..models.card import CARD_NAME
from ..region import Region
from ..writing import output_folder, sweep
from .case import check_format
from .cohort import Cohort, Skipped, find_cases
from .found import CASES, MANIFEST
from .lock import locked
from .manifest import DONE, FAILED, Entry, Manifest
from .pool import LocalPool, Pool, run_all
from .progress import BatchProgress
from .results import check_drawing, write_results
from .worker import Computing, Settings, is_current, make_worker

if TYPE_CHECKING:
    from ..progress import Cancel, OnProgress


@dataclass(frozen=True, eq=False)
class BatchResult:
    """What became of a batch.

    Attributes:
        folder: of the results.
        entries: of each case of this run, by name; those that were done before included.
        skipped: what was passed over in the search for cases.
        segmented: how many cases this run tried; the others were done before.
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
        """Why, by the name of the case."""
        return {name: entry.error for name, entry in self.entries.items() if entry.state == FAILED}


def segment_folder(
    source: str | os.PathLike,
    output: str | os.PathLike,
    model: str | os.PathLike,
    region: Region | None = None,
    attention: bool | Iterable[str] = True,
    file_format: str = "nrrd",
    dicom: bool = False,
    recursive: bool = False,
    pattern: str | None = None,
    channels: str | None = None,
    restart: bool = False,
    jobs: int = 3,
    device: str = "auto",
    backend: str = "auto",
    memory_limit_gb: float | None = None,
    mirroring: bool = False,
    overlap: float | None = None,
    scheduler: object = None,
    on_progress: OnProgress | None = None,
    cancel: Cancel | None = None,
) -> BatchResult:
    """Segment many scans. Call it again after a crash, a cancel or with more scans: what is done is not done again.

        from AttentionSegLib.batch import segment_folder
        segment_folder("scans", "results", model="hippocampus-mr-attention-unet")

    The results of each case lie in `cases/<name>`: all of them, or none. Beside that folder stand `report.html`, `measurements.csv` (a line for each
    case and label) and `manifest.jsonl` (a line for each case: what became of it and why). A case that cannot be segmented is recorded there, and the
    run goes on. A case is done again when its scans, the weights or the options have changed, a result is missing, or it failed.

    Args:
        source, recursive, pattern, channels: where the cases are (see `find_cases`).
        output: folder for the results, made if it is not there. It may lie in the source.
        model: the id of an installed model, or the path of a model folder.
        region: box in RAS mm, for all cases that have none of their own in a CSV file.
        attention: all maps, none, or those named.
        file_format: `nrrd` or `nii`.
        dicom: write a DICOM segmentation of each DICOM series too (it needs highdicom).
        restart: do all cases again.
        jobs: how many cases are in work at one time: while the network computes one, others are read and written. Each takes the memory of a scan
            and its results. On a cluster the threads of its workers take the place of this number.
        device, backend, memory_limit_gb, mirroring, overlap: as of `Predictor`; on a cluster the limit is on each worker.
        scheduler: address of a Dask scheduler, or a `dask.distributed.Client`, whose workers then do the work; all paths must be the same there.
        on_progress: called with (fraction 0..1, stage, seconds left or None), from the calling thread.
        cancel: asked a few times a second; when it returns True, cases in the network are dropped, those being written are completed.

    Raises:
        InputError: before any work, if the source, the model, an option or the folder cannot be used, or another run works in the folder.
        OutputError: if the results cannot be written. What is done stays done.
        Cancelled: if `cancel` said so. What is done stays done.
    """
    check_format(file_format)
    if jobs < 1:
        msg = f"The number of jobs is {jobs}; give 1 or more."
        raise InputError(msg)
    check_drawing()
    if dicom:
        # Only here, because it needs pydicom.
        from ..files.dicom_segmentation import check_highdicom

        check_highdicom()
    folder = find_model(model)
    card = Card.load(folder / CARD_NAME)
    cohort = _with_region(find_cases(source, card, output, recursive, pattern, channels), region)
    wanted = attention if isinstance(attention, bool) else tuple([attention] if isinstance(attention, str) else attention)
    with output_folder(output) as place, locked(place):
        settings = Settings(place.resolve() / CASES, wanted, file_format, dicom, mirroring, overlap)
        manifest = Manifest(place / MANIFEST)
        done = set() if restart else {case.name for case in cohort.cases if is_current(manifest.entries.get(case.name), case, card, settings)}
        todo = [case for case in cohort.cases if case.name not in done]
        pool = _pool(folder.resolve(), settings, jobs, (device, backend, memory_limit_gb), scheduler) if todo else None
        settings.folder.mkdir(exist_ok=True)
        sweep(settings.folder)
        present = {case.name for case in cohort.cases}
        manifest.keep(done | {name for name, entry in manifest.entries.items() if name not in present and entry.state == DONE})
        progress = BatchProgress(len(todo), on_progress, cancel)
        stopped = None
        try:
            if pool is not None:
                run_all(pool, todo, manifest, progress)
        except OutputError as error:
            msg = f"{error} Run the same again afterwards: {len(done) + progress.ended} of {len(cohort.cases)} cases are through."
            raise OutputError(msg) from error
        except (Cancelled, KeyboardInterrupt) as error:
            stopped = error
        files = write_results(place, card, sorted(manifest.entries.values(), key=lambda entry: entry.case), cohort.skipped)
        if stopped is not None:
            raise stopped
    progress.finish()
    entries = {case.name: manifest.entries[case.name] for case in cohort.cases}
    return BatchResult(place, entries, cohort.skipped, len(todo), (*files, place / MANIFEST))


def _with_region(cohort: Cohort, region: Region | None) -> Cohort:
    if region is None:
        return cohort
    return replace(cohort, cases=tuple(case if case.region else replace(case, region=region) for case in cohort.cases))


def _pool(model: Path, settings: Settings, jobs: int, computing: Computing, scheduler: object) -> Pool:
    """What runs the cases. InputError if the model, a map's name, the device, the limit or the scheduler cannot be used."""
    # torch takes seconds to import: only now, when there is something to do.
    from ..models import load_model

    loaded = load_model(model)
    check_attention(settings.attention, loaded.network.attention_strides, loaded.card)
    if scheduler is not None:
        from ..inference.checks import check_overlap
        from ..inference.memory import check_memory_limit
        from ..inference.mirroring import check_mirroring
        from .scheduler import ClusterPool

        check_memory_limit(computing[-1])
        check_overlap(settings.overlap)
        if settings.mirroring:
            check_mirroring(loaded.card)
        return ClusterPool(scheduler, model, settings, computing)
    return LocalPool(make_worker(loaded, settings, computing), jobs)
