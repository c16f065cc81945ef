"""How a shipped model is made: a card in waiting and the settings of its training, in one JSON file."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ..datasets.cases import ROLES, Case
from ..errors import InputError
from ..models import Card
from ..models.card import with_weights
from .synthesis.settings import Synthesis

SCHEDULES = ("cosine", "polynomial")
AUGMENTATIONS = ("light", "default", "strong")


@dataclass(frozen=True)
class Recipe:
    """Settings of one training.

    Attributes:
        card: the model card without weights and accuracy, which are known only afterwards.
        patch_size: voxels of a training patch along the working axes.
        batch_size: patches per step, over all devices.
        epochs: how often the training comes to a pause in which it is checked and saved.
        learning_rate: peak of the schedule.
        weight_decay: of AdamW.
        average_decay: decay per step of the moving average of the weights, which is what is kept.
        mirror_axes: working axes along which a scan may be mirrored and still be right.
        seed: of weights, order and augmentation.
        class_weights: of background and each label in the loss, against imbalance; all the same when left out.
        dice_weight: of the Dice in the loss, against the cross-entropy.
        steps_per_epoch: steps of an epoch; when left out, as many as pass once over the training cases.
        schedule: how the learning rate falls to zero after its warm-up, `cosine` or `polynomial` (the 0.9th power of what is left).
        gradient_clip: largest norm of the gradient; not limited when null.
        mirror_swaps: pairs of label values that are exchanged when a scan is mirrored from left to right, such as those of paired organs.
        ignored_label: value in the label maps of voxels that nobody has judged; they count neither in the loss nor in the Dice.
        foreground_share: share of the patches that are taken around a voxel of a label, each label of the scan equally likely; the rest is taken
            anywhere. Models for regions take the middle of their scans instead.
        augmentation: how much patches are changed at random: `light`, `default` or `strong`.
        validate_every: epochs from one validation to the next; the last epoch is always validated.
        synthesis: how images are drawn from label maps alone; cases have images of their own when null. `augmentation` has no effect then.
        patience: epochs without a better validation after which the training ends early; never when null.
        notes: sentences of the plan; not among the settings in the file, but beside them.

    Raises:
        ValueError: if a setting is out of range.
    """

    card: dict[str, Any]
    patch_size: tuple[int, int, int]
    batch_size: int
    epochs: int
    learning_rate: float
    weight_decay: float
    average_decay: float
    mirror_axes: tuple[int, ...]
    seed: int
    class_weights: tuple[float, ...] | None = None
    dice_weight: float = 1.0
    steps_per_epoch: int | None = None
    schedule: str = "cosine"
    gradient_clip: float | None = 1.0
    mirror_swaps: tuple[tuple[int, int], ...] = ()
    ignored_label: int | None = None
    foreground_share: float = 0.5
    augmentation: str = "default"
    validate_every: int = 5
    patience: int | None = None
    synthesis: Synthesis | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        right = {
            "patch_size": len(self.patch_size) == 3 and all(_is_count(size) for size in self.patch_size),
            "batch_size": _is_count(self.batch_size),
            "epochs": _is_count(self.epochs),
            "learning_rate": _is_number(self.learning_rate) and self.learning_rate > 0,
            "weight_decay": _is_number(self.weight_decay) and self.weight_decay >= 0,
            "average_decay": _is_number(self.average_decay) and 0 <= self.average_decay < 1,
            "mirror_axes": all(axis in (0, 1, 2) for axis in self.mirror_axes) and len(set(self.mirror_axes)) == len(self.mirror_axes),
            "seed": self.seed == 0 or _is_count(self.seed),
            "class_weights": self.class_weights is None or _are_weights(self.class_weights),
            "dice_weight": _is_number(self.dice_weight) and self.dice_weight >= 0,
            "steps_per_epoch": self.steps_per_epoch is None or _is_count(self.steps_per_epoch),
            "schedule": self.schedule in SCHEDULES,
            "gradient_clip": self.gradient_clip is None or (_is_number(self.gradient_clip) and self.gradient_clip > 0),
            "mirror_swaps": _are_pairs(self.mirror_swaps),
            "ignored_label": self.ignored_label is None or isinstance(self.ignored_label, int),
            "foreground_share": _is_number(self.foreground_share) and 0 <= self.foreground_share <= 1,
            "augmentation": self.augmentation in AUGMENTATIONS,
            "validate_every": _is_count(self.validate_every),
            "patience": self.patience is None or _is_count(self.patience),
        }
        for name, is_right in right.items():
            if not is_right:
                msg = f"{name} is {getattr(self, name)!r}, out of range"
                raise ValueError(msg)

    @classmethod
    def load(cls, path: Path) -> Recipe:
        """Read a recipe. Raises InputError when it is unreadable, incomplete or has a setting out of range."""
        try:
            document = json.loads(Path(path).read_text(encoding="utf-8"))
            settings = {name: _tuples(value) for name, value in document["training"].items()}
            if settings.get("synthesis") is not None:
                settings["synthesis"] = Synthesis.from_document(settings["synthesis"])
            return cls(card=dict(document["card"]), **settings, notes=tuple(map(str, document.get("notes", ()))))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            msg = f"The recipe {path} cannot be used ({error!r}); start from one of those in {Path(__file__).parent / 'recipes'}."
            raise InputError(msg) from error

    def draft_card(self) -> Card:
        """The validated card, with placeholders for what only the finished weights tell."""
        return Card.from_document(with_weights(self.card, "0" * 64, 1), "the card of the recipe")

    @property
    def settings(self) -> dict[str, Any]:
        """Everything but the card and the notes, as JSON has it."""
        settings = {field.name: getattr(self, field.name) for field in fields(self) if field.name not in ("card", "notes")}
        return settings if self.synthesis is None else {**settings, "synthesis": self.synthesis.document}

    def finished_card(self, cases: dict[str, list[Case]], command: str) -> dict[str, Any]:
        """The card with how it was trained: command, settings and the ids of the cases. Weights are filled in when it is saved."""
        ids = {f"{role}_cases": [case.id for case in cases[role]] for role in ROLES}
        return {**self.card, "training": {"command": command, **self.settings, **ids}}


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _are_weights(values: object) -> bool:
    return isinstance(values, (list, tuple)) and all(_is_number(value) and value > 0 for value in values)


def _are_pairs(swaps: object) -> bool:
    """Whether these are pairs of label values, none of which stands twice."""
    if not isinstance(swaps, tuple) or not all(isinstance(pair, tuple) and len(pair) == 2 for pair in swaps):
        return False
    values = [value for pair in swaps for value in pair]
    return all(_is_count(value) for value in values) and len(set(values)) == len(values)


def _tuples(value: object) -> object:
    """JSON's lists as tuples."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
