"""Options that several commands have."""

from __future__ import annotations

import argparse


def add_patch_options(command: argparse.ArgumentParser) -> None:
    """How patches are run: `--mirror` and `--overlap`, as of `Predictor`."""
    command.add_argument(
        "--mirror", action="store_true", help="segment the mirror image as well and take the mean, if the model was trained so; twice as long"
    )
    command.add_argument("--overlap", type=float, metavar="SHARE", help="of a patch that the next covers again, 0 to 0.9 (default: the model's)")
