"""The command line: `attentionseg segment | evaluate | models`."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from . import RESEARCH_ONLY, __version__
from .errors import InputError
from .evaluation import EMPTY_RULE, METRICS
from .terminal import ProgressDisplay

if TYPE_CHECKING:
    from .batch import CaseResult
    from .evaluation import Evaluation


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Returns:
        The exit code: 0 when all that was asked for was written, 2 for bad input, 1 when a disk, a folder or memory failed, 130 when interrupted.
    """
    _print_any_text()
    options = _parser().parse_args(_joined_region(sys.argv[1:] if arguments is None else list(arguments)))
    try:
        return options.run(options)
    except InputError as error:
        print(f"attentionseg: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"attentionseg: {error}; nothing was written, make room or choose another folder and run again.", file=sys.stderr)
        return 1
    except MemoryError:
        print("attentionseg: there is not enough memory for this scan; nothing was written, close other programs or give a region.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("attentionseg: interrupted, nothing was written.", file=sys.stderr)
        return 130


def _print_any_text() -> None:
    # Labels and paths may hold letters that the terminal's encoding lacks; they must not end a run whose results are written.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _joined_region(arguments: list[str]) -> list[str]:
    """`--region -25,...` as `--region=-25,...`, because argparse takes a value that begins with a minus sign for an option."""
    joined: list[str] = []
    for argument in arguments:
        if joined and joined[-1] == "--region":
            joined[-1] = f"--region={argument}"
        else:
            joined.append(argument)
    return joined


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="attentionseg", description=f"Segment scans and see where the network looked. {RESEARCH_ONLY}")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    segment = commands.add_parser("segment", help="segment a scan", description=f"Segment a scan. {RESEARCH_ONLY}")
    segment.add_argument("inputs", nargs="+", metavar="INPUT", help="NIfTI, NRRD, MHA or MHD file, or DICOM folder; one per input of the model")
    segment.add_argument("--model", required=True, metavar="ID", help="id of an installed model, or path of a model folder")
    segment.add_argument("--output", required=True, metavar="DIR", help="folder for the results")
    segment.add_argument("--region", metavar="R,A,S,W,H,D", help="box around the structure: center and size in mm, RAS")
    segment.add_argument("--attention", default="all", metavar="all|none|NAME,...", help="attention maps to write (default: all)")
    segment.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (default: auto)")
    segment.add_argument("--backend", default="auto", help="auto (OpenVINO on the CPU where it is installed), torch, openvino (default: auto)")
    segment.add_argument("--format", default="nrrd", choices=("nrrd", "nii"), help="file format of the results (default: nrrd)")
    segment.set_defaults(run=_segment)

    evaluate = commands.add_parser(
        "evaluate",
        help="measure a model on labelled scans",
        description=f"Segment labelled scans and measure how well: {', '.join(metric.title for metric in METRICS)}. {RESEARCH_ONLY}",
        epilog=EMPTY_RULE,
    )
    evaluate.add_argument("--model", required=True, metavar="ID", help="id of an installed model, or path of a model folder")
    evaluate.add_argument("--images", required=True, metavar="DIR", help="folder of scans")
    evaluate.add_argument("--labels", required=True, metavar="DIR", help="folder of label maps of the same names and geometry")
    evaluate.add_argument("--output", required=True, metavar="DIR", help="folder for the results")
    evaluate.add_argument("--split", metavar="FILE", help="CSV file with the columns id and role (default: all scans of the folder)")
    evaluate.add_argument("--role", help="which part of the split to measure on, such as val")
    evaluate.add_argument("--compare", metavar="ID", help="another model, measured on the same cases")
    evaluate.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (default: auto)")
    evaluate.set_defaults(run=_evaluate)

    models = commands.add_parser("models", help="list the installed models")
    models.set_defaults(run=_models)
    return parser


def _segment(options: argparse.Namespace) -> int:
    from .batch import read_case, write_case
    from .models import Card, find_model
    from .models.card import CARD_NAME
    from .region import Region

    region = None if options.region is None else Region.parse(options.region)
    attention = {"all": True, "none": False}.get(options.attention, [name.strip() for name in options.attention.split(",")])
    folder = find_model(options.model)
    image = read_case(Card.load(folder / CARD_NAME), options.inputs, region)

    # torch takes seconds to import: only now, when nothing is left to complain about that does not need it.
    from .inference import Predictor

    predictor = Predictor(folder, options.device, options.backend)
    with ProgressDisplay(sys.stderr) as show:
        result = write_case(predictor, image, options.inputs, options.output, region, attention, options.format, show)
    _print_result(result)
    return 0


def _print_result(result: CaseResult) -> None:
    from .reporting import measure

    prediction = result.prediction
    for measurement in measure(prediction):
        print(f"{measurement.name:<28} {measurement.milliliters:9.2f} mL  {measurement.voxels:>9} voxels")
    for note in prediction.notes:
        print(f"Note: {note}")
    print(f"{prediction.card.title} {prediction.card.version} on {prediction.computed_on}, {sum(prediction.seconds.values()):.1f} s. {RESEARCH_ONLY}")
    for path in result.files:
        print(path)


def _evaluate(options: argparse.Namespace) -> int:
    from .evaluation import evaluate

    folders = (options.images, options.labels, options.output)
    with ProgressDisplay(sys.stderr) as show:
        done = evaluate(options.model, *folders, options.split, options.role, options.compare, options.device, show)
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
    print(f"{done.scores.card.title} {done.scores.card.version}. {RESEARCH_ONLY}")
    for path in done.files:
        print(path)


def _models(_options: argparse.Namespace) -> int:
    from .models import list_models, user_folder

    entries = list_models()
    for entry in entries:
        if entry.card is None:
            print(f"{entry.id}\n    cannot be used: {entry.problem}")
            continue
        card = entry.card
        inputs = ", ".join(f"{channel.name} ({channel.modality})" for channel in card.inputs)
        region = f", region of about {' x '.join(f'{s:g}' for s in card.region_size)} mm" if card.region_size else ""
        print(f"{card.id} {card.version}\n    {card.title}\n    needs {inputs}{region}")
        print(f"    labels: {'; '.join(label.name for label in card.labels)}\n    weights: {card.weights_license}\n    {entry.folder}")
    if not entries:
        print(f"No models are installed; put model folders into {user_folder()}.")
    return 0
