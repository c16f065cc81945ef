"""Whether a network works on volumes or on their slices, and on which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..datasets.case_statistics import CaseStatistics
from ..datasets.cases import named
from ..errors import InputError
from ..models import Card
from ..models.card import ACROSS
from ..networks import network_class
from .grid import median_spacing

# What a user may say beside the names of slices: a network of volumes, whatever the data.
VOLUMES = "none"
# Times as far apart as the pixels of a slice that slices are where a network of volumes would see little of one from the next.
THICK_SLICES = 4.0
MOST_NEIGHBORS = 16


@dataclass(frozen=True)
class Slices:
    """Slices that a 2D network is planned for.

    Attributes:
        name: a key of `ACROSS`.
        context: neighbors on each side that are further inputs.
    """

    name: str
    context: int = 0

    @property
    def axis(self) -> int:
        """Of right, anterior and superior, the axis across."""
        return ACROSS[self.name]


def choose_slices(
    cases: Sequence[CaseStatistics], network: str, told: str | None, context: int | None, start: Card | None, notes: list[str]
) -> Slices | None:
    """The slices to plan for, and why in a note; None for a network of volumes.

    Args:
        cases: of all roles.
        network: a key of `NETWORKS`.
        told: the slices, `none` for volumes; None to go by the model to start from, or else by the data.
        context: neighbors on each side; those of the model to start from, or none, when None.
        start: model to start from.
        notes: gets a sentence where it is slices.

    Raises:
        InputError: if there are no such slices, there are neighbors without slices, the model to start from or the network works on others, or
            single slices are to be cut into volumes or into other slices.
    """
    if told not in (None, VOLUMES, *ACROSS):
        msg = f"There are no slices '{told}'; choose one of {', '.join(ACROSS)}, or {VOLUMES} for a network of volumes."
        raise InputError(msg)
    if context is None:
        context = 0 if start is None else start.context
    if not 0 <= context <= MOST_NEIGHBORS:
        msg = f"A slice cannot be seen with {context} neighbors on each side; give a number from 0 to {MOST_NEIGHBORS}."
        raise InputError(msg)
    name, why = _chosen(cases, told, start)
    if name is not None and told is None and start is None and 2 not in network_class(network).dimensions and not _thin_axes(cases):
        name = None
    if name is None:
        if context:
            msg = "Neighbors of a slice (--context) are for 2D networks; name the slices (--slices axial), or leave them out."
            raise InputError(msg)
        return None
    if start is not None and (start.slices, start.context) != (name, context):
        works = "volumes" if start.slices is None else f"{start.slices} slices with {start.context} neighbors on each side"
        msg = f"The model {start.id} works on {works}, not on {name} slices with {context}; start from another model, or choose the same."
        raise InputError(msg)
    beside = f", each seen with {context} on either side" if context else ""
    notes.append(f"A 2D network on {name} slices{beside}: {why}.")
    return Slices(name, context)


def _chosen(cases: Sequence[CaseStatistics], told: str | None, start: Card | None) -> tuple[str | None, str]:
    """The name of the slices, or None, and why."""
    thin = _thin_axes(cases)
    if told is None and start is not None:
        name, why = start.slices, f"as {start.id}, which it starts from"
    elif told is not None:
        name, why = (None if told == VOLUMES else told), "as told"
    elif thin:
        name, why = next(iter(thin)), "the cases are single slices"
    else:
        name, why = _thick(cases)
    other = next((axis for axis in thin if axis != name), None)
    if other:
        wanted = "volumes" if name is None else f"{name} slices"
        msg = f"These cases are single {other} slices, not {wanted}: {named(thin[other])}; leave them out, or plan for {other} slices (--slices)."
        raise InputError(msg)
    return name, why


def _thin_axes(cases: Sequence[CaseStatistics]) -> dict[str, list[str]]:
    """The cases that are single slices, by the name of the slices."""
    found: dict[str, list[str]] = {}
    for case in cases:
        for name, axis in ACROSS.items():
            if case.shape[axis] == 1:
                found.setdefault(name, []).append(case.id)
    return found


def _thick(cases: Sequence[CaseStatistics]) -> tuple[str | None, str]:
    spacing = median_spacing(cases)
    axis = int(np.argmax(spacing))
    in_slice = float(np.delete(spacing, axis).max())
    ratio = float(spacing[axis]) / in_slice
    name = next(name for name, across in ACROSS.items() if across == axis)
    why = f"they lie {spacing[axis]:g} mm apart, {ratio:.3g} times the {in_slice:g} mm between the pixels of one (limit: {THICK_SLICES:g} times)"
    return (name if ratio > THICK_SLICES else None), why
