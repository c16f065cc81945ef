"""Segmentation of volumes of the scene with a model that stays loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from ..mrml import image_from_volumes
from ..mrml.segment import SegmentedVolume, predict, publish_scan, read_scan, segment_volume
from ..options import PER_IMAGE, RunOptions, named_maps
from ..progress import check_cancel
from .imports import gentle_imports
from .task import Task

if TYPE_CHECKING:
    import os

    import slicer

    from ..inference import Predictor
    from ..inference.found_regions import FoundRegions
    from ..progress import Cancel, OnProgress
    from .model_list import ModelChoice
    from .settings import Settings


@dataclass(frozen=True)
class Options:
    """Which model to run, and how.

    Attributes:
        model: id of an installed model, or path of a model folder.
        run: options of the run.
    """

    model: str | os.PathLike
    run: RunOptions = field(default_factory=RunOptions)

    @classmethod
    def chosen(cls, settings: Settings, model: ModelChoice | None) -> Options:
        """The options chosen in the panel. Mirroring chosen for another model is ignored if this one was not trained for it."""
        run = RunOptions(
            device=settings.device,
            overlap=settings.overlap if settings.overlap >= 0 else None,
            attention=named_maps(settings.attention.strip(" ,") or "none"),
            probabilities=settings.keep_probabilities,
            mirroring=settings.mirroring and (model is None or model.can_mirror),
            memory_limit_gb=settings.memory_limit or None,
            rescale=settings.rescale,
        )
        return cls(settings.model, run)


class Segmenter:
    """Runs models on volumes of the scene; the last one stays loaded for the next run."""

    def __init__(self) -> None:
        self._lock = Lock()
        # With the folder, its time and the options that it was loaded with.
        self._loaded: tuple[tuple, Predictor] | None = None

    def predictor(self, options: Options, cancel: Cancel | None = None) -> Predictor:
        """The model, ready to run. It is loaded, which takes seconds, unless `warm` or the last run loaded the same one. Any thread.

        Raises:
            InputError: if the model or an option cannot be used.
            Cancelled: if `cancel` returned True between two steps of loading.
        """
        with self._alone(cancel):
            return self._ready(options, cancel)

    def find(
        self, model: str | os.PathLike, volume: slicer.vtkMRMLScalarVolumeNode, on_change: Callable[[Task], None] | None = None
    ) -> Task[FoundRegions]:
        """Find the regions that a model segments (see `find_regions`), in a thread. The caller polls the task until it ends.

        Raises:
            InputError: if the volume cannot be used. Later errors become the task's error.
        """
        image = image_from_volumes([volume])

        def work(on_progress: OnProgress, cancel: Cancel) -> FoundRegions:
            from ..inference.finding import find_regions

            return find_regions(model, image, on_progress, cancel)

        return Task(work, lambda found: found, on_change)

    def warm(self, options: Options, volume: slicer.vtkMRMLScalarVolumeNode | None = None) -> Task[None]:
        """Load in a thread what a run with these options needs: torch, the engine, the model, its compiled network, the regions of the volume.

        A run that starts meanwhile waits for it and reuses it. The caller polls the task until it ends, or cancels it; it then ends after the current
        step. Errors become the task's error; a run would raise the same.

        Args:
            options: of the run.
            volume: in which to find the region of a model that segments a region only.
        """
        image = None if volume is None else image_from_volumes([volume])

        def work(_on_progress: OnProgress, cancel: Cancel) -> None:
            with self._alone(cancel):
                predictor = self._ready(options, cancel)
                if image is not None:
                    predictor.look_ahead(image, cancel)

        return Task(work, lambda nothing: nothing)

    def segment(
        self,
        options: Options,
        volumes: list[slicer.vtkMRMLScalarVolumeNode],
        region: slicer.vtkMRMLMarkupsROINode | None = None,
        segmentation: slicer.vtkMRMLSegmentationNode | None = None,
        on_progress: OnProgress | None = None,
        cancel: Cancel | None = None,
    ) -> SegmentedVolume:
        """Segment and wait. Arguments and exceptions are those of `segment_volume`."""
        predictor = self.predictor(options)
        return segment_volume(predictor, volumes, region, segmentation, on_progress=on_progress, cancel=cancel, **options.run.of_image())

    def start(
        self,
        options: Options,
        volumes: list[slicer.vtkMRMLScalarVolumeNode],
        region: slicer.vtkMRMLMarkupsROINode | None = None,
        segmentation: slicer.vtkMRMLSegmentationNode | None = None,
        on_change: Callable[[Task], None] | None = None,
    ) -> Task[SegmentedVolume]:
        """Read the volumes now and segment them in a thread. The caller polls the task until it ends; it fails if one of its nodes is deleted.

        Raises:
            InputError: if a node cannot be used. Later errors become the task's error.
        """
        scan = read_scan(volumes, region, segmentation)

        def work(on_progress: OnProgress, cancel: Cancel) -> tuple:
            on_progress(0.0, "load", None)
            predictor = self.predictor(options, cancel)
            check_cancel(cancel, "load")
            return predictor, *predict(predictor, scan, on_progress, cancel, **options.run.of_image())

        nodes = [*volumes] if segmentation is None else [*volumes, segmentation]
        return Task(work, lambda found: publish_scan(scan, *found), on_change, nodes=nodes)

    @contextmanager
    def _alone(self, cancel: Cancel | None) -> Iterator[None]:
        """Wait until no other thread is loading a model, because two at a time take twice as long."""
        while not self._lock.acquire(timeout=0.05):
            check_cancel(cancel, "load")
        try:
            yield
        finally:
            self._lock.release()

    def _ready(self, options: Options, cancel: Cancel | None) -> Predictor:
        check_cancel(cancel, "load")
        # Imported here because it takes seconds.
        with gentle_imports():
            from ..inference import Predictor
        from ..models import find_model

        check_cancel(cancel, "load")
        folder = Path(find_model(options.model))
        card = folder / "model.json"
        run = options.run.default(PER_IMAGE)
        key = (str(folder), card.stat().st_mtime_ns, run)
        if self._loaded is None or self._loaded[0] != key:
            # Some networks import MONAI.
            with gentle_imports():
                self._loaded = key, Predictor(folder, options=run)
        check_cancel(cancel, "load")
        predictor = self._loaded[1]
        predictor.prepare()
        return predictor
