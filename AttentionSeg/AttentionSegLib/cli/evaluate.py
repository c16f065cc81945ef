"""`attentionseg evaluate`: evaluation of a model, or of predictions, on labelled scans."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from .. import RESEARCH_ONLY
from ..errors import InputError, after_results
from ..evaluation import EMPTY_RULE, METRICS
from ..evaluation.definitions import MEAN
from ..evaluation.map_measures import MAP_MEASURES
from ..terminal import ProgressDisplay
from .options import ARGUMENTS, LABELED_IMAGES, add_label_options, add_run_options, command_of, label_reading, run_options

if TYPE_CHECKING:
    from ..evaluation import Evaluation
    from ..evaluation.map_scores import MapScores
    from ..evaluation.predictions import EvaluatedPredictions

OF_MODEL = ("split", "role", "compare", "regions", "maps", "without_explanations", "update_card")
# Options for the card: those whose values are paths, and those that do not change its figures.
PATHS = ("model", "images", "labels", "split", "regions")
OF_RUN = ("device", "mirroring", "overlap", "explain_layer", "explain_method", "rescale")
LEFT_OUT = ("output", "compare", "device", "update_card", "run")


def add_command(commands: argparse._SubParsersAction) -> None:
    evaluate = commands.add_parser(
        "evaluate",
        help="measure a model on labelled scans",
        description=f"Segment labelled scans, or take predictions of any program, and measure how well: "
        f"{', '.join(metric.title for metric in METRICS)}. {RESEARCH_ONLY}",
        epilog=EMPTY_RULE,
    )
    evaluate.add_argument("--model", metavar="ID", help="id of an installed model, or path of a model folder")
    evaluate.add_argument("--images", metavar="DIR", help=LABELED_IMAGES)
    evaluate.add_argument(
        "--predictions", metavar="DIR", help="folder of label maps of any program, or results of a batch, to measure instead of --model and --images"
    )
    evaluate.add_argument("--label-names", metavar="NAME,...", help="of the labels 1, 2, ... of --predictions")
    evaluate.add_argument("--labels", required=True, metavar="DIR", help="folder of label maps of the same names and geometry")
    evaluate.add_argument("--output", required=True, metavar="DIR", help="folder for the results")
    evaluate.add_argument("--split", metavar="FILE", help="CSV file with the columns id and role (default: all scans of the folder)")
    evaluate.add_argument("--role", help="which part of the split to measure on, such as val")
    evaluate.add_argument("--regions", metavar="FILE", help="CSV file with the columns id and region (R,A,S,W,H,D): what to segment of each scan")
    evaluate.add_argument("--compare", metavar="ID", help="another model, measured on the same cases")
    evaluate.add_argument(
        "--maps", action="store_true", help="measure the attention maps too: localization, effect on the segmentation, comparison with random weights"
    )
    evaluate.add_argument(
        "--without-explanations", action="store_true", help="with --maps: leave out the explanation of each label, which takes most of the time"
    )
    evaluate.add_argument(
        "--update-card",
        metavar="DATA",
        help="write Dice and, with --maps, the figures of the maps into the card of the model, as measured on data of this name",
    )
    add_run_options(evaluate, OF_RUN)
    add_label_options(evaluate)
    evaluate.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    if options.predictions is not None:
        return _run_predictions(options)
    if options.model is None or options.images is None:
        msg = "There is nothing to measure; give --model ID and --images DIR, or --predictions DIR."
        raise InputError(msg)
    if options.label_names is not None:
        msg = "The names of the labels are those of the model; leave out --label-names."
        raise InputError(msg)
    from ..evaluation import evaluate

    folders = (options.images, options.labels, options.output)
    asked = {name: getattr(options, name) for name in OF_MODEL}
    asked["command"] = command_of("evaluate", options, PATHS, LEFT_OUT)
    with ProgressDisplay(sys.stderr) as show:
        done = evaluate(options.model, *folders, **asked, reading=label_reading(options), options=run_options(options), on_progress=show)
    with after_results():
        _print_scores(done, f"{done.scores.card.title} {done.scores.card.version}", done.maps)
    return 0


def _run_predictions(options: argparse.Namespace) -> int:
    unused = [f"--{name.replace('_', '-')}" for name in ("model", "images", *OF_MODEL) if getattr(options, name)]
    unused += [flag for name in OF_RUN for flag, how in [ARGUMENTS[name]] if getattr(options, name) not in (how.get("default"), False)]
    if unused:
        msg = f"Predictions are measured as they are; leave out {', '.join(unused)}."
        raise InputError(msg)
    from ..evaluation.predictions import evaluate_predictions

    names = dict(enumerate((name.strip() for name in (options.label_names or "").split(",") if name.strip()), start=1))
    folders = (options.predictions, options.labels, options.output)
    with ProgressDisplay(sys.stderr) as show:
        done = evaluate_predictions(*folders, reading=label_reading(options), label_names=names, on_progress=show)
    with after_results():
        _print_scores(done, f"{len(done.scores.cases)} predictions")
    return 0


def _print_scores(done: Evaluation | EvaluatedPredictions, what: str, maps: MapScores | None = None) -> None:
    for label, by_metric in done.scores.summary().items():
        print(label)
        for metric in METRICS:
            mean, low, high, n = by_metric[metric.key].values()
            shown = "undefined" if mean is None else f"{mean:.{metric.digits}f}"
            interval = "" if low is None else f"  (95 % interval {low:.{metric.digits}f} to {high:.{metric.digits}f})"
            print(f"    {metric.title:<32}{shown:>9}{interval}  n={n}")
    if maps is not None:
        _print_maps(maps)
    for note in done.notes:
        print(f"Note: {note}")
    print(f"{what}. {RESEARCH_ONLY}")
    for path in done.files:
        print(path)


def _print_maps(maps: MapScores) -> None:
    """Print the mean of the labels; the page and `maps.json` have each label."""
    print("attention maps, mean of the labels (in brackets: with random weights)")
    for name, found in maps.summary()[MEAN].items():
        print(f"    {name}")
        for measure in MAP_MEASURES:
            if measure.key in found:
                one = found[measure.key]
                random = f" ({one['random']['mean']:.{measure.digits}f})" if "random" in one else ""
                print(f"        {measure.title:<32}{one['trained']['mean']:>9.{measure.digits}f}{random}")
