"""Finding the regions of a model in a scan, by the method that its card names."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

from ..errors import InputError
from ..image import Image
from ..models import Card, find_model
from ..models.card import CARD_NAME
from ..progress import Cancel, OnProgress
from .checks import check_input
from .found_regions import FoundRegions
from .progress import Progress
from .region_search import RegionSearch

if TYPE_CHECKING:
    from pathlib import Path

    from ..models import Model
    from .predictor import Predictor


class ModelOnDisk(Protocol):
    """A loaded `Model`, or a `ListedModel` of the catalogue."""

    card: Card
    folder: Path


def find_regions(
    model: ModelOnDisk | str | os.PathLike, image: Image, on_progress: OnProgress | None = None, cancel: Cancel | None = None
) -> FoundRegions:
    """Find the regions of a scan without segmenting it; for a template torch is not loaded.

    Args:
        model: a loaded model, an entry of the list of models, an id, or the path of a model folder.
        image: the scan, larger than a region or not; only the first channel is used.
        on_progress, cancel: see `Predictor`.

    Raises:
        InputError: if the card names no method to find regions, or the scan cannot be used, differs too much from the template, or shows none of
            the regions.
        Cancelled: if `cancel` returned True.
    """
    if isinstance(model, (str, os.PathLike)):
        folder = find_model(model)
        card = Card.load(folder / CARD_NAME)
    else:
        card, folder = model.card, model.folder
    if card.found_by is None:
        msg = f"The model {card.id} names no method to find its regions; place a region by hand."
        raise InputError(msg)
    check_input(image, None, card)
    progress = Progress(on_progress, cancel)
    progress.stage("find")
    found = RegionSearch(card, folder, _predictor).search(card.found_by, image, progress.step)
    progress.finish()
    return found


def _predictor(model: Model) -> Predictor:
    # Imported here because it loads torch.
    from .predictor import Predictor

    return Predictor(model)
