"""`attentionseg evaluate`: how good a model is on labelled scans."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from .. import RESEARCH_ONLY
from ..evaluation import EMPTY_RULE, METRICS
from ..files.formats import described
from ..terminal import ProgressDisplay
from .options import add_label_options, add_run_options, label_reading, run_options

if TYPE_CHECKING:
    from ..evaluation import Evaluation


def add_command(commands: argparse._SubParsersAction) -> None:
    evaluate = commands.add_parser(
        "evaluate",
        help="measure a model on labelled scans",
        description=f"Segment labelled scans and measure how well: {', '.join(metric.title for metric in METRICS)}. {RESEARCH_ONLY}",
        epilog=EMPTY_RULE,
    )
    evaluate.add_argument("--model", required=True, metavar="ID", help="id of an installed model, or path of a model folder")
    evaluate.add_argument("--images", required=True, metavar="DIR", help=f"folder of scans: {described()}")
    evaluate.add_argument("--labels", required=True, metavar="DIR", help="folder of label maps of the same names and geometry")
    evaluate.add_argument("--output", required=True, metavar="DIR", help="folder for the results")
    evaluate.add_argument("--split", metavar="FILE", help="CSV file with the columns id and role (default: all scans of the folder)")
    evaluate.add_argument("--role", help="which part of the split to measure on, such as val")
    evaluate.add_argument("--compare", metavar="ID", help="another model, measured on the same cases")
    add_run_options(evaluate, ("device", "mirroring", "overlap"))
    add_label_options(evaluate)
    evaluate.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from ..evaluation import evaluate

    folders = (options.images, options.labels, options.output)
    asked = {"split": options.split, "role": options.role, "compare": options.compare, "reading": label_reading(options)}
    with ProgressDisplay(sys.stderr) as show:
        done = evaluate(options.model, *folders, **asked, options=run_options(options), on_progress=show)
    _print_evaluation(done)
    return 0


def _print_evaluation(done: Evaluation) -> None:
    for label, by_metric in done.scores.summary().items():
        print(label)
        for metric in METRICS:
            mean, low, high, n = by_metric[metric.key].values()
            shown = "undefined" if mean is None else f"{mean:.{metric.digits}f}"
            interval = "" if low is None else f"  (95 % interval {low:.{metric.digits}f} to {high:.{metric.digits}f})"
            print(f"    {metric.title:<32}{shown:>9}{interval}  n={n}")
    for note in done.notes:
        print(f"Note: {note}")
    print(f"{done.scores.card.title} {done.scores.card.version}. {RESEARCH_ONLY}")
    for path in done.files:
        print(path)
