"""Finding the regions of a model in a scan, by the method that its card names."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ..errors import InputError
from ..files import read_image
from ..image import Image
from ..models import Card, find_model
from ..models.card import CARD_NAME
from ..models.found_by import FindingModel, Template, TemplateRegion, checked_template
from ..progress import Cancel, OnProgress
from ..region import Region
from .checks import check_input
from .progress import Progress
from .shared_libraries import preload_simpleitk

if TYPE_CHECKING:
    from pathlib import Path

    from .registration import Alignment, OnStep

# Thresholds for accepting a registration. Correlations of template and scan: of the tissue with a rim around it, within the tissue, and around the
# regions.
LEAST_WHOLE, LEAST_TISSUE, LEAST_AROUND = 0.55, 0.15, 0.48
# The largest scale factor from the template to the scan along any direction, and the largest ratio of the factors along two directions.
SIZES, MOST_STRETCHED = (0.6, 1.4), 1.6
# Largest distance in mm between the regions' places by the fit around them and by the fit to the whole template.
MOST_MOVED = 8.0
# Smallest share of a region's box that has to lie in the scan.
LEAST_OF_BOX = 0.75
# Sample points along each edge of a box for this share.
ALONG_EDGE = 13


class ModelOnDisk(Protocol):
    """A loaded `Model`, or a `ListedModel` of the catalogue."""

    card: Card
    folder: Path


@dataclass(frozen=True, eq=False)
class FoundRegions:
    """The regions that were found in a scan.

    Attributes:
        regions: by name, such as `right` and `left`, in the order of the card; only those inside the scan.
        how: the method that found them, in words.
        similarity: correlation of scan and template around them after registration, 0..1; None if a model found them.
        notes: one sentence for each region that was left out.
    """

    regions: dict[str, Region]
    how: str
    similarity: float | None
    notes: tuple[str, ...] = ()


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
    if isinstance(card.found_by, FindingModel):
        # Imported here because it loads torch.
        preload_simpleitk()
        from .finding_by_model import find_by_model, load_finder

        found = find_by_model(card, card.found_by, load_finder(card, card.found_by), image, progress.step)
    else:
        found = find_by_template(card, card.found_by, folder, image, progress.step)
    progress.finish()
    return found


def find_by_template(card: Card, source: Template, folder: Path, image: Image, on_step: OnStep) -> FoundRegions:
    """Find regions by registration of a template in the folder (see `find_regions`); `on_step` is called with the fraction done, 0..1."""
    preload_simpleitk()
    from .registration import align

    template = read_image(checked_template(folder, source))
    size = np.array(card.region_edges)
    radius = float(np.linalg.norm(size / 2))
    alignment = align(template, image, [region.center for region in source.regions], radius, on_step)
    if alignment is None:
        raise _unlike(card, source, image, "it shows too little")
    _check_shape(alignment, source, card, image)
    placed = {region.name: Region(_moved(alignment.matrix, region), card.region_edges) for region in source.regions}
    inside, notes = left_out(placed, image)
    similarity, why = _likeness(alignment, template, [region for region in source.regions if region.name in inside], radius)
    if why:
        raise _unlike(card, source, image, why)
    if not inside:
        named = ", ".join(placed)
        msg = f"{image.name} shows none of the regions of the model {card.id} ({named}), which lie beyond its edges; choose a scan that does."
        raise InputError(msg)
    return FoundRegions(inside, f"registration of {source.source}", similarity, notes)


def left_out(placed: dict[str, Region], image: Image) -> tuple[dict[str, Region], tuple[str, ...]]:
    """The regions of which the scan contains enough, and a sentence for each of the others."""
    shares = {name: _share_inside(region, image) for name, region in placed.items()}
    notes = tuple(
        f"The region '{name}' was left out: {image.name} holds {100 * share:.0f} % of it." for name, share in shares.items() if share < LEAST_OF_BOX
    )
    return {name: region for name, region in placed.items() if shares[name] >= LEAST_OF_BOX}, notes


def _check_shape(alignment: Alignment, source: Template, card: Card, image: Image) -> None:
    for matrix in (alignment.whole, alignment.matrix):
        sizes = np.linalg.svd(matrix[:3, :3], compute_uv=False)
        if np.linalg.det(matrix[:3, :3]) <= 0 or sizes.min() < SIZES[0] or sizes.max() > SIZES[1] or sizes.max() > MOST_STRETCHED * sizes.min():
            raise _unlike(card, source, image, f"it fits only if made {' x '.join(f'{size:.2f}' for size in sizes)} times as large")
    moved = max(np.linalg.norm(np.subtract(_moved(alignment.matrix, one), _moved(alignment.whole, one))) for one in source.regions)
    if moved > MOST_MOVED:
        raise _unlike(card, source, image, f"the surroundings of the regions fit only {moved:.0f} mm off")


def _likeness(alignment: Alignment, template: Image, regions: list[TemplateRegion], radius: float) -> tuple[float, str]:
    """The correlation around the regions that are in the scan; and how scan and template differ if they do not look alike, else empty."""
    reference = template.voxels[0]
    asked = [(alignment.surrounded, LEAST_WHOLE), (alignment.tissue, LEAST_TISSUE)]
    if regions:
        index = np.argwhere(alignment.surrounded)
        distances = np.linalg.norm(template.to_ras(index)[:, None] - np.array([region.center for region in regions]), axis=-1)
        around = np.zeros(template.shape, bool)
        around[tuple(index[(distances <= radius).any(1)].T)] = True
        asked.append((around, LEAST_AROUND))
    similarities = [_correlation(alignment.values[mask], reference[mask]) for mask, _ in asked]
    for similarity, (_, least) in zip(similarities, asked):
        if similarity < least:
            return similarity, f"the correlation is {similarity:.2f}, at least {least:g} is needed"
    return similarities[-1], ""


def _correlation(values: np.ndarray, reference: np.ndarray) -> float:
    there = np.isfinite(values)
    values, reference = values[there].astype(float), reference[there].astype(float)
    if values.size < 2 or values.std() == 0 or reference.std() == 0:
        return 0.0
    return float(np.corrcoef(values, reference)[0, 1])


def _moved(matrix: np.ndarray, region: TemplateRegion) -> tuple[float, float, float]:
    right, anterior, superior = (matrix[:3, :3] @ np.array(region.center) + matrix[:3, 3]).tolist()
    return right, anterior, superior


def _share_inside(region: Region, image: Image) -> float:
    """The share of a region's box that lies within the edges of an image."""
    along = (np.arange(ALONG_EDGE) + 0.5) / ALONG_EDGE - 0.5
    points = np.stack(np.meshgrid(*(along * size for size in region.size), indexing="ij"), -1).reshape(-1, 3)
    index = image.to_ijk(points @ np.asarray(region.axes).T + np.array(region.center))
    return float(((index >= -0.5) & (index <= np.array(image.shape) - 0.5)).all(1).mean())


def _unlike(card: Card, source: Template, image: Image, why: str) -> InputError:
    return InputError(
        f"The regions of the model {card.id} were not found in {image.name}, which does not look like {source.source} ({why}); "
        "choose another scan, or give a region around the structure."
    )
