"""The progress of many cases as that of one run."""

from __future__ import annotations

import time

from ..inference.progress import Cancel, OnProgress, check_cancel

# Share of the whole run that reading and checking takes, roughly.
CHECKS = 0.05


class EvaluationProgress:
    """Turns the progress of each prediction into one fraction, and raises `Cancelled` between steps when asked to.

    Args:
        cases: how many cases are checked and then predicted.
        models: how many times each is predicted.
        on_progress, cancel: as of `Predictor`. The stage is `check`, then `case 1 of 40` and so on.
    """

    def __init__(self, cases: int, models: int, on_progress: OnProgress | None, cancel: Cancel | None) -> None:
        self.cancel = cancel
        self._cases, self._models, self._report = cases, models, on_progress
        self._checks = self._predictions = 0
        self._start = time.monotonic()

    def next_check(self) -> None:
        """Begin to check a case."""
        self._say("check", CHECKS * self._checks / self._cases, None)
        self._checks += 1

    def next_prediction(self) -> None:
        """Begin to predict a case by a model."""
        if self._predictions == 0:
            self._start = time.monotonic()
        self._predictions += 1
        self.within_prediction(0.0)

    def within_prediction(self, fraction: float, _stage: str = "", _seconds_left: float | None = None) -> None:
        """The `on_progress` of the prediction."""
        case = (self._predictions - 1) // self._models + 1
        done = (self._predictions - 1 + fraction) / (self._cases * self._models)
        left = (time.monotonic() - self._start) / done * (1 - done) if done > 0 else None
        self._say(f"case {case} of {self._cases}", CHECKS + (1 - CHECKS) * done, left)

    def finish(self) -> None:
        """End the run. It cannot be cancelled any more."""
        if self._report is not None:
            self._report(1.0, "done", 0.0)

    def _say(self, stage: str, fraction: float, seconds_left: float | None) -> None:
        check_cancel(self.cancel, stage)
        if self._report is not None:
            self._report(fraction, stage, seconds_left)
