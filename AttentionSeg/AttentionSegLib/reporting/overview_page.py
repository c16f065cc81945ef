"""Drawing of the overview picture: slices, maps, legends and captions."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .. import RESEARCH_ONLY
from ..map_kinds import map_kind
from .field_of_view import FieldOfView, field_of_view
from .intensities import gray_ends, heat_ends, scaled
from .measurements import Measurement, measure
from .overview_layout import LARGE, WIDTH, Strip, lay_out
from .planes import Plane, sample, sample_labels, upright, views_of
from .sheet import Color, Sheet, fractions, outlines

if TYPE_CHECKING:
    from ..image import Image
    from ..inference.prediction import Prediction

WHITE = (1.0, 1.0, 1.0)
# Largest width of the list of labels.
LEGEND = 360


@dataclass(frozen=True, eq=False)
class Cut:
    """A plane with its content: the image as gray 0..1, and the outlines of each label by its value."""

    plane: Plane
    gray: np.ndarray
    outlines: dict[int, list[np.ndarray]]


def draw_overview(image: Image, prediction: Prediction, title: str | None) -> Sheet:
    """Draw the picture that `write_overview` describes."""
    image, prediction = upright(image, prediction)
    maps = [*prediction.attention.items(), ("uncertainty", prediction.uncertainty)]
    layout = lay_out(len(maps), len(views_of(image)))
    sheet = Sheet(WIDTH, layout.height)
    measurements = measure(prediction)
    view = field_of_view(image, prediction, measurements)
    large = _cut(image, prediction, view, LARGE)
    behind = large if layout.maps[0].size == LARGE else _cut(image, prediction, view, layout.maps[0].size)

    _draw_head(sheet, layout.head, image, prediction, title)
    _draw_anatomy(sheet, layout.anatomy, large, {m.value: fractions(m.color) for m in measurements})
    _draw_legend(sheet, layout.anatomy, measurements)
    for strip, (name, heat) in zip(layout.maps, maps):
        ends = _draw_map(sheet, strip, behind, heat, ends=(0.0, 1.0) if heat is prediction.uncertainty else None)
        kind = map_kind(name, prediction.attention)
        details = [name, _times(heat.shape)] if kind.of_network else [_times(heat.shape)]
        _draw_caption(sheet, strip, kind.title_at(heat.spacing, image.spacing_known), details, ends)
    _draw_foot(sheet, layout.foot, prediction)
    return sheet


def _cut(image: Image, prediction: Prediction, view: FieldOfView, pixels: int) -> list[Cut]:
    """The planes through the segmentation, each `pixels` wide and high."""
    planes = [view.plane(name, pixels) for name in views_of(image)]
    pictures = [sample(image, plane) for plane in planes]
    ends = gray_ends(np.stack(pictures), prediction.card.inputs[0].modality)
    cuts = []
    for plane, picture in zip(planes, pictures):
        shares = sample_labels(prediction.labels, plane)
        cuts.append(Cut(plane, scaled(picture, ends), {value: outlines(share) for value, share in shares.items()}))
    return cuts


def _draw_head(sheet: Sheet, place: tuple[int, int], image: Image, prediction: Prediction, title: str | None) -> None:
    left, top = place
    sheet.text(left, top, _fitting(title or image.name, 100), size=16, bold=True)
    facts = [f"{_times(image.shape)} voxels of {_times(image.spacing)} mm"]
    if not image.spacing_known:
        facts = [f"{_times(length for length in image.shape if length > 1)} pixels of unknown size"]
    if image.channels > 1:
        facts.append(f"shown: {_fitting(prediction.card.inputs[0].name, 40)}, the first of {image.channels} channels")
    if prediction.found is not None:
        places = ", ".join(f"{name} ({', '.join(f'{c:.0f}' for c in region.center)})" for name, region in prediction.regions.items())
        facts.append(_fitting(f"regions around {places} mm RAS, found by {prediction.found.how}", 150))
    sheet.text(left, top + 30, "   |   ".join(facts), size=10, ink="faint")


def _draw_anatomy(sheet: Sheet, strip: Strip, cuts: list[Cut], colors: dict[int, Color]) -> None:
    for x, cut in zip(strip.places, cuts):
        sheet.text(x + strip.size / 2, strip.top - 24, cut.plane.title, size=11, align="center")
        sheet.picture(x, strip.top, cut.gray)
        for value, lines in cut.outlines.items():
            sheet.lines(x, strip.top, lines, colors[value], width=1.7)
        sheet.letters(x, strip.top, cut.plane, size=12)
        sheet.scale_bar(x, strip.top, cut.plane, size=10)


def _draw_legend(sheet: Sheet, strip: Strip, measurements: list[Measurement]) -> None:
    left, line = strip.side, 21
    right = min(WIDTH - strip.left, left + LEGEND)
    y: float = strip.top
    if not any(m.voxels for m in measurements):
        sheet.text(left, y, "No label was found.", size=12, bold=True, ink="warning")
        y += 1.5 * line
    found_first = sorted(measurements, key=lambda m: m.voxels == 0)
    for index, measurement in enumerate(found_first):
        name = textwrap.wrap(measurement.name, 24)
        if y + line * (len(name) + 1) > strip.top + strip.size:
            sheet.text(left, y, f"and {len(measurements) - index} more in the report", size=10, ink="faint")
            return
        ink = "plain" if measurement.voxels else "faint"
        volume = measurement.size if measurement.voxels else "not found"
        sheet.swatch(left, y + 2, 12, fractions(measurement.color))
        sheet.text(right, y, volume, size=10, ink=ink, align="right")
        for part in name:
            sheet.text(left + 20, y, part, size=10, ink=ink)
            y += line


def _draw_map(sheet: Sheet, strip: Strip, cuts: list[Cut], heat: Image, ends: tuple[float, float] | None) -> tuple[float, float]:
    """Draw a map. Returns the values of the first and last color: `ends`, or by default those that fit the visible part of the map."""
    pictures = [sample(heat, cut.plane) for cut in cuts]
    ends = ends or heat_ends(np.stack(pictures))
    large = strip.size == LARGE
    for x, cut, picture in zip(strip.places, cuts, pictures):
        sheet.picture(x, strip.top, cut.gray, scaled(picture, ends))
        for lines in cut.outlines.values():
            sheet.lines(x, strip.top, lines, WHITE, width=0.8 if large else 0.6)
        sheet.letters(x, strip.top, cut.plane, size=11 if large else 8)
    return ends


def _draw_caption(sheet: Sheet, strip: Strip, title: str, details: list[str], ends: tuple[float, float]) -> None:
    """Write the title of a map beside it, and draw its color bar."""
    large = strip.size == LARGE
    y = strip.top
    for part in textwrap.wrap(title, 28 if large else 14)[:5]:
        sheet.text(strip.side, y, part, size=12 if large else 10, bold=True)
        y += 22 if large else 18
    for part in details:
        sheet.text(strip.side, y, part, size=10 if large else 7.5, ink="faint")
        y += 20 if large else 15
    y += 14
    sheet.color_bar(strip.side, y, 16 if large else 12, strip.top + strip.size - y - 8, ends, text_size=10 if large else 8)


def _draw_foot(sheet: Sheet, place: tuple[int, int], prediction: Prediction) -> None:
    card = prediction.card
    left, top = place
    sheet.text(left, top, f"{_fitting(card.title, 90)} {card.version}   |   computed on {prediction.computed_on}", size=10, ink="faint")
    sheet.text(WIDTH - left, top, RESEARCH_ONLY, size=10, align="right", ink="faint")


def _times(numbers: Iterable[float]) -> str:
    return " x ".join(f"{number:.4g}" for number in numbers)


def _fitting(text: str, most: int) -> str:
    """A text on one line, shortened to `most` characters."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 3] + "..."
