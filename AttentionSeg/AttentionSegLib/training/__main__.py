"""`python -m AttentionSegLib.training RECIPE --images DIR --labels DIR --split FILE --work DIR --output MODEL_DIR`

Trains the model of a recipe and writes its folder. Run the same command again to go on after an interruption.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..datasets.cases import find_cases
from ..errors import InputError
from ..models import save_model
from .recipe import Recipe

if TYPE_CHECKING:
    from .trainer import Trained


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m AttentionSegLib.training", description=__doc__.splitlines()[2])
    parser.add_argument("recipe", type=Path, help="JSON file with the card in waiting and the settings")
    parser.add_argument("--images", type=Path, required=True, help="folder of scans")
    parser.add_argument("--labels", type=Path, required=True, help="folder of label maps of the same names")
    parser.add_argument("--split", type=Path, required=True, help="CSV file with columns id and role (train, val)")
    parser.add_argument("--work", type=Path, required=True, help="folder for checkpoints and log")
    parser.add_argument("--output", type=Path, required=True, help="model folder to write; must not exist")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, cuda:0,1 for several GPUs, mps (default: auto)")
    parser.add_argument("--start-from", type=Path, help="model folder whose weights to start from")
    parser.add_argument("--pretrained", help="file or URL of weights for the backbone of guided-attention")
    options = parser.parse_args()
    try:
        if options.output.exists():
            msg = f"There is already something at {options.output}; remove it or choose another folder for the model."
            raise InputError(msg)
        recipe = Recipe.load(options.recipe)
        cases = find_cases(options.images, options.labels, options.split)
        card = recipe.draft_card()
        train = _import_train()
        start = {"start_from": options.start_from, "pretrained": options.pretrained}
        trained = train(recipe, card, cases, options.work, options.device, **start, progress_bar=True)
        save_model(options.output, recipe.finished_card(cases), trained.network)
    except InputError as error:
        print(f"training: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("training: interrupted; run the same command again to go on.", file=sys.stderr)
        return 130
    print(*trained.notes, f"Best in epoch {trained.epoch}: mean Dice {trained.dice:.3f} on the validation cases.", sep="\n")
    print(options.output)
    return 0


def _import_train() -> Callable[..., Trained]:
    """`train`. Raises InputError where lightning, which only training needs, is missing."""
    try:
        from .trainer import train
    except ModuleNotFoundError as error:
        if error.name != "lightning":
            raise
        msg = "Training needs the package lightning, which is not installed; run: pip install 'lightning>=2.1'"
        raise InputError(msg) from error
    return train


if __name__ == "__main__":
    sys.exit(main())
