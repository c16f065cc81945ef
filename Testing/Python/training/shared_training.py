"""A training that two processes share, on the CPU in place of two GPUs, for a test to start as a program of its own.

    python shared_training.py FOLDER

FOLDER holds recipe, scans and split; it gets `work`, and the network with its Dice as `trained-<process>.pt` from every process that comes to an end.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "AttentionSeg"))


def main() -> None:
    import torch
    from AttentionSegLib.datasets.cases import find_cases
    from AttentionSegLib.training import trainer
    from AttentionSegLib.training.recipe import Recipe

    folder = Path(sys.argv[1])
    trainer.lightning_arguments = lambda _devices: {"accelerator": "cpu", "devices": 2, "strategy": "ddp"}
    recipe = Recipe.load(folder / "recipe.json")
    cases = find_cases(folder / "images", folder / "labels", folder / "split.csv")
    trained = trainer.train(recipe, cases, folder / "work")
    torch.save({"network": trained.network.state_dict(), "dice": trained.dice}, folder / f"trained-{os.getpid()}.pt")


if __name__ == "__main__":
    main()
