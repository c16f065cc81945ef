"""The progress of a batch as that of one run."""

from __future__ import annotations

import time

from ..inference.progress import Cancel, OnProgress, check_cancel

# Share of a case.
LEAST = 0.1


class BatchProgress:
    """Turns ended cases, and the share of the one in the network, into one fraction, and raises `Cancelled` when asked to.

    Args:
        cases: how many there are to run.
        on_progress, cancel: as of `Predictor`, called from the thread that calls `step`. The stage is `case 1 of 40` and so on.
    """

    def __init__(self, cases: int, on_progress: OnProgress | None, cancel: Cancel | None) -> None:
        self.ended = self._run = 0
        self._cases, self._report, self._cancel = cases, on_progress, cancel
        self._within = self._shown = 0.0
        self._start = time.monotonic()

    def within_case(self, fraction: float, _stage: str, _seconds_left: float | None) -> None:
        """The `on_progress` of a prediction; from any thread."""
        self._within = fraction

    def end_case(self, ran: bool = True) -> None:
        """A case has ended.

        Args:
            ran: whether it went through the network. The time left is what the others took of it: one that fails does so at once.
        """
        self.ended += 1
        self._run += ran
        self._within = 0.0

    def step(self) -> None:
        """Tell how far it is. Raises Cancelled when the user wants to stop."""
        stage = f"case {min(self.ended + 1, self._cases)} of {self._cases}"
        check_cancel(self._cancel, stage)
        done = (self.ended + min(self._within, 0.99)) / self._cases
        if self._report is not None and done > self._shown:
            self._shown = done
            self._report(done, stage, self._seconds_left())

    def _seconds_left(self) -> float | None:
        """None until a case has come so far that its pace tells something."""
        run = self._run + min(self._within, 0.99)
        if run < LEAST:
            return None
        return (time.monotonic() - self._start) / run * (self._cases - self.ended - min(self._within, 0.99))

    def finish(self) -> None:
        """End the run. It cannot be cancelled any more."""
        if self._report is not None:
            self._report(1.0, "done", 0.0)
