"""From labelled scans to a model ready to use: look, plan, train, measure, save."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..datasets import CaseSet
from ..datasets.label_maps import with_scans
from ..errors import InputError
from ..evaluation.progress import EvaluationProgress
from ..evaluation.results import tables
from ..evaluation.run import measure_cases
from ..files import check_output_folder, write_text
from ..inference import Predictor
from ..models import find_model, load_model, save_model
from ..progress import check_cancel
from .finished import accuracy_entries, draw_thumbnail
from .initial_weights import InitialWeights
from .options import TrainingOptions
from .parts import import_parts, part_of
from .plan_match import planned_cases
from .planned import PLAN_NAME, check_plan, plan_training
from .recipe import Recipe
from .synthesis.scans import write_drawn

if TYPE_CHECKING:
    from ..evaluation import Scores
    from ..progress import Cancel, OnProgress

# What the stages take of the whole run, roughly: the survey, the training and the measurement each up to so much.
SURVEYED, TRAINED = 0.02, 0.95
# What a training leaves in its work folder beside plan and survey. Prepared cases stay, as they are known by what they were made of.
LEFT_BEHIND = ("last.ckpt", "best.ckpt", "report.html", "metrics.csv", "summary.json", "log", "tensorboard", "drawn")


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """What came out of a training.

    Attributes:
        folder: of the model.
        report: page with learning curves, accuracy and the worst cases; beside it lie `metrics.csv` and `summary.json`, as of an evaluation.
        scores: on the cases to validate on.
        epoch: whose weights were kept, counted from 1.
        notes: sentences for the user: what is odd in the data, how the training was planned, and what it started from.
    """

    folder: Path
    report: Path
    scores: Scores
    epoch: int
    notes: tuple[str, ...]


def train_model(
    cases: CaseSet,
    network: str | None,
    output: str | os.PathLike,
    *,
    on_progress: OnProgress | None = None,
    cancel: Cancel | None = None,
    **options: Any,
) -> TrainedModel:
    """Train a network on labelled scans, and make a model folder of it. Called again after an interruption, it goes on.

        train_model(folder_cases("images", "labels"), "attention-unet", "my-model")
        train_model(label_cases("labels"), "attention-unet", "my-model", synthesis=Synthesis())

    Without a plan it looks at all cases and plans by itself; survey, plan, checkpoints, logs and the report go to the work folder.

    Args:
        cases: see `folder_cases` and `dataset_cases`.
        network: a key of `NETWORKS`, such as `attention-unet`; None with a plan.
        output: model folder to write; its name becomes the id of the model. It must not be there yet.
        on_progress: called with (fraction 0..1, stage, seconds left or None).
        cancel: asked between steps; the training ends when it returns True, and goes on from there another time.
        options: those of `TrainingOptions`.

    Raises:
        InputError: if data, options or folders cannot be used (before the first step), the loss becomes NaN, or memory or disk run out.
        Cancelled: if `cancel` said so.
        KeyboardInterrupt: if the user pressed Ctrl+C.
    """
    asked, output = TrainingOptions(**options), Path(output)
    if output.exists():
        msg = f"There is already something at {output}; remove it or choose another folder for the model."
        raise InputError(msg)
    told = part_of(on_progress, 0, 1)
    told(0.0, "loading packages", None)
    train, write_training_report = import_parts()
    check_cancel(cancel, "loading packages")
    initial = InitialWeights(None if asked.start_from is None else find_model(asked.start_from), asked.pretrained)
    folder = check_output_folder(output.with_name(f"{output.name}-training") if asked.work is None else Path(asked.work))
    path = folder / PLAN_NAME if asked.plan is None else Path(asked.plan)
    if asked.plan is None and (asked.restart or not path.exists()):
        plan_training(cases, network, output, folder, on_progress=part_of(told, 0, SURVEYED), cancel=cancel, **options)
    if asked.plan is None:
        cases = planned_cases(path, cases, asked.asked(network))
    if asked.restart:
        _remove_training(folder)
    recipe = Recipe.load(path)
    check_plan(recipe.draft_card(), path, cases, recipe)
    if recipe.synthesis is not None:
        cases = with_scans(cases, write_drawn(cases.roles["val"], recipe.synthesis, recipe.seed, folder / "drawn"))

    trained = train(recipe, cases.roles, folder, asked.device, initial, part_of(told, SURVEYED, TRAINED), cancel)

    document = recipe.finished_card(cases.roles, asked.command)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        told(TRAINED, "measuring", None)
        # Measured as it is stored, in half precision.
        stored = Path(scratch) / "model"
        save_model(stored, document, trained.network)
        model = load_model(stored)
    progress = EvaluationProgress(len(cases.roles["val"]), 1, part_of(told, TRAINED, 1, "measuring "), cancel)
    predictor = Predictor(model, asked.main_device)
    (scores,), pictures = measure_cases([predictor], cases.roles["val"], progress, recipe.ignored_label)
    check_cancel(cancel, "measuring")
    told(1.0, "writing model and report", None)
    report = folder / "report.html"
    write_training_report(report, folder, trained, scores, pictures, recipe.notes)
    for name, text in tables(scores).items():
        write_text(folder / name, text)
    thumbnail = draw_thumbnail(predictor, cases.roles["val"], scores, cancel)
    save_model(output, {**document, "accuracy": accuracy_entries(scores, document, asked.command)}, trained.network, thumbnail)
    told(1.0, "done", 0.0)
    return TrainedModel(output, report, scores, trained.epoch, (*recipe.notes, *trained.notes))


def _remove_training(folder: Path) -> None:
    for path in (folder / name for name in LEFT_BEHIND):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
