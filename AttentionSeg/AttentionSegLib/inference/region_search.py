"""The search for the regions of models in scans, once per scan for models that search alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..image import Image
from ..models import Card
from ..models.found_by import FindingModel, FoundBy
from .checks import is_searched
from .finding_by_template import find_by_template
from .found_regions import FoundRegions
from .progress import Progress
from .shared_libraries import preload_simpleitk

if TYPE_CHECKING:
    from pathlib import Path

    from ..models import Model
    from .finding_by_model import Finder
    from .registration import OnStep


# The last search of this process: what was searched for, and what was found.
_last: tuple[tuple[object, ...], FoundRegions] | None = None


class RegionSearch:
    """Finds the regions of a model in scans, unless they are those of the last search, by this or another model.

    Args:
        card, folder: of the model whose regions are searched for.
        predictor: makes a predictor of the model that finds them, if one does.
    """

    def __init__(self, card: Card, folder: Path, predictor: Callable[[Model], Finder]) -> None:
        self._card, self._folder, self._predictor = card, folder, predictor
        self._finder: Finder | None = None

    def __call__(self, image: Image, progress: Progress) -> FoundRegions | None:
        """The regions of a scan that is larger than a region; None if there is nothing to find. Raises InputError, see `find_regions`."""
        card, source = self._card, self._card.found_by
        if source is None or not is_searched(image.spacing * image.shape, card):
            return None
        global _last
        progress.stage("find")
        key = image.digest(), source, card.region_size, self._weights_of_finder(source)
        last = _last
        if last is None or last[0] != key:
            _last = last = key, self.search(source, image, progress.step)
        found = last[1]
        progress.repeat(len(found.regions))
        return found

    def search(self, source: FoundBy, image: Image, on_step: OnStep) -> FoundRegions:
        """The regions of any scan, by the method that the card names. Raises InputError, see `find_regions`."""
        if isinstance(source, FindingModel):
            finder = self._loaded(source)
            from .finding_by_model import find_by_model

            return find_by_model(self._card, source, finder, image, on_step)
        return find_by_template(self._card, source, self._folder, image, on_step)

    def _weights_of_finder(self, source: FoundBy) -> str | None:
        """The checksum of the model that finds the regions, which is loaded; None if a template does."""
        return self._loaded(source).model.card.weights_sha256 if isinstance(source, FindingModel) else None

    def _loaded(self, source: FindingModel) -> Finder:
        if self._finder is None:
            # Imported here because scipy and torch take a while to import.
            preload_simpleitk()
            from .finding_by_model import loaded_finder

            modalities = [channel.modality for channel in self._card.inputs]
            self._finder = self._predictor(loaded_finder(source, f"The regions of the model {self._card.id}", modalities))
        return self._finder


def offsets_of(found: FoundRegions | None, card: Card) -> list[int]:
    """The offset of the label values of each region that was found (the values of others stay unused); [0] if none was searched for.

    Args:
        found: in a scan.
        card: of the model.
    """
    if found is None or card.found_by is None:
        return [0]
    return [len(card.labels) * n for n, region in enumerate(card.found_by.regions) if region.name in found.regions]
