"""From a survey to a recipe: every choice of a training, made from the data and the computer, and said in a sentence."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from math import ceil, floor, log10, prod
from pathlib import Path
from typing import Any

import numpy as np

from ..datasets.case_statistics import CaseStatistics
from ..datasets.cases import named
from ..datasets.survey import Survey
from ..errors import InputError
from ..files import write_text
from ..inference.progress import Cancel, check_cancel
from ..models import Card
from ..models.card import with_weights
from ..models.titles import title_of
from ..networks import network_class
from .budget import BACKWARD, Budget, NetworkSpec
from .fine_tuning import RATE_SHARE, check_start, network_of
from .grid import ORIENTATION, coarser_spacing, field_voxels, larger_than_region, median_extent, median_spacing, region_size
from .inputs import plan_inputs
from .labels import label_entries, plan_mirroring, plan_postprocessing, plan_weights
from .network import BATCH, STEPS_WANTED, NetworkPlan, plan_network
from .synthesis import plan_synthesis
from .timing import measured_step

LEARNING_RATE = 0.001
MOST_STEPS = 25_000
EPOCHS = 50
LONGEST_EPOCH, SHORTEST_EPOCH = 250, 25
# Of the time for training, what validation may take.
VALIDATION_SHARE = 0.15
# Of a patch: at its edges a network sees little of what is around, the less so the smaller the patch.
OVERLAP = 0.5
# However long one takes: to choose the best epoch there must be some.
VALIDATIONS = 5
# From the start of a training to its first step, and from its last to the model.
START_SECONDS = 60
FEW_CASES = 30
FEW_STEPS = 2000
# Chance that a random patch holds a given voxel, below which so many patches are taken around labels.
FOREGROUND_SHARES = ((0.5, 0.33), (0.1, 0.5), (0.0, 0.67))
UNSTATED = "unstated"
# Of a model that has seen no real scan.
ANY_MODALITY = "OT"


def make_plan(
    survey: Survey,
    network: str,
    model_id: str,
    budget: Budget,
    *,
    title: str | None = None,
    modality: str | None = None,
    region: bool | None = None,
    labels: Sequence[dict[str, Any]] | None = None,
    license: str | None = None,
    start_from: Card | None = None,
    synthesis: dict[str, Any] | None = None,
    seed: int = 0,
    cancel: Cancel | None = None,
) -> dict[str, Any]:
    """Plan a training.

    Args:
        survey: of the cases.
        network: a key of `NETWORKS`.
        model_id: of the model in the making: lower-case letters, digits and `-`.
        budget: memory and time (see `Budget.measure`).
        title: of the model; the names of its labels when left out.
        modality: of all channels (`CT`, `MR`, `PT`, `US`, `OT`); by names and intensities when left out.
        region: whether the model is for a region around a structure; by the size of the scans when left out.
        labels: entries of the card with names, colors and terms, such as a segmentation in Slicer has; drafted when left out.
        license: of the weights, for whoever the model is given to; unstated when left out.
        start_from: model whose weights the training starts from; its network, grid and normalization are kept.
        synthesis: how images are drawn from label maps alone; None where cases have scans.
        seed: of weights, order and augmentation.
        cancel: asked in between.

    Returns:
        The recipe: `card` in waiting, settings of the `training`, and `notes`, a sentence for each choice. It is meant to be read and changed.

    Raises:
        InputError: if the network, the id, the modality, a label or the model to start from cannot be used, or the hours are too few.
        Cancelled: once `cancel` says so.
    """
    entries = label_entries(survey.label_names) if labels is None else [dict(entry) for entry in labels]
    _check_labels(entries, survey)
    cases = survey.train
    if synthesis is not None:
        # Label maps of a body part are no crops around it because they end where nothing is labelled.
        modality, region = modality or ANY_MODALITY, bool(region)
    inputs, notes = plan_inputs(survey, modality)
    if start_from is not None:
        check_start(start_from, network, len(inputs))
        inputs, notes = start_from.raw["inputs"], []
    size = _region(survey, region, notes)
    spec = NetworkSpec(network, len(inputs), len(entries) + 1)
    if start_from is None:
        found, spacing = _grid_and_network(survey, spec, size is not None, budget, notes, cancel)
    else:
        found, spacing = network_of(start_from, len(entries) + 1, budget, notes)
    if budget.device is not None:
        seconds = measured_step(spec, found.arguments, found.patch, _batch(cases), budget.device, cancel)
        found = replace(found, step_seconds=seconds)
    mirror_axes, mirror_swaps, mirroring = plan_mirroring(entries, cases, size is not None)
    weights, weighting = plan_weights(entries, cases)
    postprocessing, cleaning = plan_postprocessing(entries, cases)
    field = field_voxels(cases, spacing)
    share, placing = _foreground_share(cases, found.patch, field, size is not None)
    length = _length(found, survey, field, budget, notes)
    steps = length["epochs"] * (length["steps_per_epoch"] or ceil(len(cases) / _batch(cases)))
    notes += [mirroring, weighting, placing, cleaning]
    if synthesis is not None:
        synthesis, drawing = plan_synthesis(synthesis, cases, spacing)
        notes.append(drawing)
    card = {
        "card_version": 1,
        "id": model_id,
        "version": "1.0.0",
        "title": title or title_of([entry["name"] for entry in entries]),
        "description": survey.about.get("description") or f"Segments {', '.join(entry['name'] for entry in entries)}.",
        "network": {"name": network, "arguments": found.arguments},
        "inputs": inputs,
        "spacing_mm": spacing.tolist(),
        "orientation": ORIENTATION,
        "patch_size": list(found.patch),
        "overlap": OVERLAP,
        "labels": entries,
        "field_of_view": {"kind": "whole"} if size is None else {"kind": "region", "size_mm": list(size)},
        "postprocessing": postprocessing,
        "weights": {"license": license or UNSTATED},
        "training_data": [_training_data(survey, len(cases))],
        "accuracy": [],
        "intended_use": "Research. Not a medical device: not for diagnosis or treatment.",
        "limits": [_limit(survey, synthesis is not None)],
    }
    if UNSTATED in (card["weights"]["license"], *card["training_data"][0].values()):
        notes.append(f"Before the model is given to anybody, replace what is '{UNSTATED}' in the card, such as the license of the data.")
    training = {
        "patch_size": list(found.patch),
        "batch_size": _batch(cases),
        **length,
        "learning_rate": LEARNING_RATE if start_from is None else RATE_SHARE * LEARNING_RATE,
        "schedule": "cosine",
        "weight_decay": 0.01,
        "average_decay": round(float(np.clip(1 - 10 / steps, 0.9, 0.999)), 4),
        "gradient_clip": 1.0,
        "mirror_axes": mirror_axes,
        "mirror_swaps": mirror_swaps,
        "class_weights": weights,
        "dice_weight": 1.0,
        "ignored_label": survey.ignored_label,
        "foreground_share": share,
        "augmentation": "strong" if len(cases) < FEW_CASES else "light" if steps < FEW_STEPS else "default",
        "patience": None,
        "seed": seed,
        **({} if synthesis is None else {"synthesis": synthesis}),
    }
    Card.from_document(with_weights(card, "0" * 64, 1), "the card of the plan")
    return {"card": card, "training": training, "notes": [*survey.notes, *notes]}


def write_plan(document: dict[str, Any], path: Path) -> None:
    """Write a recipe to read and to change, completely or not at all. InputError if it cannot be written."""
    write_text(path, json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def _check_labels(entries: Sequence[dict[str, Any]], survey: Survey) -> None:
    values = [entry.get("value") for entry in entries]
    if values != sorted(survey.label_names):
        msg = f"The labels given have the values {values}, but the cases {sorted(survey.label_names)}; give one entry for each, in order."
        raise InputError(msg)


def _region(survey: Survey, told: bool | None, notes: list[str]) -> tuple[float, float, float] | None:
    if told is False or (told is None and region_size(survey.cases) is None):
        notes.append("Field of view: whole scans" + (", as told." if told is False else "; the scans are no crops around the labels."))
        return None
    size = median_extent(survey.cases)
    larger = larger_than_region(survey.cases, size)
    if larger:
        msg = f"A model for regions of {_mm(size)} cannot learn from scans far larger than that, such as {named(larger)}; crop all cases alike."
        raise InputError(msg)
    notes.append(f"Field of view: a region of {_mm(size)} around the structure, {'as told' if told else 'as the scans are such crops'}.")
    return size


def _grid_and_network(
    survey: Survey, spec: NetworkSpec, is_region: bool, budget: Budget, notes: list[str], cancel: Cancel | None
) -> tuple[NetworkPlan, np.ndarray]:
    cases = survey.train
    spacing, coarser = median_spacing(cases), None
    why = f"the median of {len(cases)} cases"
    while True:
        check_cancel(cancel, "planning")
        found = plan_network(spec, field_voxels(cases, spacing), spacing, is_region, budget)
        coarser = coarser_spacing(cases, spacing, found.patch)
        if coarser is None:
            break
        spacing, why = (
            coarser,
            f"coarser than the median of {len(cases)} cases ({_mm(median_spacing(cases))}), so that a patch sees enough of the largest label",
        )
    notes.append(f"Spacing {_mm(spacing)}: {why}.")
    size, mm = (" x ".join(f"{n:.4g}" for n in numbers) for numbers in (found.patch, np.multiply(found.patch, spacing)))
    notes.append(f"Patches of {size} voxels ({mm} mm), for scans of {' x '.join(map(str, field_voxels(cases, spacing)))} voxels in the median.")
    told = network_class(spec.name).size_arguments
    widths = ", ".join(f"{key} {value}" for key, value in found.arguments.items() if key in told)
    memory = found.cost.step_bytes(prod(found.patch), BATCH) / 2**30
    notes.append(f"Network {spec.name} ({widths}), {found.cost.parameters / 1e6:.2g} million parameters; a step takes about {memory:.2g} GiB.")
    if not found.fits:
        notes.append("Even the smallest patches are too much for memory or time here; use a GPU, give more hours, or expect a weak model.")
    return found, spacing


def _length(found: NetworkPlan, survey: Survey, field: np.ndarray, budget: Budget, notes: list[str]) -> dict[str, Any]:
    """Epochs, their steps, and how often to validate. Raises InputError where there is no time for the fewest of them."""
    cases = survey.train
    pass_steps = ceil(len(cases) / _batch(cases))
    stride = np.multiply(found.patch, 1 - OVERLAP)
    windows = prod(ceil(max(n - p, 0) / s) + 1 for n, p, s in zip(field, found.patch, stride))
    checked = (len(survey.cases) - len(cases)) * windows * found.step_seconds / (BACKWARD * _batch(cases))
    least = START_SECONDS + EPOCHS * found.step_seconds + VALIDATIONS * checked
    # An estimate alone is rather too long.
    if budget.device is not None and least > 3600 * budget.hours:
        msg = (
            f"A training takes at least {_two_digits(least / 3600)} hours here ({EPOCHS} steps of {found.step_seconds:.2g} s and {VALIDATIONS} "
            f"validations of {checked:.2g} s), and {budget.hours:g} were given; give more hours, use a GPU, or take smaller or fewer scans."
        )
        raise InputError(msg)
    seconds = min(budget.training_seconds, 3600 * budget.hours - START_SECONDS - VALIDATIONS * checked)
    steps = min(MOST_STEPS, max(EPOCHS, int(seconds / found.step_seconds)))
    one_pass = SHORTEST_EPOCH <= pass_steps <= LONGEST_EPOCH
    epoch_steps = pass_steps if one_pass else min(LONGEST_EPOCH, max(1, steps // EPOCHS))
    epochs = max(1, steps // epoch_steps)
    every = int(np.clip(ceil(checked / (VALIDATION_SHARE * epoch_steps * found.step_seconds)), 1, max(1, epochs // VALIDATIONS)))
    hours = epochs * epoch_steps * found.step_seconds / 3600
    notes.append(
        f"{epochs} epochs of {epoch_steps} steps, validated every {every}: about {hours:.2g} hours on this {budget.kind.upper()} at "
        f"{found.step_seconds:.2g} s a step, {'estimated rather too long' if budget.device is None else 'as tried out'}, plus validation."
    )
    if epochs * epoch_steps < STEPS_WANTED:
        notes.append(
            f"{epochs * epoch_steps} steps are few for a training from nothing ({STEPS_WANTED} or more are usual); more hours or a GPU would help."
        )
    return {"epochs": epochs, "steps_per_epoch": None if one_pass else epoch_steps, "validate_every": every}


def _foreground_share(cases: Sequence[CaseStatistics], patch: Sequence[int], field: np.ndarray, is_region: bool) -> tuple[float, str]:
    """The share of patches around a label, higher the less a patch shows of a scan, and a sentence."""
    if is_region:
        return 0.0, "Patches lie about the middle of the crops."
    seen = prod(np.minimum(1, patch / field))
    labelled = np.median([sum(label.voxels for label in case.labels.values()) / prod(case.shape) for case in cases])
    share = next(share for least, share in FOREGROUND_SHARES if seen >= least)
    return share, (
        f"{100 * share:.0f} % of the patches are taken around a label, the rest anywhere: the labels take {100 * labelled:.2g} % of a scan, "
        f"and a patch shows {100 * seen:.2g} % of it."
    )


def _batch(cases: Sequence[object]) -> int:
    return min(BATCH, len(cases))


def _training_data(survey: Survey, cases: int) -> dict[str, Any]:
    about = survey.about
    return {
        "name": about.get("name", UNSTATED),
        "cases": cases,
        "license": about.get("license", UNSTATED),
        "citation": about.get("citation", UNSTATED),
    }


def _limit(survey: Survey, drawn: bool) -> str:
    spacing = np.array([case.spacing_mm for case in survey.train])
    if drawn:
        return f"Trained on images drawn from {len(spacing)} label maps; not checked on scans."
    return f"Trained on {len(spacing)} scans with voxels of {_mm(spacing.min(0))} to {_mm(spacing.max(0))}; not checked on others."


def _two_digits(number: float) -> str:
    """Rounded up: what is told as enough has to be."""
    power = 10.0 ** (floor(log10(number)) - 1)
    return f"{ceil(number / power) * power:.2g}"


def _mm(size: Sequence[float]) -> str:
    return " x ".join(f"{s:.4g}" for s in size) + " mm"
