"""Progress of an evaluation over many cases."""

from __future__ import annotations

from ..progress import Cancel, OnProgress, Reporter

# Share of the whole run that reading and checking takes, roughly.
CHECKS = 0.05


class EvaluationProgress(Reporter):
    """Converts the progress of each prediction into one fraction, and raises `Cancelled` between steps on request.

    Args:
        cases: number of cases that are checked and then predicted.
        models: number of runs per case.
        on_progress, cancel: see `Predictor`. The stage is `check`, then `case 1 of 40` and so on.
    """

    def __init__(self, cases: int, models: int, on_progress: OnProgress | None, cancel: Cancel | None) -> None:
        super().__init__(on_progress, cancel)
        self._cases, self._models = cases, models
        self._checks = self._predictions = 0

    def next_check(self) -> None:
        """Begin the check of a case."""
        self.report(CHECKS * self._checks / self._cases, "check")
        self._checks += 1

    def next_prediction(self) -> None:
        """Begin the prediction of a case by a model."""
        if self._predictions == 0:
            self.start_clock()
        self._predictions += 1
        self.within_prediction(0.0)

    def within_prediction(self, fraction: float, _stage: str = "", _seconds_left: float | None = None) -> None:
        """Report progress; passed to the prediction as `on_progress`."""
        case = (self._predictions - 1) // self._models + 1
        done = (self._predictions - 1 + fraction) / (self._cases * self._models)
        self.report(CHECKS + (1 - CHECKS) * done, f"case {case} of {self._cases}", done, 1 - done)
