"""The inputs of a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

# Names of the inputs of a model for color images.
COLORS = ("red", "green", "blue")


@dataclass(frozen=True)
class Channel:
    """One input volume of a model: its name, its modality and how its intensities are normalized."""

    name: str
    modality: str
    normalization: dict[str, Any]

    @property
    def wrong_range(self) -> str | None:
        """What is wrong with the normalization, beyond what the schema says."""
        kind = "percentiles" if self.normalization["kind"] == "z-score" else "window"
        low, high = self.normalization[kind]
        return None if low < high else f"{kind} of {low:g} to {high:g} for the input {self.name}; the first must be below the second"


def scans_of(inputs: Sequence[Channel]) -> tuple[Channel, ...]:
    """The scans that a user has to give, one per input, or a single one if the inputs are the three channels of a color image."""
    return (replace(inputs[0], name="color image"),) if are_colors([channel.name for channel in inputs]) else tuple(inputs)


def are_colors(names: Sequence[object]) -> bool:
    """Whether these are the names of the three channels of a color image, of which one may be empty."""
    return tuple(names) == COLORS
