"""A training that ends itself with SIGKILL after so many steps, for a test to start as a program of its own.

    python killed_training.py FOLDER WORK STEPS MINUTES

FOLDER holds recipe, scans and split; a checkpoint is written every MINUTES.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "AttentionSeg"))


def main() -> None:
    from AttentionSegLib.datasets.cases import find_cases
    from AttentionSegLib.training import callbacks
    from AttentionSegLib.training.recipe import Recipe
    from AttentionSegLib.training.trainer import train

    folder, work, steps, minutes = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    callbacks.CHECKPOINT_MINUTES = minutes
    recipe = Recipe.load(folder / "recipe.json")
    left = steps

    def on_progress(_done: float, stage: str, _seconds: float | None) -> None:
        nonlocal left
        left -= stage.startswith("epoch")
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    train(recipe, recipe.draft_card(), find_cases(folder / "images", folder / "labels", folder / "split.csv"), work, "cpu", on_progress)


if __name__ == "__main__":
    main()
