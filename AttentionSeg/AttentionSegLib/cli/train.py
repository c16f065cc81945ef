"""`attentionseg train`: training of a model on labelled scans."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import RESEARCH_ONLY
from ..errors import Cancelled, InputError
from ..network_names import NETWORKS
from ..terminal import ProgressDisplay
from .options import LABELED_IMAGES, add_label_options, add_run_options, command_of, label_reading

if TYPE_CHECKING:
    from ..datasets import CaseSet
    from ..progress import Cancel
    from ..training import Synthesis, TrainedModel

MODALITIES = ("CT", "MR", "PT", "US", "OT")
# Options that are stored in the plan, and that an existing plan replaces.
PLANNED = (
    *("network", "title", "license", "modality", "field_of_view", "found_by", "slices", "context", "backbone", "hours"),
    *("label_names", "channel_names", "ignored_label", "learn_as", "tissues", "rescale"),
)
PATHS = ("images", "labels", "dataset", "split", "plan", "start_from", "pretrained", "validation_images", "validation_labels")
# Options of where to compute and write, which do not change the model.
PLACES = ("output", "work", "device", "only_plan", "restart", "run")


def add_command(commands: argparse._SubParsersAction) -> None:
    train = commands.add_parser(
        "train",
        help="train a model on labelled scans",
        description=f"Survey labelled scans, plan, train, measure, and write a model. Run it again to resume after an interruption. {RESEARCH_ONLY}",
    )
    data = train.add_argument_group("data")
    data.add_argument("--images", metavar="DIR", help=LABELED_IMAGES)
    data.add_argument("--labels", metavar="DIR", help="folder of label maps of the same names: 0 background, 1, 2, ... labels")
    data.add_argument("--dataset", metavar="FILE", help="dataset.json of nnU-Net or the Medical Segmentation Decathlon, instead of these two")
    data.add_argument(
        "--split", metavar="FILE", help="CSV file with the columns id and role (train, val), or splits_final.json (default: a fifth is drawn)"
    )
    data.add_argument("--label-names", metavar="NAME,...", help="of the labels 1, 2, ..., such as 'Left kidney,Right kidney'")
    data.add_argument("--channel-names", metavar="NAME,...", help="of the scans of a case, such as T1,FLAIR")
    add_label_options(data)
    add_run_options(data, ["rescale"])
    drawn = train.add_argument_group("images synthesized from label maps")
    drawn.add_argument("--synthesize", action="store_true", help="train on --labels alone: images of random contrast are synthesized for every step")
    drawn.add_argument(
        "--learn-as",
        metavar="VALUE=LABEL,...",
        help="values with an intensity of their own that are trained as another label, or as background, such as 40=0 for skull",
    )
    drawn.add_argument(
        "--tissues",
        metavar="VALUE=TISSUE,...",
        help="values of the same tissue, by a number for each tissue, such as 2=1,7=1,3=2,8=2; they look nearly alike in four of five images",
    )
    drawn.add_argument("--validation-images", metavar="DIR", help="scans to validate on (default: scans synthesized from a fifth of the label maps)")
    drawn.add_argument("--validation-labels", metavar="DIR", help="their label maps, of the same names")
    model = train.add_argument_group("model")
    model.add_argument("--network", choices=tuple(NETWORKS), help="which network; needed unless --plan is given")
    model.add_argument("--output", required=True, metavar="MODEL_DIR", help="model folder to write; its name becomes the id of the model")
    model.add_argument("--title", help="of the model (default: the names of its labels)")
    model.add_argument("--license", help="of the weights, such as CC-BY-4.0 (default: unstated, to be filled in before the model is shared)")
    model.add_argument("--modality", choices=MODALITIES, help="of the scans (default: by their names and intensities)")
    model.add_argument("--field-of-view", choices=("whole", "region"), help="whole scans, or a region around a structure (default: by their size)")
    model.add_argument(
        "--found-by",
        metavar="MODEL:LABEL",
        help="a model for the region around a label of an installed model, which finds it in whole scans; for a pair of sides "
        "MODEL:right=LABEL,left=LABEL",
    )
    model.add_argument(
        "--slices",
        choices=("axial", "coronal", "sagittal", "none"),
        help="a 2D network on these slices of the scans, or none for volumes (default: slices if cases are single ones, or slices lie far apart)",
    )
    model.add_argument("--context", type=int, metavar="N", help="neighbors on each side that a 2D network sees beside a slice (default: 0)")
    model.add_argument("--start-from", metavar="ID", help="model to start from; layers that depend on the labels start from random weights")
    model.add_argument(
        "--backbone", metavar="NAME", help="guided-attention as published with this backbone, such as resnet101 (default: a narrower one)"
    )
    model.add_argument("--pretrained", metavar="FILE", help="file or URL of weights for the backbone, such as torchvision's or timm's for ImageNet")
    plan = train.add_argument_group("training")
    plan.add_argument("--work", metavar="DIR", help="folder for plan, checkpoints, log and report (default: MODEL_DIR-training)")
    plan.add_argument("--plan", metavar="FILE", help="plan to follow, such as an edited plan.json, instead of making one")
    plan.add_argument("--only-plan", action="store_true", help="survey the data, write survey.json and plan.json, and stop")
    plan.add_argument("--restart", action="store_true", help="plan again and train from scratch, whatever is in the work folder")
    plan.add_argument("--hours", type=float, metavar="H", help="largest duration of the training on this device (default: 3)")
    plan.add_argument("--seed", type=int, help="of weights, order and augmentation, and of the drawn split (default: 0)")
    plan.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, cuda:0,1 for several GPUs, mps (default: auto)")
    train.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    _check(options)
    cases = _cases(options)
    from ..training import train_model

    given = {name: getattr(options, name) for name in ("device", "start_from", "pretrained", "hours")}
    settings = {**given, **_plan_options(options)}
    try:
        with ProgressDisplay(sys.stderr) as show:
            if options.only_plan:
                return _only_plan(cases, options, settings, show)
            places = {"work": options.work, "plan": options.plan, "restart": options.restart}
            with _termination() as cancel:
                settings["command"] = command_of("train", options, PATHS, PLACES)
                told: list[str] = []

                def tell(notes: Sequence[str]) -> None:
                    told.extend(_print_notes(show, notes))

                done = train_model(cases, options.network, options.output, **places, **settings, on_progress=show, on_notes=tell, cancel=cancel)
                _print_notes(show, done.notes[len(told) :])
    except (KeyboardInterrupt, Cancelled):
        print("attentionseg: interrupted; run the same command again to resume.", file=sys.stderr)
        return Cancelled.exit_code
    _print_trained(done)
    return 0


@contextmanager
def _termination() -> Iterator[Cancel]:
    """A function that returns True after SIGTERM, on which a training writes a checkpoint and ends."""
    asked: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _frame: asked.append(number))
    try:
        yield lambda: bool(asked)
    finally:
        signal.signal(signal.SIGTERM, before)


def _check(options: argparse.Namespace) -> None:
    msg = None
    folders = (options.images, options.labels)
    given = [f"--{name.replace('_', '-')}" for name in PLANNED if getattr(options, name) not in (None, False)]
    if options.synthesize:
        msg = _wrong_with_synthesis(options)
    elif options.learn_as or options.tissues or options.validation_images or options.validation_labels:
        msg = "--learn-as, --tissues, --validation-images and --validation-labels are for images synthesized from label maps; add --synthesize."
    elif (options.dataset is None) == (folders == (None, None)) or (options.dataset is None and None in folders):
        msg = "There is no data to train on; give --images DIR and --labels DIR, or --dataset FILE."
    elif options.dataset is not None and (options.label_names or options.channel_names):
        msg = f"Names of labels and channels are in {options.dataset}; leave out the options for them."
    if msg:
        raise InputError(msg)
    if options.plan is None and options.network is None:
        msg = f"Choose a network: --network {' or --network '.join(NETWORKS)}."
    elif options.plan is not None and given:
        msg = f"The plan {options.plan} replaces {', '.join(given)}; leave the option(s) out, or change the plan."
    elif options.plan is not None and options.only_plan:
        msg = f"There is a plan already, {options.plan}; leave out --plan or --only-plan."
    if msg:
        raise InputError(msg)
    from ..planning.plan_options import check_hours_and_seed

    check_hours_and_seed(options.hours, options.seed)


def _wrong_with_synthesis(options: argparse.Namespace) -> str | None:
    if options.labels is None or options.images or options.dataset:
        return "Images are synthesized from label maps alone: give --labels DIR, and neither --images nor --dataset."
    if options.channel_names:
        return "Images are synthesized for models of a single scan; leave out --channel-names."
    if (options.validation_images is None) != (options.validation_labels is None):
        return "Give both --validation-images DIR and --validation-labels DIR, or neither."
    return None


def _cases(options: argparse.Namespace) -> CaseSet:
    split = None if options.split is None else Path(options.split)
    reading, seed = label_reading(options), options.seed or 0
    if options.synthesize:
        from ..datasets import label_cases

        names = dict(enumerate(_names(options.label_names), start=1))
        scans = (Path(options.validation_images), Path(options.validation_labels)) if options.validation_images else None
        return label_cases(Path(options.labels), split, names, reading, seed, scans)
    if options.dataset is not None:
        from ..datasets import dataset_cases

        return dataset_cases(Path(options.dataset), split, seed, reading)
    from ..datasets import folder_cases

    names = dict(enumerate(_names(options.label_names), start=1))
    return folder_cases(Path(options.images), Path(options.labels), split, names, _names(options.channel_names), reading, seed)


def _names(text: str | None) -> list[str]:
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def _plan_options(options: argparse.Namespace) -> dict[str, Any]:
    region = None if options.field_of_view is None else options.field_of_view == "region"
    names = ("title", "license", "modality", "slices", "context", "backbone", "seed", "found_by", "rescale")
    planned = {"region": region, **{name: getattr(options, name) for name in names}}
    return {**planned, "synthesis": _synthesis(options)} if options.synthesize else planned


def _synthesis(options: argparse.Namespace) -> Synthesis:
    from ..training import Synthesis

    learned = _by_value(options.learn_as, "--learn-as", "40=0,41=2: a value of the label maps from 1, and the label it is trained as")
    return Synthesis(learned, _by_value(options.tissues, "--tissues", "2=1,41=1: a value of the label maps from 1, and the number of its tissue"))


def _by_value(text: str | None, option: str, example: str) -> dict[int, int]:
    pairs = [part.partition("=") for part in _names(text)]
    wrong = ["".join(pair) for pair in pairs if not (pair[0].strip().isdecimal() and pair[2].strip().isdecimal() and int(pair[0]))]
    if wrong:
        msg = f"{option} holds '{wrong[0]}'; give pairs such as {example}."
        raise InputError(msg)
    return {int(value): int(number) for value, _, number in pairs}


def _only_plan(cases: CaseSet, options: argparse.Namespace, settings: dict[str, Any], show: ProgressDisplay) -> int:
    from ..training import plan_training
    from ..training.recipe import Recipe

    folder = Path(options.work or f"{options.output}-training")
    path = plan_training(cases, options.network, options.output, folder, **settings, on_progress=show)
    _print_notes(show, Recipe.load(path).notes)
    print(path)
    return 0


def _print_notes(show: ProgressDisplay, notes: Sequence[str]) -> Sequence[str]:
    """Print notes above the progress, and return them."""
    for note in notes:
        show.print(f"Note: {note}")
    return notes


def _print_trained(done: TrainedModel) -> None:
    for label, by_metric in done.scores.summary().items():
        numbers = by_metric["dice"]
        shown = "undefined" if numbers["mean"] is None else f"{numbers['mean']:.3f}"
        interval = "" if numbers["low"] is None else f"  (95 % interval {numbers['low']:.3f} to {numbers['high']:.3f})"
        print(f"{'Mean of the labels' if label == 'mean' else label:<32} Dice {shown}{interval}  n={numbers['n']}")
    print(f"Weights of epoch {done.epoch}. {RESEARCH_ONLY}")
    print(done.report)
    print(done.folder)
