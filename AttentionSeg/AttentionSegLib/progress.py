"""How far a run is, how long it still takes, and whether the user wants to stop it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Optional

from .errors import Cancelled

# fraction done 0..1, name of the stage, seconds left (None while unknown)
OnProgress = Callable[[float, str, Optional[float]], None]
# True once the user wants to stop
Cancel = Callable[[], bool]


def check_cancel(cancel: Cancel | None, doing: str) -> None:
    """Raises Cancelled, which tells what was being done, once the user wants to stop."""
    if cancel is not None and cancel():
        msg = f"Cancelled during '{doing}'."
        raise Cancelled(msg)


class Reporter:
    """Reports the progress of a run, and ends it when asked to.

    Args:
        on_progress: called with (fraction 0..1, stage, seconds left or None).
        cancel: asked before each call.
        least: what has to be done before its pace says how long the rest takes, in the unit of `report`'s `done`.
    """

    def __init__(self, on_progress: OnProgress | None = None, cancel: Cancel | None = None, least: float = 0.0) -> None:
        self.cancel = cancel
        self._on_progress, self._least = on_progress, least
        self.start_clock()

    def start_clock(self) -> None:
        """Begin the work whose pace counts; at first it is when the reporter is made."""
        self._start = time.monotonic()

    def seconds_left(self, done: float, to_do: float) -> float | None:
        """Seconds that the rest takes at the pace so far; `done` and `to_do` in the same unit."""
        return (time.monotonic() - self._start) / done * to_do if done > self._least else None

    def report(self, fraction: float, stage: str, done: float = 0.0, to_do: float = 0.0) -> None:
        """Say how far it is, with the seconds left (see `seconds_left`). Raises Cancelled when the user wants to stop."""
        check_cancel(self.cancel, stage)
        if self._on_progress is not None:
            self._on_progress(fraction, stage, self.seconds_left(done, to_do))

    def finish(self) -> None:
        """End the run. It cannot be cancelled any more."""
        if self._on_progress is not None:
            self._on_progress(1.0, "done", 0.0)
