"""`attentionseg batch`: segmentation of many scans."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from .. import RESEARCH_ONLY
from ..errors import Cancelled
from ..files.formats import described
from ..terminal import ProgressDisplay
from .options import add_run_options, run_options

if TYPE_CHECKING:
    from ..batch import BatchResult

SOME_FAILED = 3


def add_command(commands: argparse._SubParsersAction) -> None:
    batch = commands.add_parser(
        "batch",
        help="segment many scans",
        description=f"Segment many scans; run it again to resume after an interruption. {RESEARCH_ONLY}",
    )
    batch.add_argument("input", metavar="INPUT", help=f"folder of {described()} or DICOM scans, BIDS tree, or CSV file with a column per input")
    batch.add_argument("--output", required=True, metavar="DIR", help="folder for the results")
    batch.add_argument("--model", required=True, metavar="ID", help="id of an installed model, or path of a model folder")
    batch.add_argument(
        "--region",
        metavar="R,A,S,W,H,D",
        help="box around the structure, the same for all: center and size in mm, RAS (default: all, or the regions that the model finds)",
    )
    add_run_options(batch)
    batch.add_argument("--recursive", action="store_true", help="search subfolders too")
    batch.add_argument("--pattern", metavar="GLOB", help='only files of such names, as in "*_T1w.nii.gz"')
    batch.add_argument("--channels", metavar="NAME,...", help='a file name per input of the model, as in "{case}_0000.nii.gz,{case}_0001.nii.gz"')
    batch.add_argument(
        "--jobs", type=int, default=3, metavar="N", help="cases processed at a time: one is computed while others are read and written (default: 3)"
    )
    again = batch.add_mutually_exclusive_group()
    again.add_argument("--resume", action="store_true", help="do what is missing or has changed (default)")
    again.add_argument("--restart", action="store_true", help="do all cases again")
    batch.add_argument("--scheduler", metavar="ADDRESS", help="Dask scheduler whose workers do the work, such as tcp://10.0.0.1:8786")
    batch.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from ..batch import segment_folder
    from ..region import Region

    region = None if options.region is None else Region.parse(options.region)
    search = {name: getattr(options, name) for name in ("recursive", "pattern", "channels", "restart", "jobs", "scheduler")}
    try:
        with ProgressDisplay(sys.stderr) as show:
            result = segment_folder(
                options.input, options.output, options.model, region=region, options=run_options(options), on_progress=show, **search
            )
    except KeyboardInterrupt:
        print("attentionseg: interrupted; finished cases are kept, and the same command resumes with the others.", file=sys.stderr)
        return Cancelled.exit_code
    _print_result(result)
    return SOME_FAILED if result.failed else 0


def _print_result(result: BatchResult) -> None:
    for name, reason in result.failed.items():
        print(f"failed: {name}: {reason}")
    before = len(result.entries) - result.segmented
    print(f"{len(result.done)} of {len(result.entries)} cases done ({before} before this run), {len(result.failed)} failed. {RESEARCH_ONLY}")
    notes = [note for name in result.done for note in result.entries[name].notes]
    if notes:
        print(f"Note: {len(notes)} note(s) on the cases are in the manifest, such as: {notes[0]}")
    for path in result.files:
        print(path)
