"""Checks before a training starts or resumes: recipe, card, hardware and work folder must be consistent."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from torch import nn

from ..datasets.cases import ROLES, Case
from ..errors import InputError, OutputError
from ..models import Card
from .preparation import IGNORED
from .recipe import Recipe

# Settings that may change when a training is resumed.
CHANGEABLE = {"epochs", "validate_every", "patience"}
# Float32 numbers per parameter in a checkpoint: weight, average, and two moments of AdamW.
KEPT_NUMBERS = 4
CHECKPOINTS = ("last.ckpt", "best.ckpt")


def check_recipe(recipe: Recipe, card: Card, processes: int) -> None:
    """Raise InputError unless labels and batches of the recipe suit the card and the number of processes that share a batch."""
    values = range(len(card.labels) + 1)
    swapped = {value for pair in recipe.mirror_swaps for value in pair}
    msg = None
    if len(values) > IGNORED:
        msg = f"The card has {len(card.labels)} labels; a training takes up to {IGNORED - 1}."
    elif not swapped <= set(values):
        msg = f"mirror_swaps holds {sorted(swapped - set(values))}, which are not labels of the card; correct the recipe."
    elif card.slice_axis in recipe.mirror_axes:
        msg = f"mirror_axes holds {card.slice_axis}, the axis across the {card.slices} slices: along it a slice is its own mirror image; take it out."
    elif recipe.ignored_label in values:
        msg = f"ignored_label is {recipe.ignored_label}, which is background or a label of the card; choose another value for it."
    elif recipe.batch_size % processes:
        msg = f"A batch of {recipe.batch_size} patches cannot be shared by {processes} GPUs; make batch_size a multiple of their number."
    if msg:
        raise InputError(msg)


def lasting_settings(recipe: Recipe, card: Card, cases: dict[str, list[Case]]) -> dict[str, Any]:
    """The settings that must not change when a training is resumed, as JSON types."""
    settings = {name: value for name, value in recipe.settings.items() if name not in CHANGEABLE}
    network = {"network": card.network, "network_arguments": card.network_arguments, "labels": len(card.labels)}
    grid = {"inputs": card.raw["inputs"], "spacing_mm": card.spacing, "orientation": card.orientation, "slices": card.slices}
    # Left out if 0, so that trainings without this setting can be resumed.
    grid |= {"context": card.context} if card.context else {}
    ids = {f"{role}_cases": [case.id for case in cases[role]] for role in ROLES}
    return json.loads(json.dumps({**settings, **network, **grid, **ids}))


def check_same(before: dict[str, Any], now: dict[str, Any], work: Path) -> None:
    """Raise InputError, naming the differences, unless the training in a work folder has the current settings."""
    differing = [name for name in now if before.get(name) != now[name]]
    if differing:
        what = f"The work folder {work} holds a training with another {', '.join(differing)}"
        msg = f"{what}; start again (--restart), or choose another work folder."
        raise InputError(msg)


def check_room(work: Path, network: nn.Module) -> None:
    """Raise OutputError unless the disk has room for the checkpoints of a network: two that stay, and one that is being written."""
    size = KEPT_NUMBERS * sum(parameter.nbytes for parameter in network.parameters())
    there = sum((work / name).stat().st_size for name in CHECKPOINTS if (work / name).is_file())
    needed, free = (len(CHECKPOINTS) + 1) * size - there, shutil.disk_usage(work).free
    if free < needed:
        left = f"{free / 1e6:.0f} MB left, and the checkpoints need {needed / 1e6:.0f} MB"
        msg = f"The disk of {work} has {left}; make room, or choose another work folder."
        raise OutputError(msg)
