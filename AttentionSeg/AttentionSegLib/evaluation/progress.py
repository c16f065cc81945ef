"""The progress of many cases as that of one run."""

from __future__ import annotations

from ..progress import Cancel, OnProgress, Reporter

# Share of the whole run that reading and checking takes, roughly.
CHECKS = 0.05


class EvaluationProgress(Reporter):
    """Turns the progress of each prediction into one fraction, and raises `Cancelled` between steps when asked to.

    Args:
        cases: how many cases are checked and then predicted.
        models: how many runs each takes.
        on_progress, cancel: as of `Predictor`. The stage is `check`, then `case 1 of 40` and so on.
    """

    def __init__(self, cases: int, models: int, on_progress: OnProgress | None, cancel: Cancel | None) -> None:
        super().__init__(on_progress, cancel)
        self._cases, self._models = cases, models
        self._checks = self._predictions = 0

    def next_check(self) -> None:
        """Begin to check a case."""
        self.report(CHECKS * self._checks / self._cases, "check")
        self._checks += 1

    def next_prediction(self) -> None:
        """Begin to predict a case by a model."""
        if self._predictions == 0:
            self.start_clock()
        self._predictions += 1
        self.within_prediction(0.0)

    def within_prediction(self, fraction: float, _stage: str = "", _seconds_left: float | None = None) -> None:
        """The `on_progress` of the prediction."""
        case = (self._predictions - 1) // self._models + 1
        done = (self._predictions - 1 + fraction) / (self._cases * self._models)
        self.report(CHECKS + (1 - CHECKS) * done, f"case {case} of {self._cases}", done, 1 - done)
