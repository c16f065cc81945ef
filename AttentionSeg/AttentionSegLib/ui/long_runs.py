"""Batch and training as background tasks, for the panel's forms and the Python console."""

from __future__ import annotations

import importlib
import os
import shutil
import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

from ..mrml.training_pairs import Pair, TrainingPairs, reading_pairs, write_pairs
from ..progress import check_cancel
from .imports import gentle_imports
from .task import Task

if TYPE_CHECKING:
    from ..batch.run import BatchResult
    from ..progress import Cancel, OnProgress
    from ..training import TrainedModel

OnChange = Optional[Callable[[Task], None]]
# The stage until the work reports its own.
LOADING = "loading packages"


def folder_task(source: str | os.PathLike, output: str | os.PathLike, on_change: OnChange = None, **options: Any) -> Task[BatchResult]:
    """Segment every scan of a folder. Options and errors are those of `segment_folder`."""

    def work(on_progress: OnProgress, cancel: Cancel) -> BatchResult:
        with gentle_imports():
            from ..batch import segment_folder
            from ..inference import Predictor  # noqa: F401 (the batch imports it when it loads the model)
        return segment_folder(source, output, **options, on_progress=on_progress, cancel=cancel)

    return Task(work, _as_it_is, on_change, stage=LOADING)


def training_task(
    images: str | os.PathLike,
    labels: str | os.PathLike,
    network: str,
    output: str | os.PathLike,
    on_change: OnChange = None,
    tidy: bool = False,
    **options: Any,
) -> Task[TrainedModel]:
    """Train on a folder of scans and one of label maps. Options and errors are those of `train_model`.

    Args:
        images, labels, network, output: see `folder_cases` and `train_model`.
        on_change: see `Task`.
        tidy: whether to remove the prepared cases after the training.
        options: see `train_model`.
    """

    def work(on_progress: OnProgress, cancel: Cancel) -> TrainedModel:
        from ..datasets.case_set import folder_cases

        _import_training(cancel)
        from ..training import train_model

        cases = folder_cases(Path(images), Path(labels))
        return _tidied(train_model(cases, network, output, **options, on_progress=on_progress, cancel=cancel), tidy)

    return Task(work, _as_it_is, on_change, stage=LOADING)


def pairs_task(
    pairs: Sequence[Pair], network: str, output: str | os.PathLike, on_change: OnChange = None, tidy: bool = False, **options: Any
) -> Task[TrainedModel]:
    """Train on volumes of the scene and their segmentations, which are read one after the other. For the rest see `training_task`."""
    found: list[TrainingPairs] = []

    def read() -> Generator[None, None, None]:
        found.append((yield from reading_pairs(pairs)))

    def work(on_progress: OnProgress, cancel: Cancel) -> TrainedModel:
        _import_training(cancel)
        return _tidied(train_on_pairs(found[0], network, output, **options, on_progress=on_progress, cancel=cancel), tidy)

    return Task(work, _as_it_is, on_change, read=read(), stage=LOADING)


def train_on_pairs(pairs: TrainingPairs, network: str, output: str | os.PathLike, **options: Any) -> TrainedModel:
    """Train on pairs read from the scene, through temporary files; any thread.

    Options and errors are those of `train_model`.
    """
    from ..datasets.case_set import folder_cases
    from ..training import train_model

    with tempfile.TemporaryDirectory(prefix="AttentionSeg-") as folder:
        images, labels = write_pairs(pairs, Path(folder))
        cases = folder_cases(images, labels, label_names=pairs.label_names)
        return train_model(cases, network, output, labels=pairs.labels, **options)


def _tidied(trained: TrainedModel, tidy: bool) -> TrainedModel:
    if tidy:
        # Windows cannot delete a file that is still mapped; a leftover does no harm.
        shutil.rmtree(trained.report.parent / "prepared", ignore_errors=True)
    return trained


def _import_training(cancel: Cancel) -> None:
    # Missing packages are reported by the training.
    with gentle_imports(), suppress(ModuleNotFoundError):
        importlib.import_module("..inference", __package__).Predictor  # noqa: B018 (loads torch)
        for name in ("matplotlib.figure", "lightning", "..training.trainer"):
            check_cancel(cancel, LOADING)
            importlib.import_module(name, __package__)


def _as_it_is(result: Any) -> Any:
    return result
