"""Options of a run on the command line."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Container, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..files.formats import DICOM_ENDINGS, described
from ..options import EXPLAIN_METHODS, FORMATS, HIRESCAM, RunOptions

if TYPE_CHECKING:
    from ..datasets import LabelReading

LABELED_IMAGES = f"folder of scans: {described()}, DICOM images ({', '.join(DICOM_ENDINGS)}), or a folder of DICOM slices for each"
MIRROR = "segment the mirror image as well and take the mean, if the model was trained so; twice as long"
REGULARIZE = "resample DICOM slices of a tilted gantry or at several distances to a regular grid, instead of rejecting them"
RESCALE = "subtract 1024 from CT that looks as if it was stored as HU + 1024"
GRID = "write maps on the grid that they have in the network, or resampled to that of the scan (default: network)"
EXPLAIN = "also write a map of what raised this label; may be given more than once"
METHOD = f"whether each place is weighted by itself, or all of a patch alike (default: {HIRESCAM})"
LIMIT = "largest memory to use on a CUDA device, or on the CPU, where a scan that is estimated to need more is refused (default: all)"
# By the names of the attributes of `RunOptions`.
ARGUMENTS: dict[str, tuple[str, dict[str, Any]]] = {
    "attention": ("--attention", {"default": "all", "metavar": "all|none|NAME,...", "help": "attention maps to write (default: all)"}),
    "attention_grid": ("--attention-grid", {"default": "network", "choices": ("network", "scan"), "help": GRID}),
    "explain": ("--explain", {"action": "append", "default": [], "metavar": "LABEL", "help": EXPLAIN}),
    "explain_layer": ("--explain-layer", {"metavar": "NAME", "help": "layer of the network at which labels are explained (default: the network's)"}),
    "explain_method": ("--explain-method", {"default": HIRESCAM, "choices": EXPLAIN_METHODS, "help": METHOD}),
    "file_format": ("--format", {"default": "nrrd", "choices": FORMATS, "help": "file format of the results (default: nrrd)"}),
    "dicom": ("--dicom", {"action": "store_true", "help": "write a DICOM segmentation of each DICOM series too (needs highdicom)"}),
    "anonymize": ("--anonymize", {"action": "store_true", "help": "leave name, ID and dates of the patient out of DICOM segmentations"}),
    "device": ("--device", {"default": "auto", "help": "auto, cpu, cuda, cuda:1, mps (default: auto)"}),
    "backend": ("--backend", {"default": "auto", "help": "auto (OpenVINO on the CPU where it is installed), torch, openvino (default: auto)"}),
    "mirroring": ("--mirror", {"action": "store_true", "help": MIRROR}),
    "overlap": ("--overlap", {"type": float, "metavar": "SHARE", "help": "of a patch that the next covers again, 0 to 0.9 (default: the model's)"}),
    "regularize": ("--regularize", {"action": "store_true", "help": REGULARIZE}),
    "rescale": ("--rescale", {"action": "store_true", "help": RESCALE}),
    "memory_limit_gb": ("--memory-limit", {"type": float, "metavar": "GB", "help": LIMIT}),
}


def add_run_options(command: argparse._ActionsContainer, names: Iterable[str] = tuple(ARGUMENTS)) -> None:
    """Add arguments for options of `RunOptions`."""
    for name in names:
        flag, how = ARGUMENTS[name]
        command.add_argument(flag, dest=name, **how)


def run_options(given: argparse.Namespace) -> RunOptions:
    """The options of a run from the arguments. InputError if one is out of its range, or says how to explain a label and none is named."""
    options = RunOptions(**{name: value for name, value in vars(given).items() if name in ARGUMENTS})
    if "explain" in given and not options.explain and not options.explains_as_usual:
        msg = "--explain-layer and --explain-method say how a label is explained; name the label with --explain, or leave them out."
        raise InputError(msg)
    return options


def add_label_options(command: argparse._ActionsContainer) -> None:
    """Add options of how label maps are read (see `LabelReading`): `--ignored-label`, `--label-map` and `--resample-labels`."""
    command.add_argument("--ignored-label", type=int, metavar="VALUE", help="value in the label maps of voxels to ignore")
    command.add_argument(
        "--label-map",
        metavar="VALUE=LABEL,...",
        help="values or names of segments to read as other values, such as 4=3, 255=1 or Cyst=0 (0 is background)",
    )
    command.add_argument(
        "--resample-labels",
        action="store_true",
        help="resample label maps on another grid to that of their scan by nearest neighbor, and leave out what lies outside of it",
    )


def label_reading(options: argparse.Namespace) -> LabelReading:
    """The options of `add_label_options` from the arguments. Raises InputError if `--label-map` is no list of pairs."""
    from ..datasets import LabelReading, parse_label_map

    label_map = {} if options.label_map is None else parse_label_map(options.label_map)
    return LabelReading(label_map, options.resample_labels, options.ignored_label)


def command_of(command: str, options: argparse.Namespace, paths: Container[str], left_out: Container[str]) -> str:
    """The command that gives the same figures, for a model card.

    Args:
        command: name of the command.
        options: its arguments.
        paths: options of files and folders, whose names replace their paths, which may be private.
        left_out: options that do not change the figures.
    """
    words = ["attentionseg", command]
    for name, value in sorted(vars(options).items()):
        usual = name in ARGUMENTS and value == ARGUMENTS[name][1].get("default")
        if name not in left_out and not usual and value is not None and value is not False:
            flag = ARGUMENTS[name][0] if name in ARGUMENTS else f"--{name.replace('_', '-')}"
            words += [flag, *([] if value is True else [Path(value).name if name in paths else str(value)])]
    return shlex.join(words)
