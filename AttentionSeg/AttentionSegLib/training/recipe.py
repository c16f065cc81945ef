"""How a shipped model is made: a card in waiting and the settings of its training, in one JSON file."""

from __future__ import annotations

import csv
import json
import math
from collections import Counter
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..models import Card
from ..models.card import with_weights

SCAN_ENDINGS = (".nii.gz", ".nii", ".nrrd", ".mha")
ROLES = ("train", "val")


@dataclass(frozen=True)
class Recipe:
    """Settings of one training.

    Attributes:
        card: the model card without weights and accuracy, which are known only afterwards.
        patch_size: voxels of a training patch.
        batch_size: patches per step.
        epochs: passes over the training cases.
        learning_rate: peak of the schedule (linear warm-up, then cosine to zero).
        weight_decay: of AdamW.
        average_decay: decay per step of the moving average of the weights, which is what is kept.
        mirror_axes: working axes along which a scan may be mirrored and still be right.
        seed: of weights, order and augmentation.
        class_weights: of background and each label in the loss, against imbalance; all the same when left out.
        dice_weight: of the Dice in the loss, against the cross-entropy.

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

    def __post_init__(self) -> None:
        right = {
            "patch_size": len(self.patch_size) == 3 and all(_is_count(size) for size in self.patch_size),
            "batch_size": _is_count(self.batch_size),
            "epochs": _is_count(self.epochs),
            "learning_rate": _is_number(self.learning_rate) and self.learning_rate > 0,
            "weight_decay": _is_number(self.weight_decay) and self.weight_decay >= 0,
            "average_decay": _is_number(self.average_decay) and 0 <= self.average_decay < 1,
            "mirror_axes": all(axis in (0, 1, 2) for axis in self.mirror_axes),
            "seed": self.seed == 0 or _is_count(self.seed),
            "class_weights": self.class_weights is None or _are_weights(self.class_weights),
            "dice_weight": _is_number(self.dice_weight) and self.dice_weight >= 0,
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
            settings = dict(document["training"])
            for name in ("patch_size", "mirror_axes"):
                settings[name] = tuple(settings[name])
            return cls(card=dict(document["card"]), **settings)
        except (OSError, ValueError, KeyError, TypeError) as error:
            msg = f"The recipe {path} cannot be used ({error!r}); start from one of those in {Path(__file__).parent / 'recipes'}."
            raise InputError(msg) from error

    def draft_card(self) -> Card:
        """The validated card, with placeholders for what only the finished weights tell."""
        return Card.from_document(with_weights(self.card, "0" * 64, 1), "the card of the recipe")

    def finished_card(self, cases: dict[str, list[Case]]) -> dict[str, Any]:
        """The card with how it was trained: settings and the ids of the cases. Weights are filled in when it is saved."""
        settings = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "card"}
        ids = {f"{role}_cases": [case.id for case in cases[role]] for role in ROLES}
        return {**self.card, "training": {**settings, **ids}}


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _are_weights(values: object) -> bool:
    return isinstance(values, (list, tuple)) and all(_is_number(value) and value > 0 for value in values)


@dataclass(frozen=True)
class Case:
    """One labelled scan."""

    id: str
    image: Path
    label: Path


def find_cases(images: Path, labels: Path, split: Path) -> dict[str, list[Case]]:
    """The cases of each role (`train`, `val`).

    Args:
        images: folder of scans, `<id>.nii.gz` or another scan format.
        labels: folder of label maps of the same names.
        split: CSV file with the columns `id` and `dev_role`, or `id` and `role`.

    Raises:
        InputError: if the split cannot be read, a file that it names is missing, a case is named twice, or a role has none.
    """
    try:
        with Path(split).open(newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream))
        roles = [(row["id"], row.get("role") or row["dev_role"]) for row in rows]
    except (OSError, UnicodeDecodeError, KeyError, csv.Error) as error:
        msg = f"The split {split} cannot be read ({error!r}); give a CSV file with the columns id and role."
        raise InputError(msg) from error
    twice = [case_id for case_id, count in Counter(case_id for case_id, _ in roles).items() if count > 1]
    if twice:
        msg = f"The split {split} names case {twice[0]} more than once; keep one line per case, so that none is both learned from and checked on."
        raise InputError(msg)
    cases: dict[str, list[Case]] = {}
    for case_id, role in roles:
        cases.setdefault(role, []).append(Case(case_id, _find(Path(images), case_id), _find(Path(labels), case_id)))
    for role in ROLES:
        if role not in cases:
            msg = f"The split {split} has no case of the role '{role}'; give every case one of the roles {' and '.join(ROLES)}."
            raise InputError(msg)
    return cases


def _find(folder: Path, case_id: str) -> Path:
    for ending in SCAN_ENDINGS:
        if (folder / f"{case_id}{ending}").is_file():
            return folder / f"{case_id}{ending}"
    msg = f"There is no scan of case {case_id} in {folder}; add it or take it out of the split."
    raise InputError(msg)
