"""Work in a thread of its own, looked after from the main thread."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from enum import Enum
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ..errors import Cancelled, InputError
from ..progress import Cancel, OnProgress
from .translation import tr as _

if TYPE_CHECKING:
    import slicer

Result = TypeVar("Result")
Work = Callable[[OnProgress, Cancel], Any]

# What a quitting application waits for work that was asked to stop; what takes longer is a package that is being imported or a model converted.
STOP_SECONDS = 20.0


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

        while task.poll():
            time.sleep(0.01)

    Args:
        work: called in the thread with `on_progress` and `cancel`; what it returns is handed to `finish`.
        finish: called by `poll` once the work is done; what it returns is the result.
        on_change: called by `poll` with the task whenever it has something new to show.
        read: steps to take in the thread that polls before the work begins, one with each poll, so that the application stays alive in between.
        nodes: without which the result is of no use: once one of them has left its scene, the run ends with an InputError.
        stage: of the progress until the work tells another; nothing is written in it, so that a run which is cancelled then ends at once.

    Attributes:
        state: READING, PREDICTING, PUBLISHING, and at the end DONE, FAILED or CANCELLED.
        progress: (fraction 0..1, stage, seconds left or None).
        result: of the finish, once DONE.
        error: what was raised, once FAILED.
        cancelling: whether it was asked to stop.
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
        self.progress: tuple[float, str, float | None] = (0.0, stage, None)
        self._first_stage = stage
        self.result: Result | None = None
        self.error: Exception | None = None
        self.cancelling = False
        self._shown: tuple | None = None
        self._work, self._finish, self._on_change, self._nodes = work, finish, on_change, nodes
        self._future: Future | None = None
        self._read = None if read == () else iter(read)
        self.state = State.PREDICTING if self._read is None else State.READING
        if self._read is None:
            self._submit()

    def cancel(self) -> None:
        """Ask the run to stop. It does so between two patches, in its first stage at once, and nothing of it reaches the scene."""
        self.cancelling = True

    def poll(self) -> bool:
        """Look after the run; main thread only. True while there is more to wait for."""
        if not self.state.running:
            return False
        self._look_for_nodes()
        if self.state is State.READING:
            self._take_step()
        elif self.state is State.PUBLISHING:
            # Not in one go with the finish, so that the application draws in between.
            if any(node.GetScene() is None for node in self._nodes):
                self._stop()
            else:
                self._become(State.DONE)
        elif self._future.done():
            self._end()
        elif self.cancelling and self.progress[1] == self._first_stage:
            # An import of seconds cannot be stopped; the thread ends at its next step, and the user need not wait for that.
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
        # As below: shown, and raised again by whoever waits.
        except Exception as error:  # noqa: BLE001
            self.error = error
            self._become(State.FAILED)

    def _submit(self) -> None:
        thread = ThreadPoolExecutor(1, "AttentionSeg")
        self._future = thread.submit(self._work, self._note, lambda: self.cancelling)
        _running[self._future] = self
        self._future.add_done_callback(_running.pop)
        # It ends by itself once the work has.
        thread.shutdown(wait=False)

    def _end(self) -> None:
        try:
            found = self._future.result()
            if self.cancelling:
                self._stop()
                return
            self._become(State.PUBLISHING)
            self.result = self._finish(found)
        except Cancelled:
            self._stop()
        # Whatever it was, it is shown in the panel and raised again by whoever waits for the result.
        except Exception as error:  # noqa: BLE001
            self.error = error
            self._become(State.FAILED)

    def _stop(self) -> None:
        self._become(State.CANCELLED if self.error is None else State.FAILED)

    def _note(self, fraction: float, stage: str, seconds_left: float | None) -> None:
        self.progress = (fraction, stage, seconds_left)

    def _become(self, state: State) -> None:
        self.state = state
        self._changed()

    def _changed(self) -> None:
        if self._on_change is not None:
            self._on_change(self)


# The work that goes on in threads; also of tasks that nobody looks after any more.
_running: dict[Future, Task] = {}


def stop_all(seconds: float = STOP_SECONDS) -> bool:
    """End all work in threads before the application goes: ask it to stop, and wait. Main thread only.

    What works in another thread while Python shuts down must not touch what the application has taken down before: its log and its console are out of
    reach of other threads from here on. Work that has not ended in time then ends without harm: Python waits for its threads.

    Args:
        seconds: to wait at most.

    Returns:
        Whether all has ended.
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
    # In Slicer these two are objects of the application.
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
