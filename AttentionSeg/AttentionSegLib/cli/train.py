"""`attentionseg train`: a model from labelled scans."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import RESEARCH_ONLY
from ..errors import InputError
from ..terminal import ProgressDisplay

if TYPE_CHECKING:
    from ..datasets import CaseSet
    from ..training import TrainedModel

NETWORKS = ("attention-unet", "guided-attention")
MODALITIES = ("CT", "MR", "PT", "US", "OT")
# What goes into the plan, and what an existing plan rules instead.
PLANNED = ("network", "title", "modality", "field_of_view", "hours", "label_names", "channel_names", "ignored_label")
# Options that say where to compute and write, not what is made.
PLACES = ("output", "work", "device", "only_plan", "run")


def add_command(commands: argparse._SubParsersAction) -> None:
    train = commands.add_parser(
        "train",
        help="train a model on labelled scans",
        description=f"Look at labelled scans, plan, train, measure, and write a model. Run it again to go on after an interruption. {RESEARCH_ONLY}",
    )
    data = train.add_argument_group("data")
    data.add_argument("--images", metavar="DIR", help="folder of scans")
    data.add_argument("--labels", metavar="DIR", help="folder of label maps of the same names: 0 background, 1, 2, ... labels")
    data.add_argument("--dataset", metavar="FILE", help="dataset.json of nnU-Net or the Medical Segmentation Decathlon, instead of these two")
    data.add_argument(
        "--split", metavar="FILE", help="CSV file with the columns id and role (train, val), or splits_final.json (default: a fifth is drawn)"
    )
    data.add_argument("--label-names", metavar="NAME,...", help="of the labels 1, 2, ..., such as 'Left kidney,Right kidney'")
    data.add_argument("--channel-names", metavar="NAME,...", help="of the scans of a case, such as T1,FLAIR")
    data.add_argument("--ignored-label", type=int, metavar="VALUE", help="value in the label maps of voxels that nobody has judged")
    model = train.add_argument_group("model")
    model.add_argument("--network", choices=NETWORKS, help="which network; needed unless --plan is given")
    model.add_argument("--output", required=True, metavar="MODEL_DIR", help="model folder to write; its name becomes the id of the model")
    model.add_argument("--title", help="of the model (default: from its id)")
    model.add_argument("--modality", choices=MODALITIES, help="of the scans (default: by their names and intensities)")
    model.add_argument("--field-of-view", choices=("whole", "region"), help="whole scans, or a region around a structure (default: by their size)")
    model.add_argument("--start-from", metavar="ID", help="model to start from; what depends on the labels starts anew")
    model.add_argument("--pretrained", metavar="FILE", help="file or URL of weights for the backbone of guided-attention")
    plan = train.add_argument_group("training")
    plan.add_argument("--work", metavar="DIR", help="folder for plan, checkpoints, log and report (default: MODEL_DIR-training)")
    plan.add_argument("--plan", metavar="FILE", help="plan to follow, such as an edited plan.json, instead of making one")
    plan.add_argument("--only-plan", action="store_true", help="look at the data, write survey.json and plan.json, and stop there")
    plan.add_argument("--hours", type=float, metavar="H", help="that the training may take on this device (default: 3)")
    plan.add_argument("--seed", type=int, default=0, help="of weights, order and augmentation, and of the drawn split (default: 0)")
    plan.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, cuda:0,1 for several GPUs, mps (default: auto)")
    train.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    _check(options)
    cases = _cases(options)
    from ..training import train_model

    settings = {"device": options.device, "start_from": options.start_from, "hours": options.hours or 3.0, **_plan_options(options)}
    try:
        with ProgressDisplay(sys.stderr) as show:
            if options.only_plan:
                return _only_plan(cases, options, settings, show)
            places = {"work": options.work, "plan": options.plan, "pretrained": options.pretrained, "command": command_of(options)}
            done = train_model(cases, options.network, options.output, **places, **settings, on_progress=show)
    except KeyboardInterrupt:
        print("attentionseg: interrupted; run the same command again to go on.", file=sys.stderr)
        return 130
    _print_trained(done)
    return 0


def command_of(options: argparse.Namespace) -> str:
    """The command that makes the same model, with the names of files and folders in place of their paths, which are nobody's business."""
    words = ["attentionseg", "train"]
    for name, value in sorted(vars(options).items()):
        if name in PLACES or value is None:
            continue
        is_path = name in ("images", "labels", "dataset", "split", "plan", "start_from", "pretrained")
        words += [f"--{name.replace('_', '-')}", Path(value).name if is_path else str(value)]
    return shlex.join(words)


def _check(options: argparse.Namespace) -> None:
    msg = None
    folders = (options.images, options.labels)
    given = [f"--{name.replace('_', '-')}" for name in PLANNED if getattr(options, name) is not None]
    if (options.dataset is None) == (folders == (None, None)) or (options.dataset is None and None in folders):
        msg = "Say where the data is: --images DIR and --labels DIR, or --dataset FILE."
    elif options.dataset is not None and (options.label_names or options.channel_names or options.ignored_label is not None):
        msg = f"Names of labels and channels and the label to ignore are in {options.dataset}; leave out the options for them."
    elif options.plan is None and options.network is None:
        msg = f"Choose a network: --network {' or --network '.join(NETWORKS)}."
    elif options.plan is not None and given:
        msg = f"The plan {options.plan} rules instead of {', '.join(given)}; leave the option(s) out, or change the plan."
    elif options.plan is not None and options.only_plan:
        msg = f"There is a plan already, {options.plan}; leave out --plan or --only-plan."
    elif options.hours is not None and not options.hours > 0:
        msg = f"A training cannot take {options.hours:g} hours; give a number above 0."
    elif options.seed < 0:
        msg = f"The seed is {options.seed}; give a whole number from 0."
    if msg:
        raise InputError(msg)


def _cases(options: argparse.Namespace) -> CaseSet:
    split = None if options.split is None else Path(options.split)
    if options.dataset is not None:
        from ..datasets import dataset_cases

        return dataset_cases(Path(options.dataset), split, options.seed)
    from ..datasets import folder_cases

    names = dict(enumerate(_names(options.label_names), start=1))
    return folder_cases(Path(options.images), Path(options.labels), split, names, _names(options.channel_names), options.ignored_label, options.seed)


def _names(text: str | None) -> list[str]:
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def _plan_options(options: argparse.Namespace) -> dict[str, Any]:
    region = None if options.field_of_view is None else options.field_of_view == "region"
    return {"title": options.title, "modality": options.modality, "region": region, "seed": options.seed}


def _only_plan(cases: CaseSet, options: argparse.Namespace, settings: dict[str, Any], show: ProgressDisplay) -> int:
    from ..training import plan_training

    folder = Path(options.work or f"{options.output}-training")
    path = plan_training(cases, options.network, options.output, folder, **settings, on_progress=show)
    print(path)
    return 0


def _print_trained(done: TrainedModel) -> None:
    for note in done.notes:
        print(f"Note: {note}")
    for label, by_metric in done.scores.summary().items():
        numbers = by_metric["dice"]
        shown = "undefined" if numbers["mean"] is None else f"{numbers['mean']:.3f}"
        interval = "" if numbers["low"] is None else f"  (95 % interval {numbers['low']:.3f} to {numbers['high']:.3f})"
        print(f"{'Mean of the labels' if label == 'mean' else label:<32} Dice {shown}{interval}  n={numbers['n']}")
    print(f"Weights of epoch {done.epoch}. {RESEARCH_ONLY}")
    print(done.report)
    print(done.folder)
