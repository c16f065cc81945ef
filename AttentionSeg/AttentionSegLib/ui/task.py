"""Work in a thread of its own, looked after from the main thread."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from enum import Enum
from typing import Any, Generic, TypeVar

from ..errors import Cancelled
from ..inference.progress import Cancel, OnProgress

Result = TypeVar("Result")
Work = Callable[[OnProgress, Cancel], Any]


class State(Enum):
    """Where a run stands. The last three are ends."""

    IDLE = "idle"
    INSTALLING = "installing"
    READING = "reading"
    PREDICTING = "predicting"
    PUBLISHING = "publishing"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def running(self) -> bool:
        return self in (State.INSTALLING, State.READING, State.PREDICTING, State.PUBLISHING)


class Task(Generic[Result]):
    """One run: work that touches neither MRML nor Qt in a thread, then the finish in the thread that polls.

        task = Task(lambda on_progress, cancel: predictor(image, on_progress=on_progress, cancel=cancel), publish)
        while task.poll():
            time.sleep(0.01)

    Args:
        work: called in the thread with `on_progress` and `cancel`; what it returns is handed to `finish`.
        finish: called by `poll` once the work is done; what it returns is the result.
        on_change: called by `poll` with the task whenever it has something new to show.

    Attributes:
        state: PREDICTING, PUBLISHING, and at the end DONE, FAILED or CANCELLED.
        progress: (fraction 0..1, stage, seconds left or None).
        result: of the finish, once DONE.
        error: what was raised, once FAILED.
    """

    def __init__(self, work: Work, finish: Callable[[Any], Result], on_change: Callable[[Task], None] | None = None) -> None:
        self.state = State.PREDICTING
        self.progress: tuple[float, str, float | None] = (0.0, "load", None)
        self.result: Result | None = None
        self.error: Exception | None = None
        self._shown: tuple[float, str, float | None] | None = None
        self._cancelled = False
        self._finish, self._on_change = finish, on_change
        self._thread = ThreadPoolExecutor(1, "AttentionSeg")
        self._future: Future = self._thread.submit(work, self._note, lambda: self._cancelled)

    def cancel(self) -> None:
        """Ask the run to stop. It does so between two patches, and nothing of it reaches the scene."""
        self._cancelled = True

    def poll(self) -> bool:
        """Look after the run; main thread only. True while there is more to wait for."""
        if not self.state.running:
            return False
        if not self._future.done():
            if self.progress != self._shown:
                self._shown = self.progress
                self._changed()
            return True
        self._thread.shutdown(wait=False)
        self._end()
        self._changed()
        return False

    def _end(self) -> None:
        try:
            found = self._future.result()
            if self._cancelled:
                self.state = State.CANCELLED
                return
            self.state = State.PUBLISHING
            self._changed()
            self.result = self._finish(found)
        except Cancelled:
            self.state = State.CANCELLED
        # Whatever it was, it is shown in the panel and raised again by whoever waits for the result.
        except Exception as error:  # noqa: BLE001
            self.error = error
            self.state = State.FAILED
        else:
            self.state = State.DONE

    def _note(self, fraction: float, stage: str, seconds_left: float | None) -> None:
        self.progress = (fraction, stage, seconds_left)

    def _changed(self) -> None:
        if self._on_change is not None:
            self._on_change(self)
