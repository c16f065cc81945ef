"""What the section Attention shows: maps, table and why there is none. Without Qt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ..reporting import STATISTICS
from ..reporting.label_statistics import SIZES, Statistic, shown_size

if TYPE_CHECKING:
    import slicer

    from ..reporting import Measurement


SHOWN_STATISTICS = tuple(statistic for statistic in STATISTICS if statistic.in_panel)


def shown_number(statistic: Statistic, row: Mapping[str, Any]) -> str:
    """A number of a row as it is shown, empty where there is none. In place of the volume that a single slice lacks, its area or number of pixels."""
    number = row.get(statistic.key)
    return shown_size(row) if number is None and statistic.key == SIZES[0][0] else statistic.shown(number)


@dataclass(frozen=True)
class Row:
    """A segment in numbers: color RGB 0..255, and for each of SHOWN_STATISTICS the number as it is shown, empty where there is none."""

    name: str
    color: tuple[int, int, int]
    numbers: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class ListedMap:
    """A map in the list: its id (`gate_2`), the heading it stands under, what it is in words, and its volume."""

    name: str
    group: str
    title: str
    node: slicer.vtkMRMLScalarVolumeNode


@dataclass(frozen=True, eq=False)
class ShownAttention:
    """All that the section Attention shows.

    Attributes:
        maps: of the last result those that are still there, group by group.
        eye: the volume that lies over the slices, if any.
        in_3d: whether that volume is rendered.
        surfaces: whether the segments are shown in 3D; None without segments.
        opacity, threshold, colors: how maps are shown.
        shades: of the colors, low to high, RGB 0..255; none without a map.
        reason: why there is no map to show; empty where there is.
        probe: whether the crosshair is followed.
        probe_reason: why it cannot be; empty where it can.
        rows: the table.
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


class AttentionView(Protocol):
    """What the presenter needs of a panel."""

    def show(self, shown: ShownAttention) -> None: ...


def stored_rows(statistics: Sequence[Measurement]) -> list[dict[str, Any]]:
    """As the parameter node keeps them."""
    return [{"name": one.name, "color": one.color, **one.statistics} for one in statistics]
