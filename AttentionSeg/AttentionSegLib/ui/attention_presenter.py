"""State of the section Attention: maps over the slices and in 3D, the probe, and the table of results. Without Qt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import slicer

from ..map_kinds import map_kind
from ..mrml.heat_map import heat_map
from ..mrml.legend import hide_legend, show_legend
from ..mrml.outlines import fill_segments, outline_segments
from ..mrml.overlay import Look, apply_look, hide_in_3d, hide_overlay, is_in_3d, shades, show_in_3d, show_overlay, shown_overlay
from ..mrml.own_results import is_own_result
from ..mrml.sequences import shown_frame
from ..mrml.surfaces import has_surfaces, hide_surfaces, show_surfaces
from .crosshair_probe import CrosshairProbe, why_no_probe
from .model_list import card_of
from .settings import Settings
from .shown_attention import SHOWN_STATISTICS, AttentionView, ShownAttention, listed_maps, map_name, shown_rows, stored_rows
from .translation import tr as _

if TYPE_CHECKING:
    from ..mrml.segment import SegmentedVolume
    from .sequence_run import SegmentedSequence


class AttentionPresenter:
    """Shows maps of the last result. Main thread only.

    Args:
        view: the panel, or a double of it.
        settings: in the scene's parameter node; a new scene has new ones (see `use`).
        more_text: returns a table to copy together with that of the results, or an empty text.
    """

    def __init__(self, view: AttentionView, settings: Settings, more_text: Callable[[], str] = str) -> None:
        self._view, self._settings, self._more_text = view, settings, more_text
        self._result: SegmentedVolume | None = None
        self._probe: CrosshairProbe | None = None
        self._behind: slicer.vtkMRMLScalarVolumeNode | None = None
        self._card = card_of(settings.maps)
        self.refresh()

    def use(self, settings: Settings) -> None:
        """Show other settings, after a scene was closed or loaded. The result stays as long as its volume does."""
        self._settings, self._card = settings, card_of(settings.maps)
        if self._result is not None and self._result.volume.GetScene() is not self._scene:
            self.set_probe(False)
            self._result = None
        self.refresh()

    def set_result(self, result: SegmentedVolume) -> None:
        """Show a new result, with its map of highest contrast (see `most_telling_map`) over the slices."""
        self.set_probe(False)
        settings, nodes = self._settings, result.nodes
        maps = [*nodes.attention.values(), nodes.uncertainty, *nodes.probabilities.values()]
        for node in settings.maps:
            hide_in_3d(node)
            # The legend of a reused map is kept, because removing it takes a tenth of a second.
            if node not in maps:
                hide_legend(node)
        self._result, earlier = result, settings.result_segmentation
        # Two results over each other cannot be distinguished; segmentations of the user stay visible.
        if earlier is not None and earlier is not nodes.segmentation and is_own_result(earlier):
            earlier.SetDisplayVisibility(False)
        # Setting it without a change takes a tenth of a second too.
        if not nodes.segmentation.GetDisplayVisibility():
            nodes.segmentation.SetDisplayVisibility(True)
        settings.maps, self._card = maps, result.prediction.card.raw
        settings.result_segmentation, settings.result_volume = nodes.segmentation, result.volume
        settings.statistics = stored_rows(result.statistics)
        self.show_map(nodes.uncertainty if result.telling is None else nodes.attention[result.telling])

    def set_sequence(self, result: SegmentedSequence) -> None:
        """Show the statistics of the current frame of a sequence; its frames have no maps."""
        self.set_probe(False)
        # Removes the color bars of an earlier result's maps too.
        self.show_map(None)
        settings, shown = self._settings, shown_frame(result.volume)
        self._result, settings.maps = None, []
        settings.result_segmentation, settings.result_volume = result.segmentation, result.volume
        settings.statistics = stored_rows(result.statistics[0 if shown is None else shown.number])
        self.refresh()

    @property
    def result(self) -> SegmentedVolume | None:
        """The result that is shown; None if there is none, or it was loaded with the scene."""
        return self._result

    def show_map(self, node: slicer.vtkMRMLScalarVolumeNode | None) -> None:
        """Show a map over the slices, or none."""
        scene, was_in_3d = self._scene, self._eye is not None and is_in_3d(self._eye)
        for other in self._settings.maps:
            hide_in_3d(other)
        if node is None:
            hide_overlay(scene, self._settings.maps)
            if self._probe is not None and self._probe.node is not None:
                self._lay_over(self._probe.node)
        else:
            self._lay_over(node)
            if was_in_3d:
                self._render(node)
        self.refresh()

    def add_map(self, node: slicer.vtkMRMLScalarVolumeNode) -> None:
        """Add a map to those of the result, and show it."""
        maps = self._settings.maps
        self._settings.maps = maps if node in maps else [*maps, node]
        self.show_map(node)

    @property
    def maps(self) -> list[slicer.vtkMRMLScalarVolumeNode]:
        """The maps of the result, without deleted ones."""
        return self._settings.maps

    @property
    def probe(self) -> CrosshairProbe | None:
        """The probe, while it is on."""
        return self._probe

    def set_opacity(self, opacity: float) -> None:
        self._settings.opacity = float(opacity)
        self._restyle()

    def set_threshold(self, threshold: float) -> None:
        self._settings.threshold = float(threshold)
        self._restyle()

    def set_colors(self, colors: slicer.vtkMRMLColorNode | None) -> None:
        self._settings.colors = colors
        self._restyle()

    def set_in_3d(self, wanted: bool) -> None:
        if self._eye is not None:
            if wanted:
                self._render(self._eye)
            else:
                hide_in_3d(self._eye)
        self.refresh()

    def set_surfaces(self, wanted: bool) -> None:
        """Show or hide the segments of the result in 3D."""
        segmentation = self._settings.result_segmentation
        if segmentation is not None:
            (show_surfaces if wanted else hide_surfaces)(segmentation)
        self.refresh()

    def set_probe(self, wanted: bool) -> None:
        """Start or stop showing the position attention of the voxel under the crosshair."""
        if wanted and self._probe is None and self._result is not None and not why_no_probe(self._result, self._scene):
            self._probe, self._behind = CrosshairProbe(self._result, self._show_probe), self._eye
        elif not wanted and self._probe is not None:
            shown = self._probe.node
            hide_overlay(self._scene, [] if shown is None else [shown])
            self._probe.end()
            if self._behind is not None and self._behind in self._settings.maps:
                self._lay_over(self._behind)
            self._probe = self._behind = None
        self.refresh()

    def look_from(self, position: Sequence[float]) -> None:
        """Show the position attention of the voxel at a position (world RAS mm), while the probe is on."""
        if self._probe is not None:
            self._probe.look_from(position)

    def table_text(self) -> str:
        """The table for a spreadsheet: tabs between columns, a line per segment; after an empty line, the table of `more_text`."""
        head = "\t".join([_("Segment"), *(_(statistic.title) for statistic in SHOWN_STATISTICS)])
        lines = ["\t".join([row.name, *row.numbers]) for row in shown_rows(self._settings.statistics)]
        more = self._more_text()
        return "\n".join([head, *lines, *(["", more] if more else [])])

    def leave(self) -> None:
        """Stop the probe, because another module is opened or the scene is about to be closed."""
        self.set_probe(False)

    def close(self) -> None:
        """Remove the probe and all legends, because without the panel the user could not."""
        self.set_probe(False)
        for node in self._settings.maps:
            hide_legend(node)

    def refresh(self) -> None:
        """Update the view."""
        eye, settings = self._eye, self._settings
        self._make_room()
        segmentation = settings.result_segmentation
        self._view.show(
            ShownAttention(
                maps=listed_maps(settings.maps, self._card),
                eye=eye,
                in_3d=eye is not None and is_in_3d(eye),
                surfaces=None if segmentation is None else has_surfaces(segmentation),
                opacity=settings.opacity,
                threshold=settings.threshold,
                colors=settings.colors,
                shades=self._shades,
                reason="" if settings.maps else _("Segment a volume to see where the network looked."),
                probe=self._probe is not None,
                probe_reason=why_no_probe(self._result, self._scene),
                rows=shown_rows(settings.statistics),
                can_explain=self._result is not None and self._result.can_explain,
            )
        )

    @property
    def _scene(self) -> slicer.vtkMRMLScene:
        return self._settings.node.GetScene()

    @property
    def _eye(self) -> slicer.vtkMRMLScalarVolumeNode | None:
        return shown_overlay(self._scene, self._settings.maps) if self._scene is not None else None

    @property
    def _look(self) -> Look:
        return Look(self._settings.opacity, self._settings.threshold, self._settings.colors or heat_map(self._scene))

    @property
    def _shades(self) -> tuple[tuple[int, int, int], ...]:
        found = shades(self._look.colors) if self._settings.maps else []
        return tuple((round(255 * red), round(255 * green), round(255 * blue)) for red, green, blue in found)

    def _restyle(self) -> None:
        for node in (self._eye, self._probe.node if self._probe else None):
            if node is not None:
                self._lay_over(node)
        self.refresh()

    def _lay_over(self, node: slicer.vtkMRMLScalarVolumeNode) -> None:
        """Show a map over the slices, with its color bar."""
        show_overlay(node, self._look)
        name = map_name(node)
        kind = map_kind(name, [map_name(other) for other in self._settings.maps])
        show_legend(node, kind.title, kind.unit)

    def _make_room(self) -> None:
        """Hide color bars of maps that are not shown; show segments as outlines while they would cover a map."""
        scene, eye, settings = self._scene, self._eye, self._settings
        if scene is None:
            return
        for node in settings.maps:
            if node is not eye:
                hide_legend(node)
        if eye is None and (self._probe is None or self._probe.node is None):
            fill_segments(scene)
        elif settings.result_segmentation is not None:
            outline_segments(settings.result_segmentation)

    def _render(self, node: slicer.vtkMRMLScalarVolumeNode) -> None:
        apply_look(node, self._look)
        show_in_3d(node, slicer.modules.volumerendering.logic())

    def _show_probe(self, node: slicer.vtkMRMLScalarVolumeNode) -> None:
        self._lay_over(node)
        self.refresh()
