"""Making the plan of a training, and checking it against the cases."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..datasets import CaseSet
from ..datasets.case_set import rescaled_cases
from ..datasets.cases import ROLES
from ..datasets.label_maps import check_pairs
from ..datasets.survey import make_survey, write_survey
from ..errors import InputError
from ..models import Card, find_model
from ..models.card import CARD_NAME
from ..models.titles import id_of
from ..planning.budget import Budget
from ..planning.plan import make_plan, write_plan
from ..planning.plan_options import PlanOptions
from ..progress import check_cancel
from .found_regions import check_finding, surveyed_regions
from .initial_weights import InitialWeights
from .options import TrainingOptions
from .parts import check_parts, part_of
from .plan_match import MADE_FOR, made_for
from .recipe import Recipe
from .synthesis.scans import read_or_draw

if TYPE_CHECKING:
    from ..progress import Cancel, OnProgress

PLAN_NAME = "plan.json"
HOURS = 3.0


def plan_training(
    cases: CaseSet,
    network: str,
    output: str | os.PathLike,
    folder: Path,
    *,
    on_progress: OnProgress | None = None,
    cancel: Cancel | None = None,
    **options: Any,
) -> Path:
    """Survey all cases, write `survey.json` and `plan.json` into a folder, and return the path of the plan. For the rest see `train_model`.

    With synthesis, `examples.html` there shows patches as the network will see them.
    """
    asked = TrainingOptions(**options)
    initial = initial_weights(asked)
    initial.check(network, asked.backbone, asked.slices, asked.main_device)
    start = None if initial.start_from is None else Card.load(initial.start_from / CARD_NAME)
    model_id, synthesis, finding = new_id(Path(output)), asked.synthesis, asked.finding
    cases = rescaled_cases(cases) if asked.rescale else cases
    given, region, modality = cases, None, asked.modality
    if finding is not None:
        modalities = check_finding(finding, cases, modality or (start.inputs[0].modality if start else None), asked.region)
        modality = modalities[0]
        given, cases, region = surveyed_regions(cases, finding, modalities, folder, asked.main_device, part_of(on_progress, 0, 0.5), cancel)
    looking = part_of(on_progress, 0, 1, "looking at ")
    if synthesis is None:
        survey = make_survey(cases, looking, cancel)
    else:
        survey = make_survey(cases, looking, cancel, lambda case: read_or_draw(case, synthesis, asked.seed or 0))
        check_pairs(survey.train, survey.label_names)
    if on_progress is not None:
        on_progress(1.0, "planning", None)
    check_cancel(cancel, "planning")
    hours = HOURS if asked.hours is None else asked.hours
    asked, budget = replace(asked, hours=hours), Budget.measure(asked.main_device, hours)
    drawing = None if synthesis is None else synthesis.document
    choices = PlanOptions(start_from=start, synthesis=drawing, found=region, **{**asked.of_plan, "modality": modality})
    plan = make_plan(survey, network, model_id, budget, choices, cancel)
    planned = {channel["modality"] for channel in plan["card"]["inputs"]}
    if asked.rescale and "CT" not in planned:
        msg = f"HU + 1024 is for CT (--rescale), and the scans are taken for {', '.join(sorted(planned))}; leave it out, or say --modality CT."
        raise InputError(msg)
    plan["training"] |= {"rescale": True} if asked.rescale else {}
    roles = {role: [case.id for case in survey.cases if case.role == role] for role in ROLES}
    if region is not None:
        roles = {role: [case.id for case in given.roles[role]] for role in ROLES}
    plan[MADE_FOR] = {**made_for(given, asked.asked(network, model_id)), "cases": roles}
    folder.mkdir(parents=True, exist_ok=True)
    write_survey(survey, folder / "survey.json")
    write_plan(plan, folder / PLAN_NAME)
    if synthesis is not None:
        _write_examples(Recipe.load(folder / PLAN_NAME), cases, folder)
    return folder / PLAN_NAME


def initial_weights(asked: TrainingOptions) -> InitialWeights:
    """The initial weights that were asked for. Raises InputError if there is no such model to start from."""
    return InitialWeights(None if asked.start_from is None else find_model(asked.start_from), asked.pretrained)


def check_plan(card: Card, path: Path, cases: CaseSet, recipe: Recipe) -> None:
    """Raise InputError unless the plan at a path, with its card and settings, suits the cases."""
    msg = None
    channels = max(1, len(cases.roles["train"][0].images))
    drawn = not cases.roles["train"][0].images
    if drawn != (recipe.synthesis is not None):
        given = "label maps without scans, and it has no synthesis" if drawn else "scans, and it synthesizes images from label maps"
        msg = f"The plan {path} does not suit the data: the training cases are {given}; choose the plan made for it."
    elif len(card.scans) != channels:
        msg = f"The plan {path} is for {len(card.scans)} scan(s) of a case, and the data has {channels}; choose the plan made for it."
    if msg:
        raise InputError(msg)


def new_id(output: Path) -> str:
    """The id of the model that is written to a folder. Raises InputError if its name gives none."""
    name = id_of(output.name)
    if not name:
        msg = f"The name of the model folder {output} has no letter or digit for the id of the model; choose another name."
        raise InputError(msg)
    return name


def _write_examples(recipe: Recipe, cases: CaseSet, folder: Path) -> None:
    check_parts()
    from .synthesis.examples import write_examples

    write_examples(recipe, cases, folder, folder / "examples.html")
