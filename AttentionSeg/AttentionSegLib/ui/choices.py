"""The panel's choices (volumes, model, region, options), defaults for those the user did not make, and hints about them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import InputError
from ..inference.memory_estimate import GIGABYTE, gpu_memory, main_memory
from ..mrml.fit import fit_hints, is_stored_hu, lacks_region, needed_bytes, refused_kind
from ..mrml.scans import own_maps, shown_scan
from ..mrml.sequences import frame_hint, shown_frame
from .model_list import ModelChoice, by_fit, model_choices
from .run import Run
from .segmenter import Options
from .task import State
from .translation import tr as _

if TYPE_CHECKING:
    import slicer

    from .settings import Settings

# Shown while no model is chosen.
USUAL_OVERLAP = 0.5


@dataclass(frozen=True, eq=False)
class Shown:
    """State of the sections Input, Output and Advanced.

    Attributes:
        state: of the run; while it runs the button cancels.
        models: those that match the search, suitable ones first.
        misfits: by id of a model, why it does not suit the first volume.
        model: the chosen one; None while there is none.
        inputs: label and volume of each channel of the model.
        reason: why the button is disabled; empty while it is enabled.
        hints: differences between volumes or region and the model's training data; whether another frame is shown than that of the result.
        memory: that a run will take, in one sentence.
        frames: number of frames of the sequence that the volume belongs to; 0 if there is none to segment as a whole.
        all_frames: whether to segment all of them.
        rescale: whether to subtract 1024; None if no volume looks like CT stored as HU + 1024.
        hidden: ids of volumes that are maps, which selectors do not list.
        message: how the last run ended, in one sentence.
        details: traceback of an error.
        memory_limit: memory of a GPU that a run may take, in GB; 0 for no limit.
        overlap: of neighboring patches, the model's unless another was set.
        mirroring: whether the mirror image is segmented as well; False if `mirroring_reason` says why it cannot be.
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
    memory: str
    frames: int
    all_frames: bool
    rescale: bool | None
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


class Choices:
    """The settings of a scene, with the installed models.

    Args:
        settings: in the scene's parameter node; a new scene has new ones (see `use`).
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._models: list[ModelChoice] = []
        self._search = ""
        self._misfits: dict[str, str] = {}

    def use(self, settings: Settings) -> None:
        self.settings = settings

    def look_for_models(self) -> None:
        """Update the list of installed models."""
        self._models = model_choices()

    def search(self, text: str) -> None:
        """List only models whose description contains every word of the text; the chosen one stays in the list."""
        self._search = text

    def use_model(self, model_id: str) -> None:
        self.settings.model = model_id
        self.settings.overlap = -1.0

    def choose_for_user(self, fixed: bool) -> None:
        """Choose the shown volume and the most suitable model if the user did not choose. Nothing changes if `fixed`, as during a run."""
        settings = self.settings
        fixed = fixed or self.scene is None
        if not fixed and (not settings.volume_chosen or settings.input(0) is None):
            scan = shown_scan(self.scene)
            if scan is not settings.input(0):
                settings.set_input(0, scan)
        self._models, self._misfits = by_fit(self._models, settings.input(0), settings.region is not None)
        best = next((model.id for model in self._models if model.usable), None)
        kept = settings.model_chosen and self.model is not None
        if best is not None and not fixed and not kept and settings.model != best:
            self.use_model(best)

    @property
    def scene(self) -> slicer.vtkMRMLScene | None:
        return self.settings.node.GetScene()

    @property
    def model(self) -> ModelChoice | None:
        return next((model for model in self._models if model.id == self.settings.model), None)

    @property
    def volumes(self) -> list[slicer.vtkMRMLScalarVolumeNode | None]:
        """One per input of the model."""
        model = self.model
        return [self.settings.input(channel) for channel in range(len(model.channels) if model else 1)]

    @property
    def options(self) -> Options:
        return Options.chosen(self.settings, self.model)

    @property
    def finds_regions(self) -> bool:
        """Whether the model will search the scan for its regions, and suits the scan."""
        model = self.model
        if model is None or model.card is None or model.card.found_by is None:
            return False
        return len(model.channels) == 1 and self.settings.region is None and model.id not in self._misfits

    @property
    def frames(self) -> int:
        """Number of frames of the sequence that the volume belongs to, for a model of one input; 0 if there is no choice."""
        frame = shown_frame(self.settings.input(0)) if len(self.volumes) == 1 else None
        return frame.count if frame is not None and frame.count > 1 else 0

    @property
    def reason(self) -> str:
        """Why a run cannot start: the first thing that the user has to fix; empty if it can."""
        model, volumes = self.model, self.volumes
        if model is None:
            return _("No model is installed.")
        if not model.usable:
            return model.text
        missing = [name for name, node in zip(model.channels, volumes) if node is None]
        if missing:
            return _("Choose a volume for {names}.").format(names=", ".join(missing))
        empty = [node.GetName() for node in volumes if node is not None and node.GetImageData() is None]
        if empty:
            return _("There are no voxels in {names}; load the image.").format(names=", ".join(empty))
        if model.card and (refused := refused_kind(model.card, volumes)):
            return refused
        if model.card and self.settings.region is None and lacks_region(model.card, volumes[0]):
            size = " x ".join(f"{length:g}" for length in model.card.region_edges)
            return _("This model needs a region of about {size} mm around the structure: place one.").format(size=size)
        return ""

    @property
    def hints(self) -> tuple[str, ...]:
        settings, model = self.settings, self.model
        hints = fit_hints(model.card, self.volumes, settings.region, settings.rescale) if model and model.card else []
        other_frame = frame_hint(settings.result_volume, settings.result_segmentation)
        there, on_gpu, (needed, needed_on_gpu) = main_memory() / GIGABYTE, self._gpu_gigabytes, self._gigabytes
        too_large = _("A run takes more memory than this computer has ({there:.0f} GB): place a region, or choose a scan with fewer voxels.")
        in_pieces = _("A run takes more than {there:.1f} GB of the GPU, so it computes in smaller pieces or on the CPU: a region makes it faster.")
        hints = [*hints, *([too_large.format(there=there)] if needed > there else [])]
        hints = [*hints, *([in_pieces.format(there=on_gpu)] if on_gpu and needed_on_gpu > on_gpu else [])]
        return tuple([*hints, other_frame] if other_frame else hints)

    @property
    def memory(self) -> str:
        """The memory that a run will take; empty if no run can start."""
        needed, on_gpu = self._gigabytes
        if not needed:
            return ""
        if not self._gpu_gigabytes:
            return _("Needs about {needed:.1f} GB.").format(needed=needed)
        return _("Needs about {needed:.1f} GB, and {on_gpu:.1f} GB of the GPU.").format(needed=needed, on_gpu=on_gpu)

    @property
    def _gpu_gigabytes(self) -> float:
        """The memory of the GPU that a run may take; 0 if it computes elsewhere, or as long as that is unknown."""
        there = gpu_memory() if self.settings.device in ("auto", "cuda") else None
        if there is None:
            return 0.0
        return min(there / GIGABYTE, self.settings.memory_limit or math.inf)

    @property
    def _gigabytes(self) -> tuple[float, float]:
        """The memory that a run will take, and of a GPU if it computes there; 0 if no run can start."""
        model, volume = self.model, self.settings.input(0)
        if self.reason or model is None or model.card is None or volume is None:
            return 0.0, 0.0
        try:
            main, on_gpu = needed_bytes(model.card, volume, self.settings.region, self.options.run)
        except InputError:
            # One of the hints is this error.
            return 0.0, 0.0
        return main / GIGABYTE, on_gpu / GIGABYTE

    def shown(self, run: Run) -> Shown:
        """Everything to show, including the state of the run."""
        settings, model = self.settings, self.model
        return Shown(
            state=run.state,
            models=tuple(choice for choice in self._models if choice.matches(self._search) or choice is model),
            misfits=self._misfits,
            model=model,
            inputs=tuple((name, settings.input(channel)) for channel, name in enumerate(model.channels if model else [_("Volume")])),
            region=settings.region,
            segmentation=settings.segmentation,
            reason=self.reason,
            hints=self.hints,
            memory=self.memory,
            frames=self.frames,
            all_frames=settings.all_frames,
            rescale=settings.rescale if model and model.card and is_stored_hu(model.card, self.volumes) else None,
            hidden=self._hidden,
            message=run.message,
            details=run.details,
            device=settings.device,
            memory_limit=settings.memory_limit,
            overlap=settings.overlap if settings.overlap >= 0 else (model.card.overlap if model and model.card else USUAL_OVERLAP),
            attention=settings.attention,
            mirroring=settings.mirroring and not self._mirroring_reason,
            mirroring_reason=self._mirroring_reason,
            keep_probabilities=settings.keep_probabilities,
        )

    @property
    def _hidden(self) -> tuple[str, ...]:
        # Qt logs warnings if a list is filtered while the scene of its nodes is closing.
        leaving = self.scene is None or self.scene.IsClosing()
        return () if leaving else tuple(node.GetID() for node in own_maps(self.scene))

    @property
    def _mirroring_reason(self) -> str:
        if self.model is not None and self.model.always_mirrors:
            return _("This model always segments the mirror image as well.")
        return "" if self.model is None or self.model.can_mirror else _("This model was not trained on mirrored scans.")
