"""Recipes: the preliminary card of a model and the settings of its training, in one JSON file."""

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
from ..planning.plan_options import LARGEST_SEED
from .synthesis.settings import Synthesis

SCHEDULES = ("cosine", "polynomial")
AUGMENTATIONS = ("light", "default", "strong")


@dataclass(frozen=True)
class Recipe:
    """Settings of one training.

    Attributes:
        card: the model card without weights and accuracy, which are added after the training.
        patch_size: voxels of a training patch along the working axes.
        batch_size: patches per step, over all devices.
        epochs: number of epochs; after each one a checkpoint is written.
        learning_rate: peak of the schedule.
        weight_decay: of AdamW.
        average_decay: decay per step of the moving average of the weights, which becomes the model.
        mirror_axes: working axes along which scans are mirrored at random.
        seed: of weights, order and augmentation.
        class_weights: of background and each label in the loss, against imbalance; all equal when left out.
        dice_weight: of the Dice in the loss, relative to the cross-entropy.
        steps_per_epoch: steps per epoch; when left out, as many as one pass over the training cases takes.
        schedule: decay of the learning rate to zero after the warm-up: `cosine` or `polynomial` (the remaining fraction to the power of 0.9).
        gradient_clip: largest norm of the gradient; no limit when null.
        mirror_swaps: pairs of label values that are exchanged when a scan is mirrored from left to right, such as those of paired organs.
        rescale: whether to subtract 1024 from scans that look like CT stored as HU + 1024.
        ignored_label: the ignore label of the label maps; its voxels count neither in the loss nor in the Dice.
        foreground_share: fraction of the patches that are taken around a voxel of a label, each label of the scan equally likely; the rest is taken
            anywhere. Models for regions use the center of their scans instead.
        augmentation: strength of random changes of patches: `light`, `default` or `strong`.
        validate_every: epochs between validations; the last epoch is always validated.
        synthesis: how images are synthesized from label maps, without `augmentation`; null if cases have images.
        patience: epochs without a better validation after which the training ends early; never when null.
        notes: sentences of the plan; stored beside the settings in the file.

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
    rescale: bool = False
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
            "seed": self.seed == 0 or (_is_count(self.seed) and self.seed <= LARGEST_SEED),
            "class_weights": self.class_weights is None or _are_weights(self.class_weights),
            "dice_weight": _is_number(self.dice_weight) and self.dice_weight >= 0,
            "steps_per_epoch": self.steps_per_epoch is None or _is_count(self.steps_per_epoch),
            "schedule": self.schedule in SCHEDULES,
            "gradient_clip": self.gradient_clip is None or (_is_number(self.gradient_clip) and self.gradient_clip > 0),
            "mirror_swaps": _are_pairs(self.mirror_swaps),
            "ignored_label": self.ignored_label is None or isinstance(self.ignored_label, int),
            "rescale": isinstance(self.rescale, bool),
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
        """Read a recipe. Raises InputError if it is unreadable or incomplete, or a setting is out of range."""
        try:
            document = json.loads(Path(path).read_text(encoding="utf-8"))
            settings = {name: _tuples(value) for name, value in document["training"].items()}
            if settings.get("synthesis") is not None:
                settings["synthesis"] = Synthesis.from_document(settings["synthesis"])
            return cls(card=dict(document["card"]), **settings, notes=tuple(map(str, document.get("notes", ()))))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            ways = f"make a new plan (--restart), or start from one of those in {Path(__file__).parent / 'recipes'}"
            msg = f"The recipe {path} cannot be used ({error!r}); {ways}."
            raise InputError(msg) from error

    def draft_card(self) -> Card:
        """The validated card, with placeholders for checksum and size of the weights."""
        # Sides and mirror images are those of the training.
        more = {"training": self.settings} if self.card.get("mirrored") or self.card.get("postprocessing", {}).get("separate_sides") else {}
        return Card.from_document(with_weights({**self.card, **more}, "0" * 64, 1), "the card of the recipe")

    @property
    def drawing(self) -> Synthesis:
        """`synthesis` of a recipe that has it. Raises ValueError for another."""
        if self.synthesis is None:
            msg = "The recipe is for cases with images."
            raise ValueError(msg)
        return self.synthesis

    @property
    def settings(self) -> dict[str, Any]:
        """Everything except the card and the notes, as JSON types."""
        settings = {field.name: getattr(self, field.name) for field in fields(self) if field.name not in ("card", "notes")}
        # Left out if off, so that trainings without this setting can be resumed.
        settings = settings if self.rescale else {name: value for name, value in settings.items() if name != "rescale"}
        return settings if self.synthesis is None else {**settings, "synthesis": self.synthesis.document}

    def finished_card(self, cases: dict[str, list[Case]], command: str) -> dict[str, Any]:
        """The card with the documentation of the training: command, settings and ids of the cases. Weights are filled in when it is saved."""
        ids = {f"{role}_cases": [case.id for case in cases[role]] for role in ROLES}
        return {**self.card, "training": {"command": command, **self.settings, **ids}}


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _are_weights(values: object) -> bool:
    return isinstance(values, (list, tuple)) and all(_is_number(value) and value > 0 for value in values)


def _are_pairs(swaps: object) -> bool:
    """Whether these are pairs of label values without duplicates."""
    if not isinstance(swaps, tuple) or not all(isinstance(pair, tuple) and len(pair) == 2 for pair in swaps):
        return False
    values = [value for pair in swaps for value in pair]
    return all(_is_count(value) for value in values) and len(set(values)) == len(values)


def _tuples(value: Any) -> Any:
    """Lists of JSON as tuples."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
