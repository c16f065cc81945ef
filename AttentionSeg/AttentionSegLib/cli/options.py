"""Options that several commands have."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..datasets import LabelReading


def add_patch_options(command: argparse.ArgumentParser) -> None:
    """How patches are run: `--mirror` and `--overlap`, as of `Predictor`."""
    command.add_argument(
        "--mirror", action="store_true", help="segment the mirror image as well and take the mean, if the model was trained so; twice as long"
    )
    command.add_argument("--overlap", type=float, metavar="SHARE", help="of a patch that the next covers again, 0 to 0.9 (default: the model's)")


def add_label_options(command: argparse._ActionsContainer) -> None:
    """How label maps are read, as of `LabelReading`: `--ignored-label`, `--label-map` and `--resample-labels`."""
    command.add_argument("--ignored-label", type=int, metavar="VALUE", help="value in the label maps of voxels to leave out of account")
    command.add_argument(
        "--label-map",
        metavar="VALUE=LABEL,...",
        help="values or names of segments to read as other values, such as 4=3, 255=1 or Cyst=0 (0 is background)",
    )
    command.add_argument(
        "--resample-labels",
        action="store_true",
        help="bring label maps on another grid to that of their scan by nearest neighbor, and leave out what lies outside of it",
    )


def label_reading(options: argparse.Namespace) -> LabelReading:
    """The options of `add_label_options`. Raises InputError for a label map that is no list of pairs."""
    from ..datasets import LabelReading, parse_label_map

    label_map = {} if options.label_map is None else parse_label_map(options.label_map)
    return LabelReading(label_map, options.resample_labels, options.ignored_label)
