"""Planning of a training: from a survey of the data to a recipe, with a sentence for each choice."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np

from ..datasets.survey import Survey
from ..errors import InputError
from ..files import write_text
from ..models import Card
from ..models.card import with_weights
from ..models.titles import title_of
from ..progress import Cancel
from .arrangement import plan_arrangement
from .budget import Budget, NetworkSpec
from .fine_tuning import RATE_SHARE, check_start, network_of
from .grid import ORIENTATION, field_of_view, field_voxels, foreground_share, in_mm
from .inputs import plan_inputs
from .labels import label_entries, plan_mirroring, plan_postprocessing, plan_weights
from .network import NetworkPlan, plan_grid_and_network
from .plan_options import PlanOptions
from .schedule import OVERLAP, batch_size, plan_length
from .slices import VOLUMES, Slices, choose_slices
from .synthesis import plan_synthesis
from .timing import measured_step

LEARNING_RATE = 0.001
FEW_CASES = 30
FEW_STEPS = 2000
UNSTATED = "unstated"
# Modality of a model that was trained without scans.
ANY_MODALITY = "OT"


def make_plan(survey: Survey, network: str, model_id: str, budget: Budget, options: PlanOptions, cancel: Cancel | None = None) -> dict[str, Any]:
    """Plan a training.

    Args:
        survey: of the cases.
        network: a key of `NETWORKS`.
        model_id: of the new model: lower-case letters, digits and `-`.
        budget: memory and time (see `Budget.measure`).
        options: choices of the user.
        cancel: called in between.

    Returns:
        The recipe: the preliminary `card`, settings of the `training`, and `notes`, a sentence for each choice. It is meant to be read and edited.

    Raises:
        InputError: if the network, the id, the modality, a label or the model to start from cannot be used, or the hours are too few.
        Cancelled: if `cancel` returned True.
    """
    choices, notes = _choose(survey, network, budget, options, cancel)
    card = _card(model_id, choices)
    training = _training(choices, budget, notes)
    if UNSTATED in (card["weights"]["license"], *card["training_data"][0].values()):
        notes.append(f"Before sharing the model, replace what is '{UNSTATED}' in the card, such as the license of the data.")
    Card.from_document(with_weights(card, "0" * 64, 1), "the card of the plan")
    return {"card": card, "training": training, "notes": [*survey.notes, *notes]}


def write_plan(document: dict[str, Any], path: Path) -> None:
    """Write a recipe, completely or not at all. Raises OutputError if it cannot be written."""
    write_text(path, json.dumps(document, indent=2, ensure_ascii=False) + "\n")


@dataclass(frozen=True, eq=False)
class _Choices:
    """Choices that card and training settings are made from: labels and inputs of the card, size of the region, slices, network, spacing in mm."""

    survey: Survey
    options: PlanOptions
    labels: list[dict[str, Any]]
    inputs: list[dict[str, Any]]
    region: tuple[float, float, float] | None
    slices: Slices | None
    spec: NetworkSpec
    network: NetworkPlan
    spacing: np.ndarray


def _choose(survey: Survey, network: str, budget: Budget, options: PlanOptions, cancel: Cancel | None) -> tuple[_Choices, list[str]]:
    labels = label_entries(survey.label_names) if options.labels is None else [dict(entry) for entry in options.labels]
    _check_labels(labels, survey)
    start, modality, region, wanted = options.start_from, options.modality, options.region, options.slices
    if options.synthesis is not None:
        if wanted not in (None, VOLUMES):
            msg = "Images are synthesized from label maps for 3D networks only; leave out the slices (--slices)."
            raise InputError(msg)
        # Not decided by size: label maps may end at the labeled structures without being crops.
        modality, region, wanted = modality or ANY_MODALITY, bool(region), VOLUMES
    inputs, notes = plan_inputs(survey, modality)
    if start is not None:
        check_start(start, network, len(inputs), options.backbone)
        inputs, notes = start.raw["inputs"], []
    if options.found is None:
        size = field_of_view(survey, region, notes)
    else:
        size = options.found.size
        notes.append(options.found.note)
    slices = choose_slices(survey.cases, network, wanted, options.context, start, notes)
    context, across = (0, None) if slices is None else (slices.context, slices.axis)
    spec = NetworkSpec(network, len(inputs) * (2 * context + 1), len(labels) + 1, across, options.backbone)
    if start is None:
        found, spacing = plan_grid_and_network(survey, spec, size is not None, budget, notes, cancel)
    else:
        found, spacing = network_of(start, spec, budget, notes)
    if budget.device is not None:
        batch = batch_size(survey.train, spec.dimensions)
        step = measured_step(spec, found.arguments, spec.seen(found.patch), batch, budget.device, cancel)
        found = replace(found, step_seconds=step.seconds, waiting_seconds=step.waiting)
        notes += [step.note] if step.note else []
    return _Choices(survey, options, labels, inputs, size, slices, spec, found, spacing), notes


def _card(model_id: str, choices: _Choices) -> dict[str, Any]:
    """The card without weights and accuracy."""
    survey, options, region = choices.survey, choices.options, choices.region
    names = [entry["name"] for entry in choices.labels]
    postprocessing, _why = plan_postprocessing(choices.labels, survey.train)
    return {
        "card_version": 1,
        "id": model_id,
        "version": "1.0.0",
        "title": options.title or title_of(names),
        "description": survey.about.get("description") or f"Segments {', '.join(names)}.",
        "network": {"name": choices.spec.name, "arguments": choices.network.arguments},
        "inputs": choices.inputs,
        "spacing_mm": choices.spacing.tolist(),
        **({} if survey.spacing_known else {"spacing_known": False}),
        "orientation": ORIENTATION,
        **({} if choices.slices is None else {"slices": choices.slices.name, "context": choices.slices.context}),
        "patch_size": list(choices.network.patch),
        "overlap": OVERLAP,
        "labels": choices.labels,
        "field_of_view": {"kind": "whole"} if region is None else {"kind": "region", "size_mm": list(region)},
        **({} if options.found is None else {"found_by": options.found.found_by}),
        **plan_arrangement(choices.labels, survey.train, region is not None)[0],
        "postprocessing": postprocessing,
        "weights": {"license": options.license or UNSTATED},
        "training_data": [_training_data(survey)],
        "accuracy": [],
        "intended_use": "Research. Not a medical device: not for diagnosis or treatment.",
        "limits": [_limit(survey, options.synthesis is not None)],
    }


def _training(choices: _Choices, budget: Budget, notes: list[str]) -> dict[str, Any]:
    """The settings of the training, and a note for each choice."""
    options, network, cases, is_region = choices.options, choices.network, choices.survey.train, choices.region is not None
    field = field_voxels(cases, choices.spacing)
    across, batch = choices.spec.axis, batch_size(cases, choices.spec.dimensions)
    length = plan_length(network, choices.survey, field, budget, notes, choices.spec.dimensions)
    steps = length["epochs"] * (length["steps_per_epoch"] or ceil(len(cases) / batch))
    mirror_axes, mirror_swaps, mirroring = plan_mirroring(choices.labels, cases, is_region, across)
    weights, weighting = plan_weights(choices.labels, cases)
    share, placing = foreground_share(cases, network.patch, field, choices.spacing, is_region, across)
    known = plan_arrangement(choices.labels, cases, is_region)[1]
    notes += [mirroring, weighting, placing, plan_postprocessing(choices.labels, cases)[1], *known]
    synthesis = {}
    if options.synthesis is not None:
        synthesis["synthesis"], drawing = plan_synthesis(options.synthesis, cases, choices.spacing)
        notes.append(drawing)
    return {
        "patch_size": list(network.patch),
        "batch_size": batch,
        **length,
        "learning_rate": LEARNING_RATE if options.start_from is None else RATE_SHARE * LEARNING_RATE,
        "schedule": "cosine",
        "weight_decay": 0.01,
        "average_decay": round(float(np.clip(1 - 10 / steps, 0.9, 0.999)), 4),
        "gradient_clip": 1.0,
        "mirror_axes": mirror_axes,
        "mirror_swaps": mirror_swaps,
        "class_weights": weights,
        "dice_weight": 1.0,
        "ignored_label": choices.survey.ignored_label,
        "foreground_share": share,
        "augmentation": "strong" if len(cases) < FEW_CASES else "light" if steps < FEW_STEPS else "default",
        "patience": None,
        "seed": options.seed,
        **synthesis,
    }


def _check_labels(entries: Sequence[dict[str, Any]], survey: Survey) -> None:
    values = [entry.get("value") for entry in entries]
    if values != sorted(survey.label_names):
        msg = f"The labels given have the values {values}, but the cases {sorted(survey.label_names)}; give one entry for each, in order."
        raise InputError(msg)


def _training_data(survey: Survey) -> dict[str, Any]:
    about = survey.about
    return {
        "name": about.get("name", UNSTATED),
        "cases": len(survey.train),
        "license": about.get("license", UNSTATED),
        "citation": about.get("citation", UNSTATED),
    }


def _limit(survey: Survey, drawn: bool) -> str:
    spacing = np.array([case.spacing_mm for case in survey.train])
    if drawn:
        return f"Trained on images synthesized from {len(spacing)} label maps; not tested on scans."
    if not survey.spacing_known:
        return f"Trained on {len(spacing)} images with pixels of unknown size, taken as 1 mm wide; not tested where the size is known."
    return f"Trained on {len(spacing)} scans with voxels of {in_mm(spacing.min(0))} to {in_mm(spacing.max(0))}; not tested on others."
