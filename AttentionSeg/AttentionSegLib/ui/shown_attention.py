"""What the section Attention shows: maps, display settings and table of results. Without Qt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ..map_kinds import map_kind
from ..models.measured_maps import measured_map, measured_maps
from ..mrml.attention_volumes import EXPLAINED_ATTRIBUTE, IN_PIXELS_ATTRIBUTE, MAP_ATTRIBUTE
from ..reporting import STATISTICS
from ..reporting.label_statistics import SIZES, Statistic, shown_size

if TYPE_CHECKING:
    import slicer

    from ..reporting import Measurement


SHOWN_STATISTICS = tuple(statistic for statistic in STATISTICS if statistic.in_panel)


def shown_number(statistic: Statistic, row: Mapping[str, Any]) -> str:
    """A number of a row as text, empty if there is none. For a single slice, area or number of pixels replace the volume."""
    number = row.get(statistic.key)
    return shown_size(row) if number is None and statistic.key == SIZES[0][0] else statistic.shown(number)


@dataclass(frozen=True)
class Row:
    """A row of the table: color RGB 0..255, and for each of SHOWN_STATISTICS the number as text, empty if there is none."""

    name: str
    color: tuple[int, int, int]
    numbers: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class ListedMap:
    """A map in the list: its id (`gate_2`), group heading, title, volume, and how it was explained or what was measured of it in plain words."""

    name: str
    group: str
    title: str
    node: slicer.vtkMRMLScalarVolumeNode
    worth: str


def map_name(node: slicer.vtkMRMLScalarVolumeNode) -> str:
    """The id of a map."""
    return node.GetAttribute(MAP_ATTRIBUTE) or node.GetName()


def listed_maps(nodes: Sequence[slicer.vtkMRMLScalarVolumeNode], card: Mapping[str, Any]) -> tuple[ListedMap, ...]:
    """Maps for the list, group by group; in each, those that detect the labels best first, and then those of which nothing was measured.

    Args:
        nodes: volumes of the maps.
        card: document of the model's card; empty if it is not known.
    """
    names = [map_name(node) for node in nodes]
    kinds = [map_kind(name, names) for name in names]
    groups = list(dict.fromkeys(kind.group for kind in kinds))
    of_model = measured_maps(card)
    # By another method or at another layer than the map that was measured.
    unusual = {name: node.GetAttribute(EXPLAINED_ATTRIBUTE) for name, node in zip(names, nodes)}
    measured = {name: None if unusual[name] else measured_map(of_model, name) for name in names}
    worth = {name: unusual[name] or (found.text if found else "") for name, found in measured.items()}
    titles = [kind.title_at(node.GetSpacing(), node.GetAttribute(IN_PIXELS_ATTRIBUTE) is None) for kind, node in zip(kinds, nodes)]
    listed = [ListedMap(name, kind.group, title, node, worth[name]) for name, kind, title, node in zip(names, kinds, titles, nodes)]

    def place(entry: ListedMap) -> tuple[int, float]:
        found = measured[entry.name]
        return groups.index(entry.group), -found.roc_auc if found else 0.0

    return tuple(sorted(listed, key=place))


@dataclass(frozen=True, eq=False)
class ShownAttention:
    """State of the section Attention.

    Attributes:
        maps: of the last result, without deleted ones, group by group.
        eye: the volume that is shown over the slices, if any.
        in_3d: whether that volume is rendered.
        surfaces: whether the segments are shown in 3D; None without segments.
        opacity, threshold, colors: display settings of maps.
        shades: colors of the table from low to high, RGB 0..255; empty without a map.
        reason: why there is no map to show; empty if there is one.
        probe: whether the probe follows the crosshair.
        probe_reason: why it cannot; empty if it can.
        rows: of the table of results.
        can_explain: whether it can be asked why a segment is there.
    """

    maps: tuple[ListedMap, ...]
    eye: slicer.vtkMRMLScalarVolumeNode | None
    in_3d: bool
    surfaces: bool | None
    opacity: float
    threshold: float
    colors: slicer.vtkMRMLColorNode | None
    shades: tuple[tuple[int, int, int], ...]
    reason: str
    probe: bool
    probe_reason: str
    rows: tuple[Row, ...]
    can_explain: bool


class AttentionView(Protocol):
    """What the presenter needs of a panel."""

    def show(self, shown: ShownAttention) -> None: ...


def stored_rows(statistics: Sequence[Measurement]) -> list[dict[str, Any]]:
    """Statistics in the form that the parameter node stores."""
    return [{"name": one.name, "color": one.color, **one.statistics} for one in statistics]


def shown_rows(stored: Sequence[Mapping[str, Any]]) -> tuple[Row, ...]:
    """The rows of the table for stored statistics; those of older scenes lack statistics that were added later."""
    return tuple(Row(row["name"], tuple(row["color"]), tuple(shown_number(one, row) for one in SHOWN_STATISTICS)) for row in stored)
