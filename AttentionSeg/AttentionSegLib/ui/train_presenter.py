"""State of the section Train: pairs of the scene or folders to train on. Without Qt."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ..evaluation.definitions import MEAN
from ..models.card import ACROSS
from ..models.catalogue import user_folder
from ..models.titles import id_of, title_of
from ..mrml.training_pairs import Pair, scene_pairs, segment_names
from ..user_folders import data_folder
from .form_presenter import FormPresenter, ShownForm
from .installation import Installation
from .long_runs import pairs_task, training_task
from .run import KeepPolling
from .run_presenter import RunPanel
from .settings import Settings
from .task import Task
from .translation import tr as _

if TYPE_CHECKING:
    from ..training import TrainedModel

# Choices for the license of the weights; the first means that none is chosen.
LICENSES = (
    "",
    "Own use only, not to be shared",
    "CC0-1.0",
    "CC-BY-4.0",
    "CC-BY-SA-4.0",
    "CC-BY-NC-4.0",
    "CC-BY-NC-SA-4.0",
    "Apache-2.0",
    "MIT",
)

# Choices for what the network works on, as `slices` of `train_model`; with the first it is planned from the data.
PLANNED, VOLUMES = "", "none"
SLICES = (PLANNED, VOLUMES, *sorted(ACROSS))


@dataclass(frozen=True)
class ShownTraining(ShownForm):
    """State of the form, with the pairs of the scene.

    Attributes:
        pairs: names of volume and segmentation, and whether the pair is ticked.
        title: default title of the model; empty if the user has to give one.
        folder: default folder for the model.
    """

    pairs: tuple[tuple[str, str, bool], ...]
    title: str
    folder: str


class TrainPresenter(FormPresenter[ShownTraining]):
    """Trains a model on the ticked pairs of the scene or, while none is ticked, on a folder of scans and one of label maps.

    Args:
        view, settings, installation, keep_polling: see `FormPresenter`.
        on_model: called with the id of a new model among the user's own.
    """

    fields: ClassVar = {
        "train_images": _("Choose the folder with the images."),
        "train_labels": _("Choose the folder with their label maps."),
        "train_network": _("Choose a network."),
        "train_title": _("Give the model a title."),
        "train_license": _("Choose the license of the weights: what others may do with the trained model."),
    }
    folders: ClassVar = ("train_images", "train_labels")
    # Settings that may be empty.
    optional: ClassVar = ("train_output", "train_hours", "train_results", "train_slices", "train_context")
    _pairs: tuple[Pair, ...] = ()
    _page = ""

    def __init__(
        self,
        view: RunPanel[ShownTraining],
        settings: Settings,
        installation: Installation,
        keep_polling: KeepPolling,
        on_model: Callable[[str], None],
    ) -> None:
        self._on_model = on_model
        super().__init__(view, settings, installation, keep_polling)

    def tick(self, row: int, on: bool) -> None:
        """Include or exclude the pair in a row of the table."""
        ticked = [segmentation for _volume, segmentation in self._ticked()]
        segmentation = self._pairs[row][1]
        self._settings.train_segmentations = [node for node in ticked if node is not segmentation] + [segmentation] * on
        self.refresh()

    def _shown(self) -> ShownTraining:
        self._pairs = tuple(scene_pairs(self._settings.node.GetScene(), self._settings.train_results))
        ticked = self._ticked()
        pairs = tuple((volume.GetName(), segmentation.GetName(), (volume, segmentation) in ticked) for volume, segmentation in self._pairs)
        form = self._values(), self._run.state, self._reason(), self._run.message, self._report()
        return ShownTraining(*form, pairs, self._default_title(), str(user_folder()))

    def _values(self) -> dict[str, Any]:
        return {**super()._values(), **{name: getattr(self._settings, name) for name in self.optional}}

    def _ticked(self) -> list[Pair]:
        nodes = self._settings.train_segmentations
        return [pair for pair in self._pairs if pair[1] in nodes]

    def _default_title(self) -> str:
        ticked = self._ticked()
        return title_of(segment_names(ticked[0][1])) if ticked else ""

    def _reason(self) -> str:
        ticked = self._ticked()
        if len(ticked) == 1:
            return _("Tick at least two pairs: one to train on and one to validate on.")
        needless = (*self.folders, "train_title") if ticked else ()
        empty = [name for name in self.fields if not getattr(self._settings, name) and name not in needless]
        if self._pairs and empty[:1] == ["train_images"]:
            return _("Tick pairs of the scene, or choose the folder with the images.")
        return self.fields[empty[0]] if empty else ""

    def _report(self) -> str:
        return self._page if Path(self._page).is_file() else ""

    def _start(self, on_change: Callable[[Task], None]) -> Task:
        settings, ticked = self._settings, self._ticked()
        title = settings.train_title or self._default_title()
        options: dict[str, Any] = {"device": settings.device, "hours": settings.train_hours, "license": settings.train_license, "title": title}
        options |= self._slices()
        output = Path(settings.train_output)
        if not settings.train_output:
            output = _free_folder(title)
            options["work"] = self._work_folder(output.name, options)
            options["tidy"] = True
        if ticked:
            return pairs_task(ticked, settings.train_network, output, on_change, **options)
        return training_task(settings.train_images, settings.train_labels, settings.train_network, output, on_change, **options)

    def _slices(self) -> dict[str, Any]:
        """The options on which the network works; none if that is planned from the data. Neighbors are for slices only."""
        name = self._settings.train_slices
        return {**({"slices": name} if name else {}), **({"context": self._settings.train_context} if name in ACROSS else {})}

    def _work_folder(self, name: str, options: dict[str, Any]) -> Path:
        """Work folder from which a stopped training is resumed: the same for the same choices."""
        settings = self._settings
        pairs = [[volume.GetName(), segmentation.GetName()] for volume, segmentation in self._ticked()]
        chosen = [pairs or [settings.train_images, settings.train_labels], settings.train_network, options["hours"], options["license"]]
        chosen += [self._slices()] if self._slices() else []
        return data_folder() / "Trainings" / f"{name}-{hashlib.sha256(json.dumps(chosen).encode()).hexdigest()[:8]}"

    def _describe(self, result: TrainedModel) -> str:
        self._page = str(result.report)
        if result.folder.parent == user_folder():
            self._on_model(result.folder.name)
            text = _("The model '{title}' was added to your models and selected. {figures}")
        else:
            text = _("The model '{title}' is in {folder}; import it in the section Environment to use it here. {figures}")
        return text.format(title=result.scores.card.title, folder=result.folder, figures=_figures(result))


def _free_folder(title: str) -> Path:
    name = id_of(title) or "model"
    names = (name if number == 1 else f"{name}-{number}" for number in count(1))
    return next(user_folder() / free for free in names if not (user_folder() / free).exists())


def _figures(result: TrainedModel) -> str:
    """The Dice of the validation cases, in one sentence."""
    dice = {name: numbers["dice"] for name, numbers in result.scores.summary().items()}
    known = [f"{name} {numbers['mean']:.2f}" for name, numbers in dice.items() if name != MEAN and numbers["mean"] is not None]
    mean = dice[MEAN]
    if mean["mean"] is None:
        return _("Its accuracy is not known: no validation case has a label.")
    text = _("Mean Dice {mean:.2f} on {cases} validation case(s) ({labels}).")
    return text.format(mean=mean["mean"], cases=mean["n"], labels=", ".join(known))
