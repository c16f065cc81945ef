"""From labelled scans to a model ready to use: look, plan, train, measure, save."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..datasets import CaseSet
from ..datasets.cases import ROLES, Case, read_labelled
from ..datasets.label_maps import check_pairs, with_scans
from ..datasets.survey import make_survey, write_survey
from ..errors import InputError
from ..evaluation.definitions import MEAN
from ..evaluation.progress import EvaluationProgress
from ..evaluation.results import tables
from ..evaluation.run import DICE, measure_cases
from ..evaluation.statistics import mean_of_labels
from ..files import check_output_folder, write_text
from ..inference import Predictor
from ..inference.progress import check_cancel
from ..models import Card, find_model, load_model, save_model
from ..models.card import CARD_NAME
from ..models.titles import id_of
from ..planning.budget import Budget
from ..planning.plan import make_plan, write_plan
from .plan_match import MADE_FOR, made_for, planned_cases
from .recipe import Recipe
from .synthesis.scans import read_or_draw, write_drawn
from .synthesis.settings import Synthesis

if TYPE_CHECKING:
    from ..evaluation import Scores
    from ..inference.progress import Cancel, OnProgress

# What the stages take of the whole run, roughly: the survey, the training and the measurement each up to so much.
SURVEYED, TRAINED = 0.02, 0.95
HOURS = 3.0
# What a training leaves in its work folder beside plan and survey. Prepared cases stay, as they are known by what they were made of.
LEFT_BEHIND = ("last.ckpt", "best.ckpt", "report.html", "metrics.csv", "summary.json", "log", "tensorboard", "drawn")
BY_PYTHON = "AttentionSegLib.training.train_model"


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
    work: str | os.PathLike | None = None,
    plan: str | os.PathLike | None = None,
    device: str = "auto",
    hours: float | None = None,
    restart: bool = False,
    start_from: str | os.PathLike | None = None,
    pretrained: str | None = None,
    synthesis: Synthesis | None = None,
    command: str = BY_PYTHON,
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
        work: folder for this training; `<output>-training` when left out.
        plan: recipe to follow instead, such as an edited `plan.json` of another work folder.
        device: `auto`, `cpu`, `cuda`, `cuda:1`, `cuda:0,1` for several GPUs, or `mps`.
        hours: that the training may take here, from which sizes and steps are planned; 3 when left out.
        restart: whether to plan again and to begin from the first step, whatever the work folder holds.
        start_from: id or folder of a model whose weights the training starts from; what depends on the labels starts anew.
        pretrained: file or URL of weights for the backbone of guided-attention (see `networks.pretrained.load_pretrained`).
        synthesis: how images are drawn, where the cases to learn from are label maps alone (see `label_cases`); the plan rules once there is one.
            Cases to validate on that have no scan get a drawn one, in the work folder.
        command: kept in the card, to tell how the model was made.
        on_progress: called with (fraction 0..1, stage, seconds left or None).
        cancel: asked between steps; the training ends when it returns True, and goes on from there another time.
        options: further ones of `make_plan`: title, modality, region, labels, license, seed.

    Raises:
        InputError: if data, options or folders cannot be used (before the first step), the loss becomes NaN, or memory or disk run out.
        Cancelled: if `cancel` said so.
        KeyboardInterrupt: if the user pressed Ctrl+C.
    """
    output = Path(output)
    if output.exists():
        msg = f"There is already something at {output}; remove it or choose another folder for the model."
        raise InputError(msg)
    told = on_progress or _tell_nobody
    told(0.0, "loading packages", None)
    train, write_training_report = _import_parts()
    check_cancel(cancel, "loading packages")
    start = None if start_from is None else find_model(start_from)
    folder = check_output_folder(output.with_name(f"{output.name}-training") if work is None else Path(work))
    path = folder / "plan.json" if plan is None else Path(plan)
    if plan is None and (restart or not path.exists()):
        stages = {"on_progress": _part(told, 0, SURVEYED), "cancel": cancel}
        planned = {"device": device, "hours": hours, "start_from": start_from, "synthesis": synthesis}
        plan_training(cases, network, output, folder, **planned, **stages, **options)
    if plan is None:
        asked = {"network": network, "hours": hours, "start_from": _name_of(start_from), "synthesis": synthesis, **options}
        cases = planned_cases(path, cases, asked)
    if restart:
        _remove_training(folder)
    recipe = Recipe.load(path)
    card = recipe.draft_card()
    _check_plan(card, path, cases, recipe)
    if recipe.synthesis is not None:
        cases = with_scans(cases, write_drawn(cases.roles["val"], recipe.synthesis, recipe.seed, folder / "drawn"))

    stages = {"on_progress": _part(told, SURVEYED, TRAINED), "cancel": cancel}
    trained = train(recipe, card, cases.roles, folder, device, **stages, start_from=start, pretrained=pretrained)

    document = recipe.finished_card(cases.roles, command)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        told(TRAINED, "measuring", None)
        # Measured as it is stored, in half precision.
        stored = Path(scratch) / "model"
        save_model(stored, document, trained.network)
        model = load_model(stored)
    progress = EvaluationProgress(len(cases.roles["val"]), 1, _part(told, TRAINED, 1, "measuring "), cancel)
    predictor = Predictor(model, device.split(",")[0])
    (scores,), pictures = measure_cases([predictor], cases.roles["val"], progress, recipe.ignored_label)
    check_cancel(cancel, "measuring")
    told(1.0, "writing model and report", None)
    report = folder / "report.html"
    write_training_report(report, folder, trained, scores, pictures, recipe.notes)
    for name, text in tables(scores).items():
        write_text(folder / name, text)
    thumbnail = draw_thumbnail(predictor, cases.roles["val"], scores, cancel)
    save_model(output, {**document, "accuracy": accuracy_entries(scores, document, command)}, trained.network, thumbnail)
    told(1.0, "done", 0.0)
    return TrainedModel(output, report, scores, trained.epoch, (*recipe.notes, *trained.notes))


def plan_training(
    cases: CaseSet,
    network: str,
    output: str | os.PathLike,
    folder: Path,
    *,
    device: str = "auto",
    hours: float | None = None,
    start_from: str | os.PathLike | None = None,
    synthesis: Synthesis | None = None,
    on_progress: OnProgress | None = None,
    cancel: Cancel | None = None,
    **options: Any,
) -> Path:
    """Look at all cases and write `survey.json` and `plan.json` into a folder; the path of the plan. Arguments and errors as of `train_model`.

    Where images are drawn, `examples.html` there shows what the network will see.
    """
    start = None if start_from is None else Card.load(find_model(start_from) / CARD_NAME)
    model_id = _model_id(Path(output))
    told = on_progress or _tell_nobody
    looking = _part(told, 0, 1, "looking at ")
    if synthesis is None:
        survey, drawing = make_survey(cases, looking, cancel), None
    else:
        survey = make_survey(cases, looking, cancel, lambda case: read_or_draw(case, synthesis, options.get("seed") or 0))
        check_pairs(survey.train, survey.label_names)
        drawing = synthesis.document
    told(1.0, "planning", None)
    check_cancel(cancel, "planning")
    budget = Budget.measure(device.split(",")[0], HOURS if hours is None else hours)
    planned = {name: value for name, value in options.items() if value is not None}
    plan = make_plan(survey, network, model_id, budget, start_from=start, synthesis=drawing, cancel=cancel, **planned)
    asked = {"network": network, "hours": budget.hours, "start_from": _name_of(start_from), "synthesis": synthesis, **options}
    plan[MADE_FOR] = {**made_for(cases, asked), "cases": {role: [case.id for case in survey.cases if case.role == role] for role in ROLES}}
    folder.mkdir(parents=True, exist_ok=True)
    write_survey(survey, folder / "survey.json")
    write_plan(plan, folder / "plan.json")
    if synthesis is not None:
        _write_examples(Recipe.load(folder / "plan.json"), cases, folder)
    return folder / "plan.json"


def _write_examples(recipe: Recipe, cases: CaseSet, folder: Path) -> None:
    _import_parts()
    from .synthesis.examples import write_examples

    write_examples(recipe, cases, folder, folder / "examples.html")


def accuracy_entries(scores: Scores, document: dict[str, Any], command: str) -> list[dict[str, Any]]:
    """The entries `accuracy` of a card: the mean Dice of each label that a case has, and of the labels."""
    data = f"{document['training_data'][0]['name']}, validation cases"
    dice = {name: by_metric["dice"] for name, by_metric in scores.summary().items()}
    return [
        {
            "data": data,
            "label": "mean of the labels" if name == MEAN else name,
            "metric": "Dice",
            "value": round(numbers["mean"], 4),
            "cases": numbers["n"],
            "command": command,
        }
        for name, numbers in dice.items()
        if numbers["n"]
    ]


def draw_thumbnail(predictor: Predictor, cases: Sequence[Case], scores: Scores, cancel: Cancel | None = None) -> bytes | None:
    """A PNG of what the model finds in the case that it did best on, without any intensity of the scan; None where it finds nothing."""
    from ..reporting.silhouette import draw_silhouette

    for n in np.argsort(-mean_of_labels(scores.values)[:, DICE]):
        image, reference, _ = read_labelled(cases[n])
        # Without a label there, finding nothing was right.
        if reference.voxels.any():
            prediction = predictor(image, attention=False, cancel=cancel)
            return draw_silhouette(prediction.labels, {label.value: label.color for label in scores.card.labels})
    return None


def _name_of(model: str | os.PathLike | None) -> str | None:
    """The id of a model or the name of its folder, which says more than where the folder lies."""
    return None if model is None else Path(model).name


def _remove_training(folder: Path) -> None:
    for path in (folder / name for name in LEFT_BEHIND):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def _check_plan(card: Card, path: Path, cases: CaseSet, recipe: Recipe) -> None:
    msg = None
    channels = max(1, len(cases.roles["train"][0].images))
    drawn = not cases.roles["train"][0].images
    if drawn != (recipe.synthesis is not None):
        told = "label maps without scans, and it has no synthesis" if drawn else "scans, and it draws images from label maps alone"
        msg = f"The plan {path} does not suit the data: the cases to learn from are {told}; choose the plan made for it."
    elif len(card.inputs) != channels:
        msg = f"The plan {path} is for {len(card.inputs)} scan(s) of a case, and the data has {channels}; choose the plan made for it."
    if msg:
        raise InputError(msg)


def _model_id(output: Path) -> str:
    name = id_of(output.name)
    if not name:
        msg = f"The name of the model folder {output} has no letter or digit for the id of the model; choose another name."
        raise InputError(msg)
    return name


def _part(told: OnProgress, start: float, end: float, doing: str = "") -> OnProgress:
    """Tells of a part of a run as of the whole: what it does with a case, and not that it is done."""

    def tell(fraction: float, stage: str, seconds_left: float | None) -> None:
        if fraction < 1 or not doing:
            told(start + (end - start) * fraction, f"{doing}{stage}", seconds_left)

    return tell


def _tell_nobody(_fraction: float, _stage: str, _seconds_left: float | None) -> None: ...


def _import_parts() -> tuple[Callable[..., Any], Callable[..., None]]:
    """`train` and `write_training_report`. Raises InputError where lightning or matplotlib, which nothing else here needs, is missing."""
    try:
        from .report import write_training_report
        from .trainer import train
    except ModuleNotFoundError as error:
        if error.name not in ("lightning", "matplotlib"):
            raise
        msg = f"Training needs the package {error.name}, which is not installed; run: pip install {error.name} tensorboard"
        raise InputError(msg) from error
    return train, write_training_report
