"""Titles, groups and units of the maps of a run, for the panel, the legend in the slice views, and reports."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

TIMES_AVERAGE = "times the average"
# By the first word of a map's id; the panel lists the groups in this order.
_KINDS = {
    "gate": ("Attention gates", "Attention gate", "share let through"),
    "guided": ("Guided attention", "Guided attention", "share of the largest"),
    "position": ("Position attention", "Position attention received", TIMES_AVERAGE),
    "probe_position": ("Position attention", "Position attention of the marked voxel", TIMES_AVERAGE),
}
_ID = re.compile(r"(?P<kind>gate|guided|position|probe_position)(?:_(?P<level>\d+)|_scale(?P<scale>\d+)_step(?P<step>\d+))")
_AT_END = re.compile(r" at -?\d+ -?\d+ -?\d+$")
_PROBABILITY = "probability "
# What the id of an explanation begins with; the name of the label follows.
WHY = "why "
_CERTAINTY, _OTHER = "Uncertainty and probabilities", "Other maps"


@dataclass(frozen=True)
class MapKind:
    """Title, group and unit of a map.

    Attributes:
        group: heading above maps of the same kind.
        title: without the resolution, such as `Attention gate, level 2`.
        unit: of its values, in words.
    """

    group: str
    title: str
    unit: str

    @property
    def of_network(self) -> bool:
        """Whether it is a map of the network, with a resolution of its own that the title states."""
        return self.group not in (_CERTAINTY, _OTHER)

    def title_at(self, spacing: Iterable[float], known: bool = True) -> str:
        """The title, for maps of the network with the resolution from a spacing: `Attention gate, level 2 (2 mm)`.

        Args:
            spacing: of the map in mm.
            known: False for maps of a 2D image without spacing, whose pixels were assumed to be 1 mm wide: `Attention gate, level 2 (2 x 2 pixels)`.
        """
        resolution = in_millimeters(spacing) if known else f"{' x '.join(f'{length:.3g}' for length in list(spacing)[:2])} pixels"
        return f"{self.title} ({resolution})" if self.of_network else self.title


def map_kind(name: str, among: Iterable[str] = ()) -> MapKind:
    """The kind of the map with this id.

    Args:
        name: as in `Prediction.attention` (`why <label>` among them), or `uncertainty`, or `probability <label>`.
        among: ids of all maps of the run; if they have one refinement step only, the title leaves it out.
    """
    if name == "uncertainty":
        return MapKind(_CERTAINTY, "Uncertainty", "0 sure, 1 unsure")
    if name.startswith(_PROBABILITY):
        return MapKind(_CERTAINTY, f"Probability of {name[len(_PROBABILITY) :]}", "probability")
    if name.startswith(WHY):
        return MapKind("Why a label is there", f"Why {name[len(WHY) :]}", "share of the largest")
    found = _ID.fullmatch(name)
    if found is None:
        return MapKind(_OTHER, name.replace("_", " "), "")
    group, title, unit = _KINDS[found["kind"]]
    if found["level"]:
        return MapKind(group, f"{title}, level {found['level']}", unit)
    steps = {known["step"] for known in map(_ID.fullmatch, [name, *among]) if known is not None and known["step"]}
    step = f", step {found['step']}" if steps != {"1"} else ""
    return MapKind(group, f"{title}, scale {found['scale']}{step}", unit)


def why_map(label: str, at: Sequence[float] | None = None) -> str:
    """The id of the explanation of a label: of its segment, or at a place, RAS mm."""
    return f"{WHY}{label}" if at is None else f"{why_at(label)}{' '.join(f'{coordinate:.0f}' for coordinate in at)}"


def why_at(label: str) -> str:
    """What the ids of the explanations of a label at places begin with."""
    return f"{WHY}{label} at "


def is_at_voxel(name: str) -> bool:
    """Whether the map with this id is the explanation of a label at a place."""
    return name.startswith(WHY) and _AT_END.search(name) is not None


def in_millimeters(spacing: Iterable[float]) -> str:
    """A resolution as text: `2 mm` if it is the same along all axes, else `1.5 x 1.5 x 3 mm`."""
    lengths = [f"{length:.3g}" for length in spacing]
    return f"{lengths[0] if len(set(lengths)) == 1 else ' x '.join(lengths)} mm"
