"""Pictures of cases for the report: the scan with the outlines of prediction and reference."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..image import Image
from ..reporting.field_of_view import FieldOfView, field_of_view
from ..reporting.intensities import gray_ends, scaled
from ..reporting.measurements import measure
from ..reporting.placement import nearest_voxel
from ..reporting.planes import sample, sample_labels, upright, views_of
from ..reporting.sheet import Sheet, fractions, outlines
from .page import Picture

if TYPE_CHECKING:
    from ..inference import Prediction

# Number of pictures in a report.
WORST = 4
PIXELS, MARGIN, TITLE = 400, 12, 34
DASH, DASH_GAP = 6.0, 6.0
WHITE = (1.0, 1.0, 1.0)


def draw_case(image: Image, prediction: Prediction, reference: Image) -> bytes:
    """A PNG of the axial, coronal and sagittal plane through the difference of prediction and reference; of a single slice only its own.

    The prediction is a solid line in the color of the label, the reference a dashed white one. Radiological convention.
    """
    image, prediction = upright(image, prediction)
    reference = replace(reference, affine=image.affine)
    view = _field_of_view(image, prediction, reference)
    planes = [view.plane(name, PIXELS) for name in views_of(image)]
    sheet = Sheet(len(planes) * (PIXELS + MARGIN) + MARGIN, TITLE + PIXELS + MARGIN)
    pictures = [sample(image, plane) for plane in planes]
    ends = gray_ends(np.stack(pictures), prediction.card.inputs[0].modality)
    colors = {label.value: fractions(label.color) for label in prediction.card.labels}
    for n, (plane, picture) in enumerate(zip(planes, pictures)):
        x = MARGIN + n * (PIXELS + MARGIN)
        sheet.text(x + PIXELS / 2, 9, plane.title, size=11, align="center")
        sheet.picture(x, TITLE, scaled(picture, ends))
        for value, share in sample_labels(prediction.labels, plane).items():
            sheet.lines(x, TITLE, outlines(share), colors[value], width=1.8)
        for share in sample_labels(reference, plane).values():
            sheet.lines(x, TITLE, [dash for line in outlines(share) for dash in dashes(line)], WHITE, width=1.6)
        sheet.letters(x, TITLE, plane, size=12)
        sheet.scale_bar(x, TITLE, plane, size=10)
    return sheet.png()


def with_case(worst: list[Picture], case: str, dice: np.ndarray, image: Image, prediction: Prediction, reference: Image) -> list[Picture]:
    """The pictures of the worst cases so far, with that of one more case if it is among them."""
    mean = float(dice.mean())
    if len(worst) == WORST and mean >= worst[-1].mean_dice:
        return worst
    picture = Picture(case, draw_case(image, prediction, reference), mean, tuple(dice.tolist()))
    return sorted([*worst, picture], key=lambda picture: picture.mean_dice)[:WORST]


def dashes(line: np.ndarray) -> Iterator[np.ndarray]:
    """Split a line [points, (x, y)] into pieces of DASH pixels with gaps of DASH_GAP; the last may be shorter."""
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    for start in np.arange(0.0, along[-1], DASH + DASH_GAP):
        places = np.unique(np.concatenate([[start, min(start + DASH, along[-1])], along[(along > start) & (along < start + DASH)]]))
        yield np.stack([np.interp(places, along, line[:, axis]) for axis in (0, 1)], axis=1)


def _field_of_view(image: Image, prediction: Prediction, reference: Image) -> FieldOfView:
    """The bounding box of both label maps, with planes through the center of their difference."""
    predicted = prediction.labels.voxels
    true = reference.voxels.astype(predicted.dtype)
    both = replace(prediction, labels=Image(np.where(predicted > 0, predicted, true), reference.affine))
    view = field_of_view(image, both, measure(both))
    differing = predicted[0] != true[0]
    if not differing.any():
        return view
    middle = np.array(
        [np.average(np.arange(count), weights=differing.sum(axis=other)) for count, other in zip(image.shape, ((1, 2), (0, 2), (0, 1)))]
    )
    return replace(view, focus=reference.to_ras(nearest_voxel(differing, middle, reference.spacing)))
