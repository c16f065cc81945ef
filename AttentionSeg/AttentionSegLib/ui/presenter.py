"""From the choices to the result: the state of the panel, without Qt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import slicer

from ..mrml.fit import fit_hints, lacks_region
from ..mrml.regions import crosshair_in, edit_region, middle_of, place_region, placed_regions, retire_region
from ..mrml.scans import own_maps, shown_scan
from ..mrml.sequences import frame_hint, shown_frame
from .following import Following
from .model_list import ModelChoice, by_fit, model_choices
from .run import KeepPolling, Run, RunView
from .segmenter import Options, Segmenter
from .sequence_run import SegmentedSequence, start_sequence
from .settings import Settings
from .task import State, Task
from .translation import tr as _

if TYPE_CHECKING:
    from ..inference.finding import FoundRegions
    from ..mrml.segment import SegmentedVolume
    from .installation import Installation


WhenIdle = Callable[[Callable[[], None]], None]


@dataclass(frozen=True, eq=False)
class Shown:
    """All that the sections Input, Output and Advanced show.

    Attributes:
        state: where the run stands; while it runs the button cancels.
        models: those that match the search, the fitting ones first.
        misfits: by id of a model, why the first volume cannot be for it.
        model: the chosen one, None while there is none.
        inputs: label and volume of each channel of the model.
        reason: why the button is grey; empty while it can be pressed.
        hints: how volumes and region differ from what the model was trained on, and whether another frame is shown than the result is of.
        frames: of the sequence of which the volume shows one; 0 where there is none to segment as a whole.
        all_frames: whether all of them are wanted.
        hidden: ids of volumes that are maps and no scans, not to choose from.
        message: how the last run ended, in one sentence.
        details: of an error, for whoever has to find its cause.
        memory_limit: memory of a GPU that a run may take, in GB; 0 for no limit.
        overlap: of neighboring patches, the model's unless another was set.
        mirroring: whether the mirror image is segmented as well; False where `mirroring_reason` tells why it cannot be.
    """

    state: State
    models: tuple[ModelChoice, ...]
    misfits: dict[str, str]
    model: ModelChoice | None
    inputs: tuple[tuple[str, slicer.vtkMRMLScalarVolumeNode | None], ...]
    region: slicer.vtkMRMLMarkupsROINode | None
    segmentation: slicer.vtkMRMLSegmentationNode | None
    reason: str
    hints: tuple[str, ...]
    frames: int
    all_frames: bool
    hidden: tuple[str, ...]
    message: str
    details: str
    device: str
    memory_limit: float
    overlap: float
    attention: str
    mirroring: bool
    mirroring_reason: str
    keep_probabilities: bool


class View(RunView, Protocol):
    """What the presenter needs of a panel."""

    def show(self, shown: Shown) -> None: ...


class Presenter:
    """Holds what the panel shows, and runs what it asks for. Main thread only.

    Args:
        view: the panel, or a double of it.
        settings: in the scene's parameter node; a new scene brings new ones (`use`).
        segmenter: keeps the model loaded.
        installation: of the Python packages that a run needs.
        keep_polling: called with a function that looks after the run and returns False when it has ended.
        on_result: called with every result.
        when_idle: called with a function to call once nothing has changed for a while.
    """

    def __init__(
        self,
        view: View,
        settings: Settings,
        segmenter: Segmenter,
        installation: Installation,
        keep_polling: KeepPolling,
        on_result: Callable[[SegmentedVolume | SegmentedSequence], None],
        when_idle: WhenIdle,
    ) -> None:
        self._view, self._settings = view, settings
        self._segmenter, self._on_result = segmenter, on_result
        self._installation, self._keep_polling, self._when_idle = installation, keep_polling, when_idle
        self._warmed: tuple | None = None
        self._run = Run(view, installation, keep_polling, self.refresh, _("Cancelled; the scene is as it was."))
        self._search, self._misfits = "", {}
        self._models: list[ModelChoice] = []
        self._following, self._hints_shown = Following(self._look_again), ()
        self.refresh_models()

    @property
    def state(self) -> State:
        return self._run.state

    def use(self, settings: Settings) -> None:
        """Show other settings: a scene was closed or loaded."""
        self._settings = settings
        # The settings of a new scene name no model yet.
        self.refresh_models()

    def leave_scene(self) -> None:
        """The scene is about to go: a run on it stops, and how the last one ended is of no use any more."""
        self._run.cancel(_("Stopped, because the scene was closed."))
        self._run.forget()
        self.refresh()

    def refresh_models(self) -> None:
        """Models may have come or gone."""
        self._models = model_choices()
        self.refresh()

    def follow_views(self) -> None:
        """The slice views may show another volume: choose it, unless the user chose one."""
        settings = self._settings
        if not settings.volume_chosen and not self._run.state.running and shown_scan(self._scene) is not settings.input(0):
            self.refresh()

    def node_leaves(self, node: slicer.vtkMRMLNode) -> None:
        """A node is about to be removed from the scene: let go of it, and choose another volume for the user if it was the first."""
        for channel in range(len(self._volumes())):
            if self._settings.input(channel) is node:
                self._settings.set_input(channel, None)
                if channel == 0:
                    self._settings.volume_chosen = False
                    self._settings.set_input(0, shown_scan(self._scene, leaving=node))
                self.refresh()

    def search(self, text: str) -> None:
        """Offer only the models in whose description every word of the text is found; the chosen one stays."""
        self._search = text
        self.refresh()

    def choose_model(self, model_id: str) -> None:
        self._settings.model_chosen = True
        if model_id != self._settings.model:
            self._use_model(model_id)
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
        """Add a region of the model's size: at the crosshair if the user moved it, else where the structure is found, else in the middle."""
        volume, model = self._settings.input(0), self._model()
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

    def set_memory_limit(self, gigabytes: float) -> None:
        self._settings.memory_limit = float(gigabytes)

    def set_overlap(self, overlap: float) -> None:
        model = self._model()
        same = model is not None and model.card is not None and abs(overlap - model.card.overlap) < 1e-6
        self._settings.overlap = -1.0 if same else float(overlap)

    def set_attention(self, text: str) -> None:
        self._settings.attention = text.strip() or "all"

    def set_all_frames(self, on: bool) -> None:
        self._settings.all_frames = bool(on)

    def set_mirroring(self, on: bool) -> None:
        self._settings.mirroring = bool(on)

    def set_keep_probabilities(self, keep: bool) -> None:
        self._settings.keep_probabilities = bool(keep)

    def press(self) -> None:
        """The button: starts a run, or cancels the one there is."""
        if self._run.state.running or not self._reason():
            self._run.press(self._start, self._finish)

    def warm(self) -> None:
        """Prepare what a run needs, so that it does not have to; only where the button could be pressed."""
        model, volume = self._model(), self._settings.input(0)
        if self._run.state.running or self._reason() or self._installation.missing():
            return
        # Where a model looks for its regions, and the scan may well show them.
        finds = model.card is not None and model.card.found_by is not None and len(model.channels) == 1
        finds = finds and self._settings.region is None and model.id not in self._misfits
        options = Options.chosen(self._settings, model)
        wanted = (options, volume.GetID(), volume.GetImageData().GetMTime()) if finds else (options,)
        if wanted != self._warmed:
            self._warmed = wanted
            self._keep_polling(self._segmenter.warm(options, volume if finds else None).poll)

    def cancel(self) -> None:
        """Stop the run."""
        self._run.cancel()

    def refresh(self) -> None:
        """Show what there is now."""
        misfits = self._misfits = self._choose_for_user()
        model = self._model()
        found = [choice for choice in self._models if choice.matches(self._search) or choice is model]
        settings = self._settings
        self._hints_shown = self._hints()
        shown = [shown_frame(node) for node in (settings.input(0), settings.result_volume)]
        self._following.follow([settings.region, *(frame.browser for frame in shown if frame is not None)])
        self._view.show(
            Shown(
                state=self._run.state,
                models=tuple(found),
                misfits=misfits,
                model=model,
                inputs=tuple((name, settings.input(channel)) for channel, name in enumerate(model.channels if model else [_("Volume")])),
                region=settings.region,
                segmentation=settings.segmentation,
                reason=self._reason(),
                hints=self._hints_shown,
                frames=self._frames,
                all_frames=settings.all_frames,
                hidden=self._hidden,
                message=self._run.message,
                details=self._run.details,
                device=settings.device,
                memory_limit=settings.memory_limit,
                overlap=settings.overlap if settings.overlap >= 0 else (model.card.overlap if model and model.card else 0.5),
                attention=settings.attention,
                mirroring=settings.mirroring and not self._mirroring_reason(),
                mirroring_reason=self._mirroring_reason(),
                keep_probabilities=settings.keep_probabilities,
            )
        )
        self._when_idle(self.warm)

    def unfollow(self) -> None:
        """Look after no node any more."""
        self._following.follow(())

    @property
    def _scene(self) -> slicer.vtkMRMLScene:
        return self._settings.node.GetScene()

    def _choose_for_user(self) -> dict[str, str]:
        """Choose volume and model by what is shown and what fits, as far as the user has not. Returns the misfits."""
        settings = self._settings
        fixed = self._run.state.running or self._scene is None
        if not fixed and (not settings.volume_chosen or settings.input(0) is None):
            scan = shown_scan(self._scene)
            if scan is not settings.input(0):
                settings.set_input(0, scan)
        self._models, misfits = by_fit(self._models, settings.input(0), settings.region is not None)
        best = next((model.id for model in self._models if model.usable), None)
        kept = settings.model_chosen and self._model() is not None
        if best is not None and not fixed and not kept and settings.model != best:
            self._use_model(best)
        return misfits

    def _use_model(self, model_id: str) -> None:
        self._settings.model = model_id
        self._settings.overlap = -1.0

    def _model(self) -> ModelChoice | None:
        return next((model for model in self._models if model.id == self._settings.model), None)

    def _volumes(self) -> list[slicer.vtkMRMLScalarVolumeNode | None]:
        model = self._model()
        return [self._settings.input(channel) for channel in range(len(model.channels) if model else 1)]

    def _reason(self) -> str:
        """Why there is nothing to run, in the order in which one would mend it."""
        model, volumes = self._model(), self._volumes()
        if model is None:
            return _("No model is installed.")
        if not model.usable:
            return model.text
        missing = [name for name, node in zip(model.channels, volumes) if node is None]
        if missing:
            return _("Choose a volume for {names}.").format(names=", ".join(missing))
        empty = [node.GetName() for node in volumes if node.GetImageData() is None]
        if empty:
            return _("{names} has no voxels; load its image.").format(names=", ".join(empty))
        if model.card and self._settings.region is None and lacks_region(model.card, volumes[0]):
            size = " x ".join(f"{length:g}" for length in model.card.region_size)
            return _("This model needs a region of about {size} mm around the structure: place one.").format(size=size)
        return ""

    def _hints(self) -> tuple[str, ...]:
        settings, model = self._settings, self._model()
        hints = fit_hints(model.card, self._volumes(), settings.region) if model and model.card else []
        other_frame = frame_hint(settings.result_volume, settings.result_segmentation)
        return tuple([*hints, other_frame] if other_frame else hints)

    @property
    def _hidden(self) -> tuple[str, ...]:
        # Qt complains when a list is filtered anew while the scene of its nodes goes.
        leaving = self._scene is None or self._scene.IsClosing()
        return () if leaving else tuple(node.GetID() for node in own_maps(self._scene))

    @property
    def _frames(self) -> int:
        """Frames of the sequence of which the volume shows one, for a model of one input; 0 where there is no choice."""
        frame = shown_frame(self._settings.input(0)) if len(self._volumes()) == 1 else None
        return frame.count if frame is not None and frame.count > 1 else 0

    def _look_again(self) -> None:
        """A node changed, such as the region that is dragged: most often nothing that is shown is another."""
        if self._hints() != self._hints_shown:
            self.refresh()

    def _mirroring_reason(self) -> str:
        model = self._model()
        return "" if model is None or model.can_mirror else _("This model was not trained on mirrored scans.")

    def _start(self, on_change: Callable[[Task], None]) -> Task:
        # What was installed just now may have been what the cards were waiting for.
        self.refresh_models()
        settings = self._settings
        if settings.all_frames and self._frames:
            return start_sequence(self._segmenter, Options.chosen(settings, self._model()), settings.input(0), settings.region, on_change)
        return self._segmenter.start(Options.chosen(settings, self._model()), self._volumes(), settings.region, settings.segmentation, on_change)

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
