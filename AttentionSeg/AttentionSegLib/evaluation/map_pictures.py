"""Pictures of the maps of a typical case for the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ..image import Image
from ..map_kinds import WHY as WHY_PREFIX
from ..map_kinds import map_kind
from ..reporting.field_of_view import field_of_view
from ..reporting.intensities import gray_ends, heat_ends, scaled
from ..reporting.measurements import measure
from ..reporting.overview_page import Cut
from ..reporting.planes import sample, sample_labels, upright
from ..reporting.sheet import Sheet, outlines
from .map_measures import LOCALIZATION, REFERENCES, WHY
from .statistics import mean_of_labels

if TYPE_CHECKING:
    from ..inference import Prediction
    from .map_scores import MapScores

PIXELS, BAR, NUMBERS, EDGE = 260, 12, 52, 8
WHITE = (1.0, 1.0, 1.0)
AUC = [measure.key for measure in LOCALIZATION].index("auc")


@dataclass(frozen=True)
class MapPicture:
    """The picture of a map, or of the scan alone: title, area under the ROC curve in this case (None if undefined), and the PNG."""

    title: str
    auc: float | None
    png: bytes


@dataclass(frozen=True)
class MapPictures:
    """The pictures of the maps of one case in the same plane, that of the scan first, and the plane in words."""

    case: str
    plane: str
    pictures: tuple[MapPicture, ...]


def typical_case(maps: MapScores) -> int:
    """The index of the case whose areas under the ROC curve, one for each map, are together nearest to the medians of the cases."""
    auc = _auc(maps)
    distances = np.abs(auc - [np.median(column[np.isfinite(column)]) if np.isfinite(column).any() else 0.0 for column in auc.T])
    return int(np.argmin(np.where(np.isfinite(distances), distances, 1.0).sum(axis=1)))


def largest_label(reference: Image, values: Sequence[int]) -> int:
    """The index of the label with most voxels."""
    return int(np.argmax([np.count_nonzero(reference.voxels == value) for value in values]))


def draw_maps(maps: MapScores, number: int, image: Image, prediction: Prediction, reference: Image) -> MapPictures:
    """Draw the maps of a case over the scan, in the plane through the middle of the reference labels, with their outlines and a color bar.

    The plane is axial, or that of the slices of a 2D network. The explanation of a label is in the plane through that label alone, with its outline.

    Args:
        maps: scores of all cases.
        number: index of the case.
        image: the scan.
        prediction: with the maps, and the explanation of one label at most.
        reference: label values on the grid of the scan.
    """
    image, prediction = upright(image, prediction)
    reference = replace(reference, affine=image.affine)
    whole = _cut(image, prediction, reference)
    values = {label.name: label.value for label in prediction.card.labels}
    auc = dict(zip(maps.maps, _auc(maps)[number].tolist()))
    pictures = [MapPicture("Scan", None, draw_map(whole))]
    for name, heat in prediction.attention.items():
        if name.startswith(WHY_PREFIX):
            label = name[len(WHY_PREFIX) :]
            cut = _cut(image, prediction, replace(reference, voxels=np.where(reference.voxels == values[label], reference.voxels, 0)))
            of_map = maps.values[0, number, maps.labels.index(label), maps.maps.index(WHY), AUC]
        else:
            cut, of_map = whole, auc[name]
        title = map_kind(name, maps.maps).title
        pictures.append(MapPicture(title, float(of_map) if np.isfinite(of_map) else None, draw_map(cut, sample(heat, cut.plane))))
    return MapPictures(maps.cases[number], whole.plane.title, tuple(pictures))


def _cut(image: Image, prediction: Prediction, labels: Image) -> Cut:
    """The plane through the middle of labels, with their outlines."""
    card = prediction.card
    of_labels = replace(prediction, labels=replace(labels, voxels=labels.voxels.astype(prediction.labels.voxels.dtype)))
    plane = field_of_view(image, of_labels, measure(of_labels)).plane(card.slices or "axial", PIXELS)
    picture = sample(image, plane)
    lines = {value: outlines(share) for value, share in sample_labels(labels, plane).items()}
    return Cut(plane, scaled(picture, gray_ends(picture, card.inputs[0].modality)), lines)


def _auc(maps: MapScores) -> np.ndarray:
    """Mean of the labels, [cases, maps without REFERENCES]."""
    return mean_of_labels(maps.values[0][:, :, : len(maps.maps) - len(REFERENCES), AUC])


def draw_map(cut: Cut, heat: np.ndarray | None = None) -> bytes:
    """A PNG of a plane of the scan with outlines, and with the values of a map [rows, columns] and their color bar if they are given."""
    sheet = Sheet(PIXELS + (0 if heat is None else EDGE + BAR + NUMBERS), PIXELS)
    if heat is None:
        sheet.picture(0, 0, cut.gray)
    else:
        ends = heat_ends(heat)
        sheet.picture(0, 0, cut.gray, scaled(heat, ends))
        sheet.color_bar(PIXELS + EDGE, EDGE, BAR, PIXELS - 2 * EDGE, ends, text_size=8)
    for outline in cut.outlines.values():
        sheet.lines(0, 0, outline, WHITE, width=0.9)
    sheet.letters(0, 0, cut.plane, size=9)
    sheet.scale_bar(0, 0, cut.plane, size=8)
    return sheet.png()
