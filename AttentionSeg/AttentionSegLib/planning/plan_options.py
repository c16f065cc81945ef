"""What a user can say about a plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import InputError
from ..models import Card

# A year.
MOST_HOURS = 8760
# What every generator of random numbers takes.
LARGEST_SEED = 2**32 - 1


def check_hours_and_seed(hours: float | None, seed: int | None) -> None:
    """Raise InputError if one of them is out of range; None for those left out."""
    msg = None
    if hours is not None and not 0 < hours <= MOST_HOURS:
        msg = f"A training cannot take {hours:g} hours; give a number above 0 and up to {MOST_HOURS}."
    elif seed is not None and not 0 <= seed <= LARGEST_SEED:
        msg = f"The seed is {seed}; give a whole number from 0 to {LARGEST_SEED}."
    if msg:
        raise InputError(msg)


@dataclass(frozen=True)
class FoundRegion:
    """The regions of a model that are found by another one: the block `found_by` of the card, their size in mm, and the reason for it."""

    found_by: dict[str, Any]
    size: tuple[float, float, float]
    note: str


@dataclass(frozen=True)
class PlanOptions:
    """Choices of the user; the others are made from the data and the computer.

    Attributes:
        title: of the model; the names of its labels when left out.
        modality: of all channels (`CT`, `MR`, `PT`, `US`, `OT`); derived from names and intensities when left out.
        region: whether the model is for a region around a structure; decided by the size of the scans when left out.
        labels: entries of the card with names, colors and terms, such as those of a segmentation in Slicer; drafted when left out.
        license: of the weights; unstated when left out.
        slices: `axial`, `coronal` or `sagittal` for a 2D network on the slices of the scans, `none` for a 3D network. When left out, decided by the
            data: 2D if cases are single slices, or slices are far apart.
        context: neighboring slices on each side that a 2D network gets as further inputs; none when left out.
        backbone: such as `resnet101`, for the network as published with this backbone and its pretrained weights; when left out, the size is chosen
            by data and computer.
        start_from: model whose weights the training starts from; its network, grid and normalization are kept.
        found: the regions, if another model finds them; the cases are then crops of that size.
        synthesis: how images are synthesized from label maps; None if cases have scans.
        seed: of weights, order and augmentation.
    """

    title: str | None = None
    modality: str | None = None
    region: bool | None = None
    labels: Sequence[dict[str, Any]] | None = None
    license: str | None = None
    slices: str | None = None
    context: int | None = None
    backbone: str | None = None
    start_from: Card | None = None
    found: FoundRegion | None = None
    synthesis: dict[str, Any] | None = None
    seed: int = 0
