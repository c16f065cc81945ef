"""Progress, remaining time and cancellation of a run."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Optional

from .errors import Cancelled

# fraction done 0..1, name of the stage, seconds left (None while unknown)
OnProgress = Callable[[float, str, Optional[float]], None]
# Returns True once the user wants to stop.
Cancel = Callable[[], bool]


def check_cancel(cancel: Cancel | None, doing: str) -> None:
    """Raise Cancelled, with the step that was interrupted, once the user wants to stop."""
    if cancel is not None and cancel():
        msg = f"Cancelled during '{doing}'."
        raise Cancelled(msg)


class Reporter:
    """Reports the progress of a run, and ends it when asked to.

    Args:
        on_progress: called with (fraction 0..1, stage, seconds left or None).
        cancel: called before each report; returns True to stop.
        least: work that has to be done before the remaining time is estimated, in the unit of `done` in `report`.
    """

    def __init__(self, on_progress: OnProgress | None = None, cancel: Cancel | None = None, least: float = 0.0) -> None:
        self.cancel = cancel
        self._on_progress, self._least = on_progress, least
        self.start_clock()

    def start_clock(self) -> None:
        """Start the clock again from which the remaining time is estimated; the constructor starts it."""
        self._start = time.monotonic()

    def seconds_left(self, done: float, to_do: float) -> float | None:
        """Estimated seconds for the rest at the pace so far (`done` and `to_do` in the same unit); None while it is too early to say."""
        return (time.monotonic() - self._start) / done * to_do if done > self._least else None

    def report(self, fraction: float, stage: str, done: float = 0.0, to_do: float = 0.0) -> None:
        """Report progress and the seconds left (see `seconds_left`). Raises Cancelled once the user wants to stop."""
        check_cancel(self.cancel, stage)
        if self._on_progress is not None:
            self._on_progress(fraction, stage, self.seconds_left(done, to_do))

    def finish(self) -> None:
        """Report the end of the run, which can no longer be cancelled."""
        if self._on_progress is not None:
            self._on_progress(1.0, "done", 0.0)
