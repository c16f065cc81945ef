"""Finding the regions of a model by registration of a template."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from ..files import read_image
from ..image import Image
from ..models import Card
from ..models.found_by import Template, TemplateRegion, checked_template
from ..region import Region
from .found_regions import FoundRegions, left_out
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


def _unlike(card: Card, source: Template, image: Image, why: str) -> InputError:
    return InputError(
        f"The regions of the model {card.id} were not found in {image.name}, which does not look like {source.source} ({why}); "
        "choose another scan, or give a region around the structure."
    )
