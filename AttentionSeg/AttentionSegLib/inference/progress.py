"""Progress of a prediction through its stages."""

from __future__ import annotations

import time

from ..progress import Cancel, OnProgress, Reporter

# Share of the whole run that each stage takes, roughly; the network's patches dominate.
STAGES = {"prepare": 0.05, "network": 0.80, "restore": 0.12, "finish": 0.03}
# Share of the stage `find` in a run that has one.
FIND = 0.5
# Share of a run after which the remaining time can be estimated.
LEAST = 0.1


class Progress(Reporter):
    """Converts steps within stages into one fraction, times the stages, and raises `Cancelled` between steps on request.

    A run has the stages of STAGES once; or `find`, then for each region all stages but the last, and then the last.
    """

    def __init__(self, on_progress: OnProgress | None = None, cancel: Cancel | None = None) -> None:
        super().__init__(on_progress, cancel, LEAST)
        self._stage_start = self._start
        self._stage = ""
        self._done = 0.0
        self._shares = {"find": FIND, **STAGES}
        self.seconds: dict[str, float] = {}

    def stage(self, name: str) -> None:
        """Begin a stage (and end the previous one)."""
        self.close()
        self._stage, self._stage_start = name, time.monotonic()
        self.step(0.0)

    def repeat(self, times: int) -> None:
        """Set, after `find`, how many times the stages before the last are repeated."""
        self.close()
        left = 1 - self._done
        self._shares = {name: left * share / (1 if name == "finish" else times) for name, share in STAGES.items()}

    def step(self, fraction: float) -> None:
        """Report the fraction of the current stage that is done, 0..1. Raises Cancelled when the user has canceled."""
        done = float(self._done + self._shares.get(self._stage, 0.0) * fraction)
        self.report(done, self._stage, done, 1 - done)

    def close(self) -> None:
        """End the last stage."""
        if self._stage:
            self.seconds[self._stage] = self.seconds.get(self._stage, 0.0) + time.monotonic() - self._stage_start
            self._done += self._shares[self._stage]
            self._stage = ""

    def finish(self) -> None:
        """End the run; `seconds` is then complete."""
        self.close()
        super().finish()
