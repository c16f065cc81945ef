"""`attentionseg segment`: segmentation of one scan."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from .. import RESEARCH_ONLY
from ..errors import InputError, after_results
from ..files.formats import described
from ..terminal import ProgressDisplay
from .options import ARGUMENTS, add_run_options, run_options

if TYPE_CHECKING:
    from ..batch import CaseResult


def add_command(commands: argparse._SubParsersAction) -> None:
    segment = commands.add_parser("segment", help="segment a scan", description=f"Segment a scan. {RESEARCH_ONLY}")
    segment.add_argument("inputs", nargs="+", metavar="INPUT", help=f"{described()} file, or DICOM folder; one per input of the model")
    segment.add_argument("--model", required=True, metavar="ID", help="id of an installed model, or path of a model folder")
    segment.add_argument("--output", required=True, metavar="DIR", help="folder for the results")
    segment.add_argument(
        "--region",
        metavar="R,A,S,W,H,D",
        help="box around the structure: center and size in mm, RAS (default: all, or the regions that the model finds)",
    )
    segment.add_argument(
        "--series",
        action="append",
        metavar="NAME",
        help="number, description or SeriesInstanceUID of the series in a DICOM folder with several scans; once for each such folder, in order",
    )
    add_run_options(segment, [name for name in ARGUMENTS if name not in ("dicom", "anonymize")])
    segment.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from ..batch import read_case, write_case
    from ..batch.earlier_result import check_earlier_result
    from ..models import Card, find_model
    from ..models.card import CARD_NAME
    from ..region import Region

    region = None if options.region is None else Region.parse(options.region)
    run = run_options(options)
    folder = find_model(options.model)
    inputs = _chosen(options.inputs, options.series or ())
    card = Card.load(folder / CARD_NAME)
    image = read_case(card, inputs, region, run)
    check_earlier_result(options.output, inputs, card, image)

    # Imported after all checks that do not need torch, which takes seconds to import.
    from ..inference import Predictor

    predictor = Predictor(folder, options=run)
    with ProgressDisplay(sys.stderr) as show:
        result = write_case(partial(predictor.run, on_progress=show), card, image, inputs, options.output, region)
    with after_results():
        _print_result(result)
    return 0


def _chosen(inputs: Sequence[str], called: Sequence[str]) -> list[str | os.PathLike]:
    """The inputs, with the named series in place of their folders. InputError if the numbers of names and folders differ."""
    folders = [path for path in inputs if os.path.isdir(path)]
    if len(called) > len(folders):
        msg = f"--series was given {len(called)} time(s), for {len(folders)} DICOM folder(s); give it once for each folder with several scans."
        raise InputError(msg)
    if not called:
        return list(inputs)
    from ..files.dicom_search import series_in

    found = {path: series_in(Path(path), name) for path, name in zip(folders, called)}
    return [found.get(path, path) for path in inputs]


def _print_result(result: CaseResult) -> None:
    from ..reporting import measure

    prediction = result.prediction
    for measurement in measure(prediction):
        print(f"{measurement.name:<30} {measurement.size:>14}  {measurement.voxels:>9} voxels")
    if prediction.found is not None:
        places = "; ".join(f"{name} {','.join(f'{number:.0f}' for number in region.center)}" for name, region in prediction.regions.items())
        alike = prediction.found.similarity
        print(f"Regions around {places} (RAS mm), by {prediction.found.how}{'' if alike is None else f', correlation {alike:.2f}'}.")
    for note in prediction.notes:
        print(f"Note: {note}")
    print(f"{prediction.card.title} {prediction.card.version} on {prediction.computed_on}, {sum(prediction.seconds.values()):.1f} s. {RESEARCH_ONLY}")
    for path in result.files:
        print(path)
