"""Running cases in parallel, with a bounded number at a time."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import TYPE_CHECKING, Protocol

from ..errors import Cancelled
from .cohort import BatchCase
from .manifest import DONE, Entry, Manifest
from .progress import BatchProgress
from .worker import Worker

if TYPE_CHECKING:
    from ..progress import OnProgress

POLL_SECONDS = 0.05


class Pool(Protocol):
    """Runs cases."""

    @property
    def width(self) -> int:
        """Largest number of cases that may run at a time."""

    def submit(self, case: BatchCase, on_progress: OnProgress) -> Future[Entry]:
        """Start a case."""

    def entry(self, case: BatchCase, future: Future[Entry]) -> Entry:
        """The result of a case that has ended. Raises OutputError or Cancelled."""

    def stop(self) -> None:
        """Start no further case, and end the running ones as soon as possible."""


class LocalPool:
    """Threads of this process: while the network computes one case, others are read and written."""

    def __init__(self, worker: Worker, width: int) -> None:
        self.width = width
        self._worker = worker
        self._threads: Executor = ThreadPoolExecutor(width, "case")
        self._stopped = threading.Event()

    def submit(self, case: BatchCase, on_progress: OnProgress) -> Future[Entry]:
        return self._threads.submit(self._worker, case, self._stopped, on_progress)

    def entry(self, _case: BatchCase, future: Future[Entry]) -> Entry:
        return future.result()

    def stop(self) -> None:
        self._stopped.set()
        self._threads.shutdown()


def run_all(pool: Pool, cases: Sequence[BatchCase], manifest: Manifest, progress: BatchProgress) -> None:
    """Run cases and record how each ends.

    Raises:
        OutputError: if results or manifest cannot be written.
        Cancelled: if the user wanted to stop. Cases completed until then are recorded.
    """
    waiting = iter(cases)
    working: dict[Future[Entry], BatchCase] = {}

    def record(future: Future[Entry]) -> None:
        entry = pool.entry(working.pop(future), future)
        manifest.add(entry)
        progress.end_case(entry.state == DONE)

    try:
        while True:
            # If the pool has lost a worker, more cases than its width are running.
            for case in islice(waiting, max(0, pool.width - len(working))):
                working[pool.submit(case, progress.within_case)] = case
            if not working:
                return
            for future in wait(working, POLL_SECONDS, FIRST_COMPLETED).done:
                record(future)
            progress.step()
    except (Cancelled, KeyboardInterrupt):
        pool.stop()
        for future in [future for future in working if future.done() and not future.cancelled() and future.exception() is None]:
            record(future)
        raise
    finally:
        pool.stop()
