"""What was measured of the maps of a model (`maps` of its card)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..map_kinds import WHY, is_at_voxel


@dataclass(frozen=True)
class MeasuredMap:
    """The short figures of a map, means of the labels.

    Attributes:
        cases: on how many they were measured.
        roc_auc: area under the ROC curve of the map as a detector of a label, 0..1.
        roc_auc_random: the same with random weights; None if not measured.
        dice_lost: fall of the Dice when the gate is held at its mean; None for other maps.
        probability_lost: fall of a voxel's probability when what it attends to is deleted, beyond that of other places; None for other maps.
    """

    cases: int
    roc_auc: float
    roc_auc_random: float | None = None
    dice_lost: float | None = None
    probability_lost: float | None = None

    @property
    def text(self) -> str:
        """The figures in plain words."""
        random = "" if self.roc_auc_random is None else f", with random weights {100 * self.roc_auc_random:.0f} %"
        sentences = [
            f"Measured on {self.cases} case(s): a voxel of the structure is brighter than another one in {100 * self.roc_auc:.0f} % of pairs "
            f"(by chance 50 %{random})."
        ]
        if self.roc_auc < 0.5:
            sentences.append("A bright place is not the structure.")
        elif self.roc_auc_random is not None and self.roc_auc <= self.roc_auc_random:
            sentences.append("It shows nothing that was learned.")
        if self.dice_lost is not None:
            falls = f"falls by {self.dice_lost:.3f}" if self.dice_lost > 0 else "does not fall"
            sentences.append(f"With this gate open evenly, the Dice {falls}.")
        if self.probability_lost is not None:
            falls = f"falls by {self.probability_lost:.3f}" if self.probability_lost > 0 else "does not fall"
            sentences.append(f"Without what a voxel attends to, its probability {falls}.")
        return " ".join(sentences)


def measured_maps(card: Mapping[str, Any]) -> dict[str, MeasuredMap]:
    """The measured maps of a card's document (`Card.raw`) by their ids; `why` stands for the explanations of all labels."""
    names = MeasuredMap.__dataclass_fields__
    return {entry["map"]: MeasuredMap(**{name: entry[name] for name in names if name in entry}) for entry in card.get("maps", ())}


def measured_map(maps: Mapping[str, MeasuredMap], name: str) -> MeasuredMap | None:
    """What was measured of the map with an id; None if nothing was, as of an explanation at a voxel."""
    return maps.get(WHY.strip() if name.startswith(WHY) and not is_at_voxel(name) else name)
