"""Planning of the length of a training: epochs, steps per epoch, and validations."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor, log10, prod
from typing import Any

import numpy as np

from ..datasets.survey import Survey
from ..errors import InputError
from .budget import BACKWARD, Budget
from .network import BATCH, STEPS_WANTED, NetworkPlan

MOST_STEPS = 25_000
EPOCHS = 50
LONGEST_EPOCH, SHORTEST_EPOCH = 250, 25
# Fraction of the training time that validation may take.
VALIDATION_SHARE = 0.15
# Validations needed to choose the best epoch, unless they take more than this fraction of the hours; the last epoch is always validated.
VALIDATIONS, LONGEST_VALIDATIONS = 5, 0.4
# Time before the first step and after the last one.
START_SECONDS = 60
# Overlap of patches in validation and in the model, because the network has little context at the edges of a patch.
OVERLAP = 0.5


def plan_length(found: NetworkPlan, survey: Survey, field: np.ndarray, budget: Budget, notes: list[str], dimensions: int = 3) -> dict[str, Any]:
    """Epochs, steps per epoch, and how often to validate. Raises InputError if there is no time for the shortest training."""
    cases, batch = survey.train, batch_size(survey.train, dimensions)
    step_seconds = found.step_seconds + found.waiting_seconds
    pass_steps = ceil(len(cases) / batch)
    stride = np.maximum(1, np.multiply(found.patch, 1 - OVERLAP))
    windows = prod(ceil(max(n - p, 0) / s) + 1 for n, p, s in zip(field, found.patch, stride))
    checked = (len(survey.cases) - len(cases)) * windows * found.step_seconds / (BACKWARD * batch)
    least = START_SECONDS + EPOCHS * step_seconds + checked
    # Not checked for estimates, which are rather too long.
    if budget.device is not None and least > 3600 * budget.hours:
        msg = (
            f"A training takes at least {_two_digits(least / 3600)} hours here ({EPOCHS} steps of {step_seconds:.2g} s and a "
            f"validation of {checked:.2g} s), and {budget.hours:g} were given; give more hours, use a GPU, or take smaller or fewer scans."
        )
        raise InputError(msg)
    validations = int(np.clip(LONGEST_VALIDATIONS * 3600 * budget.hours / max(checked, 1e-9), 1, VALIDATIONS))
    seconds = min(budget.training_seconds, 3600 * budget.hours - START_SECONDS - validations * checked)
    steps = min(MOST_STEPS, max(EPOCHS, int(seconds / step_seconds)))
    one_pass = SHORTEST_EPOCH <= pass_steps <= LONGEST_EPOCH
    epoch_steps = pass_steps if one_pass else min(LONGEST_EPOCH, max(1, steps // EPOCHS))
    epochs = max(1, steps // epoch_steps)
    every = int(np.clip(ceil(checked / (VALIDATION_SHARE * epoch_steps * step_seconds)), 1, max(1, epochs // validations)))
    hours = epochs * epoch_steps * step_seconds / 3600
    notes.append(
        f"{epochs} epochs of {epoch_steps} steps, validated every {every}: about {hours:.2g} hours on this {budget.kind.upper()} at "
        f"{step_seconds:.2g} s a step, {'a high estimate' if budget.device is None else 'as measured'}, plus validation."
    )
    if epochs * epoch_steps < STEPS_WANTED:
        notes.append(
            f"{epochs * epoch_steps} steps are few for a training from scratch ({STEPS_WANTED} or more are usual); more hours or a GPU would help."
        )
    return {"epochs": epochs, "steps_per_epoch": None if one_pass else epoch_steps, "validate_every": every}


def batch_size(cases: Sequence[object], dimensions: int = 3) -> int:
    """Patches per step; in 3D at most the number of cases, in 2D not, because a case has many slices."""
    return min(BATCH[3], len(cases)) if dimensions == 3 else BATCH[dimensions]


def _two_digits(number: float) -> str:
    """A number rounded up, so that the stated time suffices."""
    power = 10.0 ** (floor(log10(number)) - 1)
    return f"{ceil(number / power) * power:.2g}"
