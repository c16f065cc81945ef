"""The search for the regions of a model in scans, once per scan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..image import Image
from ..models import Card, Model
from ..models.found_by import FindingModel
from .checks import is_searched
from .finding import FoundRegions, find_by_template
from .progress import Progress

if TYPE_CHECKING:
    from .predictor import Predictor


class RegionSearch:
    """Finds the regions of a model in scans, and caches those of the last scan.

    Args:
        model: whose regions are searched for.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._finder: Predictor | None = None
        self._last: tuple[str, FoundRegions] | None = None

    def __call__(self, image: Image, progress: Progress) -> FoundRegions | None:
        """The regions of a scan that is larger than a region; None if there is nothing to find. Raises InputError, see `find_regions`."""
        if not is_searched(image.spacing * image.shape, self._model.card):
            return None
        progress.stage("find")
        key = image.digest()
        if self._last is None or self._last[0] != key:
            self._last = key, self._found_in(image, progress)
        found = self._last[1]
        progress.repeat(len(found.regions))
        return found

    def _found_in(self, image: Image, progress: Progress) -> FoundRegions:
        card = self._model.card
        if not isinstance(card.found_by, FindingModel):
            return find_by_template(card, self._model.folder, image, progress.step)
        # Imported here because scipy takes a while to import.
        from .finding_by_model import find_by_model, load_finder

        if self._finder is None:
            self._finder = load_finder(card)
        return find_by_model(card, self._finder, image, progress.step)


def offsets_of(found: FoundRegions | None, card: Card) -> list[int]:
    """The offset of the label values of each region that was found (the values of others stay unused); [0] if none was searched for.

    Args:
        found: in a scan.
        card: of the model.
    """
    if found is None:
        return [0]
    return [len(card.labels) * n for n, region in enumerate(card.found_by.regions) if region.name in found.regions]
