"""Progress of a batch."""

from __future__ import annotations

from ..progress import Cancel, OnProgress, Reporter, check_cancel

# In cases (see `Reporter`).
LEAST = 0.1


class BatchProgress(Reporter):
    """Reports finished cases, and the progress of the one in the network, as one fraction, and raises Cancelled once the user wants to stop.

    Args:
        cases: number of cases to run.
        on_progress, cancel: see `Predictor`; called from the thread that calls `step`. The stage is `case 1 of 40` and so on.
    """

    def __init__(self, cases: int, on_progress: OnProgress | None, cancel: Cancel | None) -> None:
        super().__init__(on_progress, cancel, LEAST)
        self.ended = self._run = 0
        self._cases = cases
        self._within = self._shown = 0.0

    def within_case(self, fraction: float, _stage: str, _seconds_left: float | None) -> None:
        """The `on_progress` function of a prediction; any thread."""
        self._within = fraction

    def end_case(self, ran: bool = True) -> None:
        """Count a case as ended.

        Args:
            ran: whether the network ran on it. Others, which fail at once, do not count in the estimate of the time left.
        """
        self.ended += 1
        self._run += ran
        self._within = 0.0

    def step(self) -> None:
        """Report the progress. Raises Cancelled once the user wants to stop."""
        stage = f"case {min(self.ended + 1, self._cases)} of {self._cases}"
        within = min(self._within, 0.99)
        done = (self.ended + within) / self._cases
        if done > self._shown:
            self._shown = done
            self.report(done, stage, self._run + within, self._cases - self.ended - within)
        else:
            check_cancel(self.cancel, stage)
