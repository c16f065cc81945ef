"""How long a training is: epochs, their steps, and how often it is validated."""

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
# Of the time for training, what validation may take.
VALIDATION_SHARE = 0.15
# To choose the best epoch there must be some, unless so many take more than this share of the hours: the last epoch is always validated.
VALIDATIONS, LONGEST_VALIDATIONS = 5, 0.4
# From the start of a training to its first step, and from its last to the model.
START_SECONDS = 60
# Of a patch: at its edges a network sees little of what is around, the less so the smaller the patch.
OVERLAP = 0.5


def plan_length(found: NetworkPlan, survey: Survey, field: np.ndarray, budget: Budget, notes: list[str], dimensions: int = 3) -> dict[str, Any]:
    """Epochs, their steps, and how often to validate. Raises InputError where there is no time for the fewest of them."""
    cases, batch = survey.train, batch_size(survey.train, dimensions)
    pass_steps = ceil(len(cases) / batch)
    stride = np.maximum(1, np.multiply(found.patch, 1 - OVERLAP))
    windows = prod(ceil(max(n - p, 0) / s) + 1 for n, p, s in zip(field, found.patch, stride))
    checked = (len(survey.cases) - len(cases)) * windows * found.step_seconds / (BACKWARD * batch)
    least = START_SECONDS + EPOCHS * found.step_seconds + checked
    # An estimate alone is rather too long.
    if budget.device is not None and least > 3600 * budget.hours:
        msg = (
            f"A training takes at least {_two_digits(least / 3600)} hours here ({EPOCHS} steps of {found.step_seconds:.2g} s and a "
            f"validation of {checked:.2g} s), and {budget.hours:g} were given; give more hours, use a GPU, or take smaller or fewer scans."
        )
        raise InputError(msg)
    validations = int(np.clip(LONGEST_VALIDATIONS * 3600 * budget.hours / max(checked, 1e-9), 1, VALIDATIONS))
    seconds = min(budget.training_seconds, 3600 * budget.hours - START_SECONDS - validations * checked)
    steps = min(MOST_STEPS, max(EPOCHS, int(seconds / found.step_seconds)))
    one_pass = SHORTEST_EPOCH <= pass_steps <= LONGEST_EPOCH
    epoch_steps = pass_steps if one_pass else min(LONGEST_EPOCH, max(1, steps // EPOCHS))
    epochs = max(1, steps // epoch_steps)
    every = int(np.clip(ceil(checked / (VALIDATION_SHARE * epoch_steps * found.step_seconds)), 1, max(1, epochs // validations)))
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


def batch_size(cases: Sequence[object], dimensions: int = 3) -> int:
    """Patches in a step, of volumes or of slices, of which a case may have many."""
    return min(BATCH[3], len(cases)) if dimensions == 3 else BATCH[dimensions]


def _two_digits(number: float) -> str:
    """Rounded up: what is told as enough has to be."""
    power = 10.0 ** (floor(log10(number)) - 1)
    return f"{ceil(number / power) * power:.2g}"
