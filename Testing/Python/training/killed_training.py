"""Trainings that end themselves with SIGKILL after so many steps, for a test to start as a program of its own.

    python killed_training.py FOLDER WORK:STEPS:MINUTES ...

FOLDER holds recipe, scans and split; a checkpoint is written every MINUTES. Each training is a fork, so that the libraries are imported
once. The exit status is 0 if all were killed.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "AttentionSeg"))

from AttentionSegLib.datasets.cases import find_cases
from AttentionSegLib.training import callbacks
from AttentionSegLib.training.recipe import Recipe
from AttentionSegLib.training.trainer import train


def train_and_die(folder: Path, work: str, steps: int, minutes: float) -> None:
    callbacks.CHECKPOINT_MINUTES = minutes
    recipe = Recipe.load(folder / "recipe.json")
    left = steps

    def on_progress(_done: float, stage: str, _seconds: float | None) -> None:
        nonlocal left
        left -= stage.startswith("epoch")
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    train(recipe, find_cases(folder / "images", folder / "labels", folder / "split.csv"), folder / work, "cpu", on_progress=on_progress)


def main() -> int:
    folder = Path(sys.argv[1])
    ends = []
    for given in sys.argv[2:]:
        work, steps, minutes = given.split(":")
        process = os.fork()
        if not process:
            train_and_die(folder, work, int(steps), float(minutes))
            os._exit(0)
        ends.append(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))
    return int(any(end != -signal.SIGKILL for end in ends))


if __name__ == "__main__":
    sys.exit(main())
