"""Tasks: work in a thread, polled from the main thread."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import nullcontext
from enum import Enum
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ..errors import Cancelled, InputError
from ..progress import Cancel, OnProgress, check_cancel
from .drawing import drawn_once
from .translation import tr as _

if TYPE_CHECKING:
    import slicer

Result = TypeVar("Result")
Work = Callable[[OnProgress, Cancel], Any]

# How long a quitting application waits for work to stop; only the import of a package or the conversion of a model takes longer.
STOP_SECONDS = 20.0


class State(Enum):
    """State of a run. The last three are final."""

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


class Job(Generic[Result]):
    """A run that is polled from the main thread until it has ended.

    Args:
        state: at first.
        stage: until another is reported.
        on_change: called with the job whenever its state or progress has changed.

    Attributes:
        state: READING, PREDICTING, PUBLISHING, and at the end DONE, FAILED or CANCELLED.
        progress: (fraction 0..1, stage, seconds left or None).
        result: once DONE.
        error: the exception, once FAILED.
        cancelling: whether it was asked to stop.
    """

    def __init__(self, state: State, stage: str, on_change: Callable[[Any], None] | None) -> None:
        self.state = state
        self.progress: tuple[float, str, float | None] = (0.0, stage, None)
        self.result: Result | None = None
        self.error: Exception | None = None
        self.cancelling = False
        self._on_change = on_change

    def cancel(self) -> None:
        """Ask the run to stop. Nothing is added to the scene."""
        self.cancelling = True

    def poll(self) -> bool:
        """Advance the run; main thread only. Returns True until it has ended."""
        raise NotImplementedError

    def _become(self, state: State) -> None:
        self.state = state
        self._changed()

    def _changed(self) -> None:
        if self._on_change is not None:
            self._on_change(self)


class Task(Job[Result]):
    """A run: work in a thread, which touches neither MRML nor Qt, then `finish` in the thread that polls.

        while task.poll():
            time.sleep(0.01)

    Args:
        work: called in the thread with `on_progress` and `cancel`; its return value is passed to `finish`.
        finish: called by `poll` once the work is done; its return value is the result.
        on_change: called by `poll` with the task whenever its state or progress has changed.
        read: steps to take in the thread that polls before the work starts, one per poll, so that the application can respond in between.
        nodes: that the result needs: if one of them is removed from its scene, the run ends with an InputError.
        stage: until the work reports another. It writes nothing, so that a run that is cancelled in it ends at once, later between two patches.
    """

    def __init__(
        self,
        work: Work,
        finish: Callable[[Any], Result],
        on_change: Callable[[Task], None] | None = None,
        *,
        read: Iterable[object] = (),
        nodes: Sequence[slicer.vtkMRMLNode] = (),
        stage: str = "load",
    ) -> None:
        super().__init__(State.PREDICTING if read == () else State.READING, stage, on_change)
        self._first_stage = stage
        self._shown: tuple | None = None
        self._work, self._finish, self._read, self._nodes = work, finish, iter(read), nodes
        self._future: Future | None = None
        if read == ():
            self._submit()

    def poll(self) -> bool:
        if not self.state.running:
            return False
        self._look_for_nodes()
        if self._future is None:
            self._take_step()
        elif self._future.done():
            with drawn_once() if self.state is State.PUBLISHING else nullcontext():
                self._end(self._future)
        elif self.cancelling and self.progress[1] == self._first_stage:
            # An import cannot be interrupted; the thread ends after it, and the user need not wait.
            self._stop()
        elif (self.progress, self.cancelling) != self._shown:
            self._shown = self.progress, self.cancelling
            self._changed()
        return self.state.running

    def _look_for_nodes(self) -> None:
        gone = None if self.cancelling else next((node for node in self._nodes if node.GetScene() is None), None)
        if gone is not None:
            self.error = InputError(_("Stopped, because {name} was deleted.").format(name=gone.GetName()))
            self.cancel()

    def _take_step(self) -> None:
        if self.cancelling:
            self._stop()
            return
        try:
            next(self._read)
        except StopIteration:
            self._submit()
            self._become(State.PREDICTING)
        # Any error is kept, to be shown in the panel.
        except Exception as error:  # noqa: BLE001
            self.error = error
            self._become(State.FAILED)

    def _submit(self) -> None:
        thread = ThreadPoolExecutor(1, "AttentionSeg")
        self._future = thread.submit(self._work, self._note, lambda: self.cancelling)
        _running[self._future] = self
        self._future.add_done_callback(_running.pop)
        # The thread ends with the work.
        thread.shutdown(wait=False)

    def _end(self, future: Future) -> None:
        try:
            found = future.result()
            check_cancel(lambda: self.cancelling, self.progress[1])
            if self.state is not State.PUBLISHING:
                # A step of its own, so that the application can respond in between.
                self._become(State.PUBLISHING)
                return
            self.result = self._finish(found)
        except Cancelled:
            self._stop()
        # Any error is kept, to be shown in the panel.
        except Exception as error:  # noqa: BLE001
            self.error = error
            self._become(State.FAILED)
        else:
            self._become(State.DONE)

    def _stop(self) -> None:
        self._become(State.CANCELLED if self.error is None else State.FAILED)

    def _note(self, fraction: float, stage: str, seconds_left: float | None) -> None:
        self.progress = (fraction, stage, seconds_left)


# Work that is running in threads, including that of tasks that are no longer polled.
_running: dict[Future, Task] = {}


def stop_all(seconds: float = STOP_SECONDS) -> bool:
    """Stop all work in threads and wait for it, before the application quits. Main thread only.

    From here on, other threads no longer use the application's log and console, which are deleted before Python shuts down. Work that has not ended
    in time is therefore safe: Python waits for its threads.

    Args:
        seconds: to wait at most.

    Returns:
        Whether all work has ended.
    """
    if not _running:
        return True
    _keep_others_from_the_application()
    futures = dict(_running)
    for task in futures.values():
        task.cancel()
    return not wait(futures, seconds).not_done


def _keep_others_from_the_application() -> None:
    own = threading.get_ident()
    for logger in [logging.getLogger(), *map(logging.getLogger, list(logging.root.manager.loggerDict))]:
        for handler in logger.handlers:
            handler.addFilter(lambda record: record.thread == own)
    # In Slicer these two belong to the application.
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
