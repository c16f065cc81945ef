"""Trainings that send themselves a signal after so many steps, for a test to start as a program of its own.

    python killed_training.py FOLDER WORK:STEPS:MINUTES:SIGNAL ...

FOLDER holds recipe, scans and split; a checkpoint is written every MINUTES. SIGNAL is KILL, or TERM, which the training takes as the wish to
stop. Each training is a fork, so that the libraries are imported once. The exit status is 0 if all ended as their signal wants it.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "AttentionSeg"))

from AttentionSegLib.datasets.cases import find_cases
from AttentionSegLib.errors import Cancelled
from AttentionSegLib.training import callbacks
from AttentionSegLib.training.recipe import Recipe
from AttentionSegLib.training.trainer import train

ENDS = {"KILL": -signal.SIGKILL, "TERM": Cancelled.exit_code}


def train_and_end(folder: Path, work: str, steps: int, minutes: float, end: signal.Signals) -> None:
    callbacks.CHECKPOINT_MINUTES = minutes
    recipe = Recipe.load(folder / "recipe.json")
    left = steps
    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: asked.append(number))

    def on_progress(_done: float, stage: str, _seconds: float | None) -> None:
        nonlocal left
        left -= stage.startswith("epoch")
        if left == 0:
            os.kill(os.getpid(), end)
            while not asked:
                time.sleep(0.01)

    cases = find_cases(folder / "images", folder / "labels", folder / "split.csv")
    train(recipe, cases, folder / work, "cpu", on_progress=on_progress, cancel=lambda: bool(asked))


def main() -> int:
    folder = Path(sys.argv[1])
    as_wanted = []
    for given in sys.argv[2:]:
        work, steps, minutes, end = given.split(":")
        process = os.fork()
        if not process:
            try:
                train_and_end(folder, work, int(steps), float(minutes), signal.Signals[f"SIG{end}"])
            except Cancelled:
                os._exit(Cancelled.exit_code)
            os._exit(0)
        as_wanted.append(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == ENDS[end])
    return int(not all(as_wanted))


if __name__ == "__main__":
    sys.exit(main())
