"""Finding the regions of a model around the labels of another, coarser model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
import SimpleITK
from scipy import ndimage

from ..errors import InputError
from ..files.itk import from_itk, to_itk
from ..image import Image
from ..models import Card, Model, find_model, load_model
from ..models.found_by import FindingModel
from ..region import Region
from .found_regions import FoundRegions, left_out

if TYPE_CHECKING:
    from ..progress import OnProgress
    from .prediction import Prediction
    from .registration import OnStep

Center = tuple[float, float, float]
# Voxels of the finding model; a part with fewer is taken for noise.
LEAST_VOXELS = 20


class Finder(Protocol):
    """A `Predictor` of the model that finds regions."""

    model: Model

    def __call__(self, image: Image, *, on_progress: OnProgress | None = None, attention: bool = True) -> Prediction: ...


def loaded_finder(source: FindingModel, of: str, modalities: Sequence[str]) -> Model:
    """Load a model that finds regions. It does not segment the mirror image: a place is found as well without, in half the time.

    Args:
        source: the model and its labels.
        of: whose regions, in messages.
        modalities: of the inputs of the model for the regions.

    Raises:
        InputError: if it is not installed, lacks the labels or the inputs that the card names, or needs a region itself.
    """
    try:
        model = load_model(find_model(source.model))
    except InputError as error:
        msg = f"{of} are found by the model {source.model}, which cannot be used: {error}"
        raise InputError(msg) from error
    wrong = model.card.fault_as_finder(source, modalities)
    if wrong:
        msg = f"{of} are found by the model {source.model}, which {wrong}; name another model or label, or give a region."
        raise InputError(msg)
    return replace(model, card=replace(model.card, mirrored=False))


def find_by_model(card: Card, source: FindingModel, finder: Finder, image: Image, on_step: OnStep) -> FoundRegions:
    """Find regions around labels of another model (see `find_regions`).

    The scan is reduced to about the spacing of the finding model, to save time. Of each label only the largest component is used.

    Args:
        card: of the model whose regions are searched for.
        source: the finding model and its labels.
        finder: of the finding model.
        image: the scan.
        on_step: called with the fraction done, 0..1.
    """
    centers, unlike = found_centers(source, finder, image, on_step)
    if unlike:
        msg = f"The regions of the model {card.id} were not found by the model {source.model}: {unlike[:-1]}; choose another scan, or give a region."
        raise InputError(msg)
    placed = {name: Region(center, card.region_edges) for name, center in centers.items()}
    looked_for = ", ".join(region.label for region in source.regions)
    if not placed:
        seen = f"{source.model} sees no {looked_for} in {image.name}"
        msg = f"The regions of the model {card.id} were not found: {seen}; choose another scan, or give a region."
        raise InputError(msg)
    inside, notes = left_out(placed, image)
    if not inside:
        msg = f"{image.name} is cut through {looked_for}, around which the model {card.id} works; choose a scan that shows more, or give a region."
        raise InputError(msg)
    missed = [
        f"The region '{region.name}' was not found: {source.model} sees no {region.label}." for region in source.regions if region.name not in placed
    ]
    return FoundRegions(inside, f"the model {source.model}", None, (*missed, *notes))


def found_centers(source: FindingModel, finder: Finder, image: Image, on_step: OnStep) -> tuple[dict[str, Center], str]:
    """Find the labels of the regions in a scan.

    Returns:
        Their centers in RAS mm by region, without regions whose label the finding model does not see; and a sentence if the scan shows something else
        than that model was trained on.
    """
    prediction = finder(coarser(image, finder.model.card.spacing), attention=False, on_progress=lambda fraction, *_: on_step(fraction))
    labels = prediction.labels
    values = {label.name: label.value for label in finder.model.card.labels}
    centers = {region.name: _center(labels, values[region.label]) for region in source.regions}
    return {name: center for name, center in centers.items() if center is not None}, prediction.unlike


def coarser(image: Image, spacing: tuple[float, float, float]) -> Image:
    """Means over blocks of voxels, as large as possible while no voxel exceeds the smallest of `spacing`, mm."""
    factors = [max(1, int(min(spacing) / length + 1e-3)) for length in image.spacing]
    if max(factors) == 1:
        return image
    channels = [from_itk(SimpleITK.BinShrink(to_itk(Image(voxels[None], image.affine)), factors)) for voxels in image.voxels]
    return Image(np.concatenate([channel.voxels for channel in channels]), channels[0].affine, image.name)


def _center(labels: Image, value: int) -> Center | None:
    """The center of the bounding box of the largest component of a label, RAS mm; None if there is none."""
    parts, count = ndimage.label(labels.voxels[0] == value)
    sizes = np.bincount(parts.ravel(), minlength=count + 1)
    sizes[0] = 0
    if sizes.max() < LEAST_VOXELS:
        return None
    index = np.argwhere(parts == sizes.argmax())
    return tuple(labels.to_ras((index.min(0) + index.max(0)) / 2).tolist())
