"""Planning of the dimensions: a 3D network, or a 2D network on axial, coronal or sagittal slices."""

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

# The user's choice of a 3D network, beside the names of slices.
VOLUMES = "none"
# Ratio of the distance between slices to that of their pixels from which on a 2D network is planned.
THICK_SLICES = 4.0
MOST_NEIGHBORS = 16


@dataclass(frozen=True)
class Slices:
    """Slices of a 2D network.

    Attributes:
        name: a key of `ACROSS`.
        context: neighboring slices on each side that are further inputs.
    """

    name: str
    context: int = 0

    @property
    def axis(self) -> int:
        """The axis perpendicular to the slices, among right, anterior and superior."""
        return ACROSS[self.name]


def choose_slices(
    cases: Sequence[CaseStatistics], network: str, wanted: str | None, context: int | None, start: Card | None, notes: list[str]
) -> Slices | None:
    """The slices to plan for; None for a 3D network.

    Args:
        cases: of all roles.
        network: a key of `NETWORKS`.
        wanted: slices chosen by the user, `none` for a 3D network; None to follow the model to start from, or else the data.
        context: neighboring slices on each side; None for those of the model to start from, or none.
        start: model to start from.
        notes: for slices, the reason is added to them.

    Raises:
        InputError: if there are no such slices, neighbors are given for a 3D network, the model to start from or the network uses other slices,
            or the cases are single slices and the plan is for volumes or other slices.
    """
    if wanted not in (None, VOLUMES, *ACROSS):
        msg = f"There are no slices '{wanted}'; choose one of {', '.join(ACROSS)}, or {VOLUMES} for a 3D network."
        raise InputError(msg)
    if context is None:
        context = 0 if start is None else start.context
    if not 0 <= context <= MOST_NEIGHBORS:
        msg = f"A slice cannot have {context} neighbors on each side; give a number from 0 to {MOST_NEIGHBORS}."
        raise InputError(msg)
    name, why = _chosen(cases, wanted, start)
    if name is not None and wanted is None and start is None and 2 not in network_class(network).dimensions and not _thin_axes(cases):
        name = None
    if start is not None and (start.slices != name or (name is not None and start.context != context)):
        works = "volumes" if start.slices is None else f"{start.slices} slices with {_neighbors(start.context)} on each side"
        asked = "volumes" if name is None else f"{name} slices with {context}"
        msg = f"The model {start.id} works on {works}, not on {asked}; start from another model, or choose the same."
        raise InputError(msg)
    if name is None:
        if context:
            msg = "Neighbors of a slice (--context) are for 2D networks; name the slices (--slices axial), or leave them out."
            raise InputError(msg)
        return None
    beside = f", each with {_neighbors(context)} on either side" if context else ""
    notes.append(f"A 2D network on {name} slices{beside}: {why}.")
    return Slices(name, context)


def _neighbors(context: int) -> str:
    return f"{context} neighbor{'' if context == 1 else 's'}"


def _chosen(cases: Sequence[CaseStatistics], chosen: str | None, start: Card | None) -> tuple[str | None, str]:
    """The name of the slices, or None, and the reason."""
    thin = _thin_axes(cases)
    if chosen is None and start is not None:
        name, why = start.slices, f"as {start.id}, which it starts from"
    elif chosen is not None:
        name, why = (None if chosen == VOLUMES else chosen), "as requested"
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
    """Ids of the cases that are single slices, by the name of the slices."""
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
    why = f"they are {spacing[axis]:g} mm apart, {ratio:.3g} times the {in_slice:g} mm between the pixels of one (limit: {THICK_SLICES:g} times)"
    return (name if ratio > THICK_SLICES else None), why
