"""State of the sections Input, Output and Advanced, and their runs. Without Qt."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import slicer

from ..mrml.regions import crosshair_in, edit_region, middle_of, place_region, placed_regions, retire_region
from ..mrml.scans import shown_scan
from ..mrml.sequences import shown_frame
from .choices import Choices, Shown
from .node_observer import NodeObserver
from .run import KeepPolling
from .run_presenter import RunPanel, RunPresenter
from .segmenter import Segmenter
from .sequence_run import SegmentedSequence, start_sequence
from .settings import Settings
from .task import Job
from .translation import tr as _

if TYPE_CHECKING:
    from ..inference.found_regions import FoundRegions
    from ..mrml.segment import SegmentedVolume
    from .installation import Installation


WhenIdle = Callable[[Callable[[], None]], None]


class Presenter(RunPresenter[Shown]):
    """Holds the choices, and starts and ends runs. Main thread only.

    Args:
        settings: in the scene's parameter node; a new scene has new ones (see `use`).
        segmenter: keeps the model loaded.
        view, installation, keep_polling: see `RunPresenter`.
        on_result: called with every result.
        when_idle: called with a function to run once nothing has changed for a while.
    """

    def __init__(
        self,
        view: RunPanel[Shown],
        settings: Settings,
        segmenter: Segmenter,
        installation: Installation,
        keep_polling: KeepPolling,
        on_result: Callable[[SegmentedVolume | SegmentedSequence], None],
        when_idle: WhenIdle,
    ) -> None:
        super().__init__(view, installation, keep_polling, _("Cancelled; the scene is as it was."))
        self._choices = Choices(settings)
        self._segmenter, self._on_result = segmenter, on_result
        self._installation, self._keep_polling, self._when_idle = installation, keep_polling, when_idle
        self._warmed: tuple | None = None
        self._observer = NodeObserver(self._look_again)
        self._hints_shown: tuple[str, ...] = ()
        self.refresh_models()

    @property
    def _settings(self) -> Settings:
        return self._choices.settings

    def use(self, settings: Settings) -> None:
        """Show other settings, after a scene was closed or loaded."""
        self._choices.use(settings)
        # The settings of a new scene contain no model yet.
        self.refresh_models()

    def leave_scene(self) -> None:
        """Stop the run and clear the last message, before the scene is closed."""
        self._run.cancel(_("Stopped, because the scene was closed."))
        self._run.forget()
        self.refresh()

    def refresh_models(self) -> None:
        """Update the list of installed models."""
        self._choices.look_for_models()
        self.refresh()

    def follow_views(self) -> None:
        """Choose the volume that the slice views show, unless the user chose one."""
        settings = self._settings
        if not settings.volume_chosen and not self._run.state.running and shown_scan(self._choices.scene) is not settings.input(0):
            self.refresh()

    def node_leaves(self, node: slicer.vtkMRMLNode) -> None:
        """Deselect a node that is about to be removed from the scene; if it was the first volume, choose the shown one instead."""
        for channel in range(len(self._choices.volumes)):
            if self._settings.input(channel) is node:
                self._settings.set_input(channel, None)
                if channel == 0:
                    self._settings.volume_chosen = False
                    self._settings.set_input(0, shown_scan(self._choices.scene, leaving=node))
                self.refresh()

    def search(self, text: str) -> None:
        """List only models whose description contains every word of the text; the chosen one stays in the list."""
        self._choices.search(text)
        self.refresh()

    def choose_model(self, model_id: str) -> None:
        self._settings.model_chosen = True
        if model_id != self._settings.model:
            self._choices.use_model(model_id)
            self.refresh()

    def choose_input(self, channel: int, node: slicer.vtkMRMLScalarVolumeNode | None) -> None:
        self._settings.set_input(channel, node)
        if channel == 0:
            self._settings.volume_chosen = node is not None
        self.refresh()

    def choose_region(self, node: slicer.vtkMRMLMarkupsROINode | None) -> None:
        self._settings.region = node
        if node is not None:
            edit_region(node)
        self.refresh()

    def choose_segmentation(self, node: slicer.vtkMRMLSegmentationNode | None) -> None:
        self._settings.segmentation = node
        self.refresh()

    def place_region(self) -> None:
        """Add a region of the model's size: at the crosshair if the user moved it, else where the structure is found, else at the center."""
        volume, model = self._settings.input(0), self._choices.model
        if self._run.state.running or volume is None or volume.GetImageData() is None or model is None or model.card is None:
            return
        crosshair, (middle, half) = crosshair_in(volume), middle_of(volume)
        if crosshair is None and model.card.found_by is not None:
            self._run.press(lambda on_change: self._segmenter.find(model.id, volume, on_change), self._place_found)
            return
        self._settings.region = place_region(volume, crosshair or middle, model.card.region_size or half, _("Region"))
        self.refresh()

    def set_device(self, device: str) -> None:
        self._settings.device = device
        self.refresh()

    def set_memory_limit(self, gigabytes: float) -> None:
        self._settings.memory_limit = float(gigabytes)
        self.refresh()

    def set_overlap(self, overlap: float) -> None:
        model = self._choices.model
        same = model is not None and model.card is not None and abs(overlap - model.card.overlap) < 1e-6
        self._settings.overlap = -1.0 if same else float(overlap)

    def set_attention(self, text: str) -> None:
        self._settings.attention = text.strip() or "all"

    def set_all_frames(self, on: bool) -> None:
        self._settings.all_frames = bool(on)

    def set_rescale(self, on: bool) -> None:
        self._settings.rescale = bool(on)
        self.refresh()

    def set_mirroring(self, on: bool) -> None:
        self._settings.mirroring = bool(on)

    def set_keep_probabilities(self, keep: bool) -> None:
        self._settings.keep_probabilities = bool(keep)

    def press(self) -> None:
        """Start a run or cancel the current one, as the button does."""
        if self._run.state.running or not self._choices.reason:
            self._run.press(self._start, self._finish)

    def warm(self) -> None:
        """Load in advance what a run needs, if a run could be started."""
        choices, volume = self._choices, self._settings.input(0)
        if self._run.state.running or choices.reason or volume is None or self._installation.missing():
            return
        options, finds = choices.options, choices.finds_regions
        wanted = (options, volume.GetID(), volume.GetImageData().GetMTime()) if finds else (options,)
        if wanted != self._warmed:
            self._warmed = wanted
            self._keep_polling(self._segmenter.warm(options, volume if finds else None).poll)

    def refresh(self) -> None:
        choices, settings = self._choices, self._settings
        choices.choose_for_user(fixed=self._run.state.running)
        frames = [shown_frame(node) for node in (settings.input(0), settings.result_volume)]
        self._observer.follow([settings.region, *(frame.browser for frame in frames if frame is not None)])
        shown = choices.shown(self._run)
        self._hints_shown = shown.hints
        self._view.show(shown)
        self._when_idle(self.warm)

    def unfollow(self) -> None:
        """Stop observing nodes."""
        self._observer.follow(())

    def _look_again(self) -> None:
        """Update the view after a node changed, if the hints changed with it; mostly, as while a region is dragged, they do not."""
        if self._choices.hints != self._hints_shown:
            self.refresh()

    def _start(self, on_change: Callable[[Job], None]) -> Job:
        if self._choices.model is not None and self._choices.model.card is None:
            # Packages were installed just now, so that cards can be read.
            self.refresh_models()
        settings = self._settings
        if settings.all_frames and self._choices.frames:
            return start_sequence(self._segmenter, self._choices.options, settings.input(0), settings.region, on_change)
        return self._segmenter.start(self._choices.options, self._choices.volumes, settings.region, settings.segmentation, on_change)

    def _place_found(self, found: FoundRegions) -> str:
        nodes = placed_regions(self._settings.input(0), found.regions, _("Region"))
        self._settings.region = next(iter(nodes.values()))
        placed = _("Found and placed: {names}.").format(names=", ".join(node.GetName() for node in nodes.values()))
        return " ".join([placed, *found.notes])

    def _finish(self, result: SegmentedVolume | SegmentedSequence) -> str:
        self._on_result(result)
        if self._settings.region is not None:
            retire_region(self._settings.region)
        if isinstance(result, SegmentedSequence):
            return result.message(self._run.seconds)
        text = _("Done in {seconds:.1f} s, {network:.1f} s of it in the network on {device}.")
        network = result.prediction.seconds.get("network", 0.0)
        done = text.format(seconds=self._run.seconds, network=network, device=result.prediction.computed_on)
        return " ".join([done, *result.prediction.notes])
