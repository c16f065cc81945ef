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
from ..reporting.planes import Plane, sample, sample_labels
from ..reporting.sheet import Sheet, outlines
from .map_measures import LOCALIZATION, REFERENCES, WHY
from .statistics import mean_of_labels

if TYPE_CHECKING:
    from ..inference import Prediction
    from .map_worth import MapScores

PIXELS, BAR, NUMBERS, EDGE = 260, 12, 46, 8
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

    The plane is axial, or that of the slices of a 2D network. The explanation of a label has the outline of that label alone.

    Args:
        maps: scores of all cases.
        number: index of the case.
        image: the scan.
        prediction: with the maps, and the explanation of one label at most.
        reference: label values on the grid of the scan.
    """
    card = prediction.card
    of_reference = replace(prediction, labels=replace(reference, voxels=reference.voxels.astype(prediction.labels.voxels.dtype)))
    view = field_of_view(image, of_reference, measure(of_reference))
    plane = view.plane(card.slices or "axial", PIXELS)
    picture = sample(image, plane)
    gray = scaled(picture, gray_ends(picture, card.inputs[0].modality))
    lines = {value: outlines(share) for value, share in sample_labels(reference, plane).items()}
    values = {label.name: label.value for label in card.labels}
    auc = dict(zip(maps.maps, _auc(maps)[number].tolist()))
    pictures = [MapPicture("Scan", None, draw_map(plane, gray, [*lines.values()]))]
    for name, heat in prediction.attention.items():
        if name.startswith(WHY_PREFIX):
            label = name[len(WHY_PREFIX) :]
            around = [lines.get(values[label], [])]
            of_map = maps.values[0, number, maps.labels.index(label), maps.maps.index(WHY), AUC]
        else:
            around, of_map = [*lines.values()], auc[name]
        drawn = draw_map(plane, gray, around, sample(heat, plane))
        pictures.append(MapPicture(map_kind(name, maps.maps).title, float(of_map) if np.isfinite(of_map) else None, drawn))
    return MapPictures(maps.cases[number], plane.title, tuple(pictures))


def _auc(maps: MapScores) -> np.ndarray:
    """Mean of the labels, [cases, maps without REFERENCES]."""
    return mean_of_labels(maps.values[0][:, :, : len(maps.maps) - len(REFERENCES), AUC])


def draw_map(plane: Plane, gray: np.ndarray, lines: Sequence[Sequence[np.ndarray]], heat: np.ndarray | None = None) -> bytes:
    """A PNG of a plane of the scan, gray 0..1, with outlines, and with the values of a map and their color bar if they are given."""
    sheet = Sheet(PIXELS + (0 if heat is None else EDGE + BAR + NUMBERS), PIXELS)
    ends = None if heat is None else heat_ends(heat)
    sheet.picture(0, 0, gray, None if heat is None else scaled(heat, ends))
    for outline in lines:
        sheet.lines(0, 0, outline, WHITE, width=0.9)
    sheet.letters(0, 0, plane, size=9)
    if heat is None:
        sheet.scale_bar(0, 0, plane, size=8)
    else:
        sheet.color_bar(PIXELS + EDGE, EDGE, BAR, PIXELS - 2 * EDGE, ends, text_size=8)
    return sheet.png()
