"""What every map of a run is, in words: for the panel, the legend in the slice views, and reports."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

TIMES_AVERAGE = "times the average"
# Ids begin with these words; the panel lists the groups in this order.
_KINDS = {
    "gate": ("Attention gates", "Attention gate", "share let through"),
    "guided": ("Guided attention", "Guided attention", "share of the largest"),
    "position": ("Position attention", "Position attention received", TIMES_AVERAGE),
    "probe_position": ("Position attention", "Position attention of the marked voxel", TIMES_AVERAGE),
}
_ID = re.compile(r"(?P<kind>gate|guided|position|probe_position)(?:_(?P<level>\d+)|_scale(?P<scale>\d+)_step(?P<step>\d+))")
_PROBABILITY = "probability "
_CERTAINTY, _OTHER = "Uncertainty and probabilities", "Other maps"


@dataclass(frozen=True)
class MapKind:
    """What a map is.

    Attributes:
        group: heading above maps of the same sort.
        title: in a few words, without the resolution: `Attention gate, level 2`.
        unit: of its values, in words.
    """

    group: str
    title: str
    unit: str

    @property
    def of_network(self) -> bool:
        """Whether it has the resolution that it has in the network, and so one worth telling."""
        return self.group not in (_CERTAINTY, _OTHER)

    def title_at(self, spacing: Sequence[float]) -> str:
        """The title with the resolution of a map of the network, from its spacing in mm: `Attention gate, level 2 (2 mm)`."""
        return f"{self.title} ({in_millimeters(spacing)})" if self.of_network else self.title


def map_kind(name: str, among: Iterable[str] = ()) -> MapKind:
    """What the map with this id is.

    Args:
        name: as in `Prediction.attention`, or `uncertainty`, or `probability <label>`.
        among: ids of the maps beside it; where none is of a second refinement step, the step goes without saying.
    """
    if name == "uncertainty":
        return MapKind(_CERTAINTY, "Uncertainty", "0 sure, 1 unsure")
    if name.startswith(_PROBABILITY):
        return MapKind(_CERTAINTY, f"Probability of {name[len(_PROBABILITY) :]}", "probability")
    found = _ID.fullmatch(name)
    if found is None:
        return MapKind(_OTHER, name.replace("_", " "), "")
    group, title, unit = _KINDS[found["kind"]]
    if found["level"]:
        return MapKind(group, f"{title}, level {found['level']}", unit)
    steps = {known["step"] for known in map(_ID.fullmatch, [name, *among]) if known is not None and known["step"]}
    step = f", step {found['step']}" if steps != {"1"} else ""
    return MapKind(group, f"{title}, scale {found['scale']}{step}", unit)


def in_millimeters(spacing: Sequence[float]) -> str:
    """A resolution in words: `2 mm` where it is the same along all axes, else `1.5 x 1.5 x 3 mm`."""
    lengths = [f"{length:.3g}" for length in spacing]
    return f"{lengths[0] if len(set(lengths)) == 1 else ' x '.join(lengths)} mm"
