"""The worker of a batch: runs a case with a loaded model, from its scans to its folder of results."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import Cancelled, InputError, OutputError
from ..files.names import as_text
from ..models import Card
from ..options import RunOptions
from ..region import Region
from ..reporting import measure
from ..writing import atomic_folder
from .case import read_case, write_files
from .cohort import BatchCase
from .fingerprint import content_hash, stamp
from .manifest import DONE, FAILED, Entry

if TYPE_CHECKING:
    from ..image import Image
    from ..inference import Prediction, Predictor
    from ..models import Model
    from ..progress import OnProgress


class Worker:
    """Reads, segments and writes a case; may be called from several threads at once.

    One thread reads at a time, and the network always runs in the same thread, whose worker threads and buffers are reused; writing in one
    thread overlaps with reading and computing in others.

    Args:
        predictor: the loaded model.
        folder: of the case folders.
        options: as asked for; those of the predictor are the ones in effect.
    """

    def __init__(self, predictor: Predictor, folder: Path, options: RunOptions) -> None:
        self.card: Card = predictor.model.card
        self._predictor, self._folder, self._options = predictor, folder, options
        self._reading = threading.Lock()
        self._network = ThreadPoolExecutor(1, "network")

    def __call__(self, case: BatchCase, cancelled: threading.Event | None = None, on_progress: OnProgress | None = None) -> Entry:
        """Run a case; a scan that cannot be used gives a failed entry.

        Args:
            case: to segment.
            cancelled: set once the user wants to stop.
            on_progress: see `Predictor`; called from another thread.

        Raises:
            Cancelled: if the user wanted to stop before the network was done.
            OutputError: if the results cannot be written. Other cases would fail too, so the run has to stop.
        """
        try:
            return self._run(case, cancelled or threading.Event(), on_progress)
        except (OutputError, Cancelled):
            raise
        except InputError as error:
            sentence = str(error)
        except MemoryError:
            sentence = f"There is not enough memory for {case.name}; give a region, or run fewer cases at a time."
        # An unexpected error in one scan must not end a long run; the sentence reports it.
        except Exception as error:  # noqa: BLE001
            sentence = f"{case.name} failed unexpectedly ({type(error).__name__}: {' '.join(str(error).split())[:300]}); report it."
        return failed(case, self.card, self._options, sentence)

    def _run(self, case: BatchCase, cancelled: threading.Event, on_progress: OnProgress | None) -> Entry:
        seconds: dict[str, float] = {}
        stamped = hashed = None
        with self._reading:
            if cancelled.is_set():
                raise Cancelled(case.name)
            # Before reading, so that a scan that changes meanwhile is run again. Files that cannot be read are reported when they are read.
            with _timed(seconds, "hash"), suppress(OSError):
                stamped, hashed = stamp(case.inputs), content_hash(case.inputs)
            with _timed(seconds, "read"):
                image = self._read(case)
        started = time.monotonic()
        prediction = self._network.submit(self._predictor.run, image, case.region, on_progress=on_progress, cancel=cancelled.is_set).result()
        seconds["wait"] = time.monotonic() - started - sum(prediction.seconds.values())
        seconds.update(prediction.seconds)
        with _timed(seconds, "write"):
            outputs, prediction = self._write(case, image, prediction)
        return _entry(
            case,
            self.card,
            self._options,
            state=DONE,
            stamp=stamped,
            sha256=hashed,
            seconds={stage: round(value, 3) for stage, value in seconds.items()},
            outputs=outputs,
            labels=_labels(prediction),
            device=prediction.computed_on,
            notes=list(prediction.notes),
            misfits=list(prediction.misfits),
        )

    def _read(self, case: BatchCase) -> Image:
        if case.problem:
            raise InputError(case.problem)
        return read_case(self.card, case.inputs, case.region, self._options)

    def _write(self, case: BatchCase, image: Image, prediction: Prediction) -> tuple[dict[str, int], Prediction]:
        with atomic_folder(self._folder / case.name, replace=True) as folder:
            names, prediction = write_files(prediction, image, case.inputs, folder, case.name, case.region)
            return {name: (folder / name).stat().st_size for name in names}, prediction


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    started = time.monotonic()
    yield
    seconds[stage] = time.monotonic() - started


def failed(case: BatchCase, card: Card, options: RunOptions, error: str) -> Entry:
    """The entry of a case that could not be run."""
    return _entry(case, card, options, state=FAILED, stamp=None, sha256=None, error=as_text(case.shown(error)))


def make_worker(model: Model | Path, folder: Path, options: RunOptions) -> Worker:
    """A worker with a model, loaded if given by its folder. Errors are those of `Predictor`."""
    from ..inference import Predictor

    return Worker(Predictor(model, options=options), folder, options)


def is_current(entry: Entry | None, case: BatchCase, card: Card, folder: Path, options: RunOptions) -> bool:
    """Whether the results of a case exist and are up to date: of the same contents, model and options."""
    if entry is None or entry.state != DONE or case.problem:
        return False
    if (entry.weights_sha256, entry.model, entry.options) != (card.weights_sha256, _model(card), _options(case, options)):
        return False
    try:
        if any((folder / case.name / name).stat().st_size != size for name, size in entry.outputs.items()):
            return False
        return entry.stamp == stamp(case.inputs) or entry.sha256 == content_hash(case.inputs)
    except OSError:
        # A case that cannot be checked is run again, and then reports why it fails.
        return False


def _entry(case: BatchCase, card: Card, options: RunOptions, **results: Any) -> Entry:
    return Entry(
        case=case.name,
        inputs=case.shown_inputs,
        model=_model(card),
        weights_sha256=card.weights_sha256,
        options=_options(case, options),
        date=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        **results,
    )


def _labels(prediction: Prediction) -> list[dict[str, Any]]:
    return [{"value": one.value, "name": one.name, **one.statistics} for one in measure(prediction)]


def _model(card: Card) -> str:
    return f"{card.id} {card.version}"


def _options(case: BatchCase, options: RunOptions) -> dict[str, Any]:
    """The options that the results of a case depend on besides scan and model, as JSON types."""
    return {**options.of_files(), "region": None if case.region is None else _numbers(case.region)}


def _numbers(region: Region) -> list[float]:
    return [float(number) for part in (region.center, region.size, *region.axes) for number in part]
