"""The section Train: pairs of the scene or folders, and what is made of them, without Qt."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ..mrml.training_pairs import Pair, TrainingPairs, read_pairs, scene_pairs, write_pairs
from .form_presenter import FormPresenter, ShownForm
from .translation import tr as _

if TYPE_CHECKING:
    from ..inference.progress import Cancel, OnProgress
    from ..training import TrainedModel


@dataclass(frozen=True)
class ShownTraining(ShownForm):
    """A form with the pairs of the scene: names of volume and segmentation, and whether the pair is ticked."""

    pairs: tuple[tuple[str, str, bool], ...]


class TrainPresenter(FormPresenter):
    """Trains a model on the ticked pairs of the scene or, while none is ticked, on a folder of scans and one of label maps."""

    fields: ClassVar = {
        "train_images": _("Choose the folder with the images."),
        "train_labels": _("Choose the folder with their label maps."),
        "train_network": _("Choose a network."),
        "train_output": _("Choose a folder for the trained model, one that is not there yet."),
    }
    folders: ClassVar = ("train_images", "train_labels")
    _pairs: tuple[Pair, ...] = ()

    def tick(self, row: int, on: bool) -> None:
        """Learn from a pair, one of those shown last, or not."""
        ticked = [segmentation for _volume, segmentation in self._ticked()]
        segmentation = self._pairs[row][1]
        self._settings.train_segmentations = [node for node in ticked if node is not segmentation] + [segmentation] * on
        self.refresh()

    def refresh(self) -> None:
        self._pairs = tuple(scene_pairs(self._settings.node.GetScene()))
        ticked = self._ticked()
        pairs = tuple((volume.GetName(), segmentation.GetName(), (volume, segmentation) in ticked) for volume, segmentation in self._pairs)
        self._view.show(ShownTraining(self._values(), self._run.state, self._reason(), self._run.message, pairs))

    def _ticked(self) -> list[Pair]:
        nodes = self._settings.train_segmentations
        return [pair for pair in self._pairs if pair[1] in nodes]

    def _reason(self) -> str:
        ticked = self._ticked()
        if len(ticked) == 1:
            return _("Tick at least two pairs: one to learn from and one to validate on.")
        empty = [name for name in self.fields if not getattr(self._settings, name) and not (ticked and name in self.folders)]
        if self._pairs and empty[:1] == ["train_images"]:
            return _("Tick pairs of the scene, or choose the folder with the images.")
        return self.fields[empty[0]] if empty else ""

    def _work(self) -> Callable[[OnProgress, Cancel], Any]:
        settings, ticked = self._settings, self._ticked()
        images, labels, network, output = settings.train_images, settings.train_labels, settings.train_network, settings.train_output
        device = settings.device
        pairs = read_pairs(ticked) if ticked else None

        def work(on_progress: OnProgress, cancel: Cancel) -> TrainedModel:
            from ..datasets.case_set import folder_cases
            from ..training import train_model

            told = {"device": device, "on_progress": on_progress, "cancel": cancel}
            if pairs is not None:
                return train_on_pairs(pairs, network, output, **told)
            return train_model(folder_cases(Path(images), Path(labels)), network, output, **told)

        return work

    def _describe(self, result: TrainedModel) -> str:
        return _("The model is in {folder}, and how good it is in {report}.").format(folder=result.folder, report=result.report)


def train_on_pairs(pairs: TrainingPairs, network: str, output: str, **options: Any) -> TrainedModel:
    """Train on what was read from the scene, by way of files that are removed at the end; in any thread.

    Options and errors are those of `train_model`.
    """
    from ..datasets.case_set import folder_cases
    from ..training import train_model

    with tempfile.TemporaryDirectory(prefix="AttentionSeg-") as folder:
        images, labels = write_pairs(pairs, Path(folder))
        cases = folder_cases(images, labels, label_names=pairs.label_names)
        return train_model(cases, network, output, labels=pairs.labels, **options)
