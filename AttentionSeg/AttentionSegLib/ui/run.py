"""The run behind a button: install missing packages, start, poll, cancel, end. Without Qt."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import AttentionSegError, InputError
from .task import Job, State
from .translation import tr as _

if TYPE_CHECKING:
    from .installation import Installation

LOG = logging.getLogger("AttentionSeg")
KeepPolling = Callable[[Callable[[], bool]], None]
Start = Callable[[Callable[[Job], None]], Job]


class RunView(Protocol):
    """What a run needs of a panel."""

    def show_progress(self, fraction: float | None, text: str) -> None:
        """Show the fraction done 0..1, or None while it is unknown, and a text."""

    def ask(self, question: str) -> bool:
        """Whether the user agrees."""


class Run:
    """The run behind a button that starts and cancels.

    Args:
        view: shows the progress.
        installation: of the required Python packages.
        keep_polling: called with a function to call repeatedly until it returns False, which is when the run has ended.
        refresh: called when state, message or details have changed.
        cancelled: the message after a cancelled run.

    Attributes:
        state: of the run.
        message: how it ended, in one sentence.
        details: traceback of an error.
        seconds: since the button was pressed, or since the end of the installation.
    """

    def __init__(self, view: RunView, installation: Installation, keep_polling: KeepPolling, refresh: Callable[[], None], cancelled: str) -> None:
        self._cancelled = self._stopped = cancelled
        self._view, self._installation, self._keep_polling, self._refresh = view, installation, keep_polling, refresh
        self._task: Job | None = None
        self._started = 0.0
        self.state, self.message, self.details = State.IDLE, "", ""

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started

    def press(self, start: Start, describe: Callable[[Any], str]) -> None:
        """Start a run, or cancel the current one, as the button does.

        Args:
            start: called with an `on_change` function; returns the task. An InputError is shown.
            describe: returns the message for a result.
        """
        if self.state.running:
            self.cancel()
            return
        missing = self._installation.missing()
        if not missing:
            self._start(start, describe)
        elif self._view.ask(self._installation.question(missing)):
            self._become(State.INSTALLING)
            self._installation.install(lambda line: self._view.show_progress(None, line), lambda error: self._installed(error, start, describe))

    def cancel(self, message: str = "") -> None:
        """Ask the run to stop.

        Args:
            message: to show once it has stopped; when left out, that of a run cancelled by the user.
        """
        if self._task is not None and self.state.running:
            self._stopped = message or self._cancelled
            self._task.cancel()
            self._view.show_progress(None, _("Stopping ..."))

    def forget(self) -> None:
        """Clear the message of the last run."""
        if not self.state.running:
            self._become(State.IDLE)

    def _installed(self, error: Exception | None, start: Start, describe: Callable[[Any], str]) -> None:
        if error is not None:
            self._fail(error)
            return
        self._become(State.IDLE)
        self._start(start, describe)

    def _start(self, start: Start, describe: Callable[[Any], str]) -> None:
        self._stopped, self._started = self._cancelled, time.monotonic()
        self._become(State.READING)
        try:
            task = self._task = start(lambda task: self._on_change(task, describe))
        except InputError as error:
            self._fail(error)
            return
        self._become(task.state)
        self._keep_polling(task.poll)

    def _on_change(self, task: Job, describe: Callable[[Any], str]) -> None:
        if task.state is State.PREDICTING:
            self.state = task.state
            fraction, stage, seconds = task.progress
            text = _("Stopping ...") if task.cancelling else progress_text(stage, seconds)
            self._view.show_progress(None if task.cancelling else fraction or None, text)
        elif task.state is State.FAILED and task.error is not None:
            self._fail(task.error)
        elif task.state is State.DONE:
            self._become(State.DONE, describe(task.result))
        elif task.state is State.CANCELLED:
            self._become(State.CANCELLED, self._stopped)
        else:
            self._become(task.state)

    def _fail(self, error: Exception) -> None:
        """Show the sentence of an error, and the traceback, if any, as details."""
        sentence, details = failure(error)
        self._become(State.FAILED, sentence, details)

    def _become(self, state: State, message: str = "", details: str = "") -> None:
        self.state, self.message, self.details = state, message, details
        self._refresh()


def failure(error: Exception) -> tuple[str, str]:
    """The sentence of an error, and the traceback unless the user can fix it. Both are logged too, as an error only if there is a traceback."""
    if isinstance(error, AttentionSegError):
        LOG.info(str(error))
        return str(error), ""
    details = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    LOG.error(details)
    return _("It failed: {error}").format(error=str(error) or type(error).__name__), details


def progress_text(stage: str, seconds_left: float | None) -> str:
    """The stage in words, with the time left."""
    names = {
        "load": _("Loading the model"),
        "prepare": _("Preparing the scan"),
        "network": _("Running the network"),
        "restore": _("Resampling the labels to the scan"),
        "finish": _("Finishing"),
    }
    text = names.get(stage, stage[:1].upper() + stage[1:])
    if seconds_left is None or seconds_left < 1:
        return text
    left = _("{minutes:.0f} min").format(minutes=seconds_left / 60) if seconds_left > 90 else _("{seconds:.0f} s").format(seconds=seconds_left)
    return _("{what}, about {left} left").format(what=text, left=left)
