"""Running the cases of a batch on the workers of a Dask scheduler."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from ..models import Card
from ..models.card import CARD_NAME
from ..options import RunOptions
from .cohort import BatchCase
from .manifest import Entry
from .worker import Worker, failed, make_worker

if TYPE_CHECKING:
    from ..progress import OnProgress

# How often a case is tried again after its worker has died.
RETRIES = 3
# Cases per worker thread that are submitted in advance, so that no thread waits for its next case.
AHEAD = 2
CONNECT_SECONDS = 30

_lock = threading.Lock()
_loaded: tuple[tuple, Worker] | None = None


class ClusterPool:
    """The workers of a Dask scheduler. Each loads the model once; its threads overlap reading and writing with the network.

    Args:
        scheduler: its address, or a `dask.distributed.Client`.
        model: model folder, at the same path on every worker, as are scans and results.
        folder: of the case folders.
        options: the same for all cases.

    Raises:
        InputError: if Dask is not installed, or the scheduler does not answer or has no worker.
    """

    def __init__(self, scheduler: object, model: Path, folder: Path, options: RunOptions) -> None:
        try:
            from distributed import Client
        except ModuleNotFoundError as error:
            msg = "A scheduler needs Dask, which is not installed; run: pip install 'dask[distributed]'."
            raise InputError(msg) from error
        try:
            self._client = scheduler if isinstance(scheduler, Client) else Client(scheduler, timeout=CONNECT_SECONDS)
            self._client.wait_for_workers(1, timeout=CONNECT_SECONDS)
        except (OSError, ValueError, TimeoutError) as error:
            msg = f"The scheduler {scheduler} does not answer or has no worker ({error}); start it with its workers, or check its address."
            raise InputError(msg) from error
        self._own = self._client is not scheduler
        self._executor = self._client.get_executor(pure=False, retries=RETRIES)
        self._card = Card.load(model / CARD_NAME)
        self._arguments = (model, folder, options)

    @property
    def width(self) -> int:
        """Largest number of cases that may run or wait at a time; it changes with the number of workers."""
        return AHEAD * max(1, sum(self._client.nthreads().values()))

    def submit(self, case: BatchCase, _on_progress: OnProgress) -> Future[Entry]:
        return self._executor.submit(segment_on_worker, case, *self._arguments)

    def entry(self, case: BatchCase, future: Future[Entry]) -> Entry:
        from distributed import KilledWorker

        try:
            return future.result()
        except KilledWorker:
            return failed(
                case, self._card, self._arguments[-1], f"{case.name} ended every worker that ran it, as lack of memory does; see their logs."
            )

    def stop(self) -> None:
        self._executor.shutdown(wait=False)
        if self._own:
            self._client.close()


def segment_on_worker(case: BatchCase, model: Path, folder: Path, options: RunOptions) -> Entry:
    """Run a case in the process of a Dask worker, which keeps the model loaded."""
    global _loaded
    wanted = (model, folder, options)
    with _lock:
        if _loaded is None or _loaded[0] != wanted:
            _loaded = wanted, make_worker(*wanted)
        worker = _loaded[1]
    return worker(case)
