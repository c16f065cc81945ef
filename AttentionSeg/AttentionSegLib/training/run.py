"""A complete training, from labeled scans to a model: survey, plan, train, evaluate, save."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..datasets import CaseSet
from ..datasets.case_set import rescaled_cases
from ..datasets.label_maps import with_scans
from ..errors import InputError
from ..evaluation.card_entries import accuracy_entries, map_entries
from ..evaluation.map_worth import MapWorth
from ..evaluation.progress import EvaluationProgress
from ..evaluation.results import tables
from ..evaluation.run import measure_cases
from ..files import output_folder, write_text
from ..inference import Predictor
from ..lock import locked
from ..models import load_model, save_model
from ..models.found_by import FindingModel
from ..network_names import NETWORKS
from ..progress import check_cancel
from .finished import draw_thumbnail
from .found_regions import regions_of
from .hardware import is_first_process
from .options import TrainingOptions
from .parts import check_parts, part_of
from .plan_match import planned_cases
from .planned import PLAN_NAME, check_plan, initial_weights, new_id, plan_training
from .recipe import Recipe
from .synthesis.scans import write_drawn

if TYPE_CHECKING:
    from ..evaluation import Scores
    from ..progress import Cancel, OnProgress

# Approximate fraction of the run at the end of the survey and at the end of the training.
SURVEYED, TRAINED = 0.02, 0.95
# Files of a training in its work folder, except plan and survey, that a restart removes. Prepared cases and regions are kept:
# they are reused if nothing changed.
LEFT_BEHIND = ("last.ckpt", "best.ckpt", "report.html", "metrics.csv", "summary.json", "maps.csv", "maps.json", "log", "tensorboard", "drawn")


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """Result of a training.

    Attributes:
        folder: of the model.
        report: page with learning curves, accuracy, localization of the maps and the worst cases; beside it are `metrics.csv`, `summary.json`,
            `maps.csv` and `maps.json`, as in an evaluation.
        scores: on the validation cases.
        epoch: whose weights became the model, counted from 1.
        notes: sentences for the user: anomalies in the data, the plan, and the initial weights.
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
    on_notes: Callable[[Sequence[str]], None] | None = None,
    cancel: Cancel | None = None,
    **options: Any,
) -> TrainedModel:
    """Train a network on labeled scans and write a model folder. Called again after an interruption, it resumes.

        train_model(folder_cases("images", "labels"), "attention-unet", "my-model")
        train_model(label_cases("labels"), "attention-unet", "my-model", synthesis=Synthesis())

    Without a plan it surveys all cases and makes one. Survey, plan, checkpoints, logs and the report are written to the work folder.

    Args:
        cases: see `folder_cases` and `dataset_cases`.
        network: a key of `NETWORKS`, such as `attention-unet`; None with a plan.
        output: model folder to write, which must not exist; its name becomes the id of the model.
        on_progress: called with (fraction 0..1, stage, seconds left or None).
        on_notes: called before the training begins with those of the notes that are known by then.
        cancel: called between steps; when it returns True the training ends, and can be resumed later.
        options: see `TrainingOptions`.

    Raises:
        InputError: if data, options or folders cannot be used, or another run works in the same folder (before the first step), the loss becomes NaN,
            or memory or disk run out.
        Cancelled: if `cancel` returned True.
        KeyboardInterrupt: if the user pressed Ctrl+C.
    """
    asked, output = TrainingOptions(**options), Path(output)
    if output.exists():
        msg = f"There is already something at {output}; remove it or choose another folder for the model."
        raise InputError(msg)
    report_progress = part_of(on_progress, 0, 1)
    report_progress(0.0, "loading packages", None)
    check_parts()
    from .report import write_training_report
    from .trainer import train

    check_cancel(cancel, "loading packages")
    folder = output.with_name(f"{output.name}-training") if asked.work is None else Path(asked.work)
    path = folder / PLAN_NAME if asked.plan is None else Path(asked.plan)
    is_planned = asked.plan is not None or (not asked.restart and path.exists())
    initial = initial_weights(asked)
    if is_planned:
        # Otherwise the planning checks them.
        initial.check(network, asked.backbone, asked.slices)
    # The processes that Lightning starts for further devices work in the folder of the first.
    with output_folder(folder), locked(folder) if is_first_process() else nullcontext():
        if not is_planned:
            if network is None:
                msg = f"No network was given to plan a training for; name one of {', '.join(NETWORKS)}, or give a plan."
                raise InputError(msg)
            plan_training(cases, network, output, folder, on_progress=part_of(report_progress, 0, SURVEYED), cancel=cancel, **options)
        recipe, is_given = Recipe.load(path), asked.plan is not None
        cases = planned_cases(path, cases, asked.asked(network, None if is_given else new_id(output)), is_given)
        if asked.restart:
            _remove_training(folder)
        card = recipe.draft_card()
        check_plan(card, path, cases, recipe)
        if on_notes is not None:
            on_notes(recipe.notes)
        cases = rescaled_cases(cases) if recipe.rescale else cases
        if recipe.synthesis is not None:
            cases = with_scans(cases, write_drawn(cases.roles["val"], recipe.synthesis, recipe.seed, folder / "drawn"))

        learned = cases
        if isinstance(card.found_by, FindingModel):
            finding = part_of(report_progress, 0, SURVEYED, "looking for ")
            learned, cases = regions_of(cases, card.found_by, card, folder, asked.main_device, finding, cancel)

        trained = train(recipe, learned.roles, folder, asked.device, initial, part_of(report_progress, SURVEYED, TRAINED), cancel)

        document = recipe.finished_card(cases.roles, asked.command)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            report_progress(TRAINED, "measuring", None)
            # The stored model is measured, which has half precision.
            stored = Path(scratch) / "model"
            save_model(stored, document, trained.network)
            model = load_model(stored)
        predictor, measured = Predictor(model, asked.main_device), cases.roles["val"]
        worth = None
        # Maps are measured on scans that are segmented as a whole.
        if predictor.attention_names and card.found_by is None:
            worth = MapWorth(predictor, [case.id for case in measured], recipe.ignored_label, thorough=False, explanations=False)
        progress = EvaluationProgress(len(measured), 1 + (worth.runs if worth else 0), part_of(report_progress, TRAINED, 1, "measuring "), cancel)
        (scores,), pictures = measure_cases([predictor], measured, progress, recipe.ignored_label, worth=worth)
        maps = worth.scores if worth else None
        check_cancel(cancel, "measuring")
        report_progress(1.0, "writing model and report", None)
        report = folder / "report.html"
        write_training_report(report, folder, trained, scores, pictures, recipe.notes, maps)
        for name, text in tables(scores, maps).items():
            write_text(folder / name, text)
        thumbnail = draw_thumbnail(predictor, measured, scores, cancel)
        named = f"{document['training_data'][0]['name']}, validation cases", asked.command
        document["accuracy"] = accuracy_entries(scores, *named)
        if maps is not None:
            document["maps"] = map_entries(maps, *named)
        save_model(output, document, trained.network, thumbnail)
        report_progress(1.0, "done", 0.0)
        return TrainedModel(output, report, scores, trained.epoch, (*recipe.notes, *trained.notes))


def _remove_training(folder: Path) -> None:
    for path in (folder / name for name in LEFT_BEHIND):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
