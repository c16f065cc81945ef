"""The progress of a batch as that of one run."""

from __future__ import annotations

from ..progress import Cancel, OnProgress, Reporter, check_cancel

# Share of a case.
LEAST = 0.1


class BatchProgress(Reporter):
    """Turns ended cases, and the share of the one in the network, into one fraction, and raises `Cancelled` when asked to.

    Args:
        cases: how many there are to run.
        on_progress, cancel: as of `Predictor`, called from the thread that calls `step`. The stage is `case 1 of 40` and so on.
    """

    def __init__(self, cases: int, on_progress: OnProgress | None, cancel: Cancel | None) -> None:
        super().__init__(on_progress, cancel, LEAST)
        self.ended = self._run = 0
        self._cases = cases
        self._within = self._shown = 0.0

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
        within = min(self._within, 0.99)
        done = (self.ended + within) / self._cases
        if done > self._shown:
            self._shown = done
            self.report(done, stage, self._run + within, self._cases - self.ended - within)
        else:
            check_cancel(self.cancel, stage)
