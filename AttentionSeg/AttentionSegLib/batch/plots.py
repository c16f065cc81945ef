"""How the volumes of a cohort spread, as SVG to stand in a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

WIDTH, LEFT, RIGHT, ROW = 920, 250, 70, 54
# Points stand at these shares of the height in turn, so that equal volumes do not hide each other.
SPREAD = (0.5, 0.3, 0.7, 0.4, 0.6, 0.2, 0.8)
# With more cases only those outside the 1st to 99th percentile are points.
MOST_POINTS = 500
MOST_LETTERS = 34
TEXT = 'font-size="12" fill="#1d2430"'
FAINT_TEXT = 'font-size="11" fill="#566070"'
LINE = 'stroke="#c9d0d9"'
BOX = 'fill="#eef1f5" stroke="#9aa4b2"'
MEDIAN = 'stroke="#1d2430" stroke-width="2"'
POINT = 'stroke="#1d2430" stroke-opacity="0.55" stroke-width="0.7" fill-opacity="0.85"'


def volume_plot(name: str, color: Sequence[int], volumes: Mapping[str, float], anchors: Mapping[str, str]) -> str:
    """The volumes of one label on an axis of its own: a point for each case, linked to its row, and a box from quartile to quartile with the median.

    Args:
        name, color: of the label.
        volumes: mL by case, at least one.
        anchors: id of the row of each case.
    """
    values = np.array(list(volumes.values()))
    low, high = float(values.min()), float(values.max())
    first, median, last = (_across(value, low, high) for value in np.percentile(values, (25, 50, 75)))
    shown = list(volumes.items())
    if len(shown) > MOST_POINTS:
        ends = np.percentile(values, (1, 99))
        shown = [(case, value) for case, value in shown if not ends[0] <= value <= ends[1]]
    short = name if len(name) <= MOST_LETTERS else name[: MOST_LETTERS - 1] + "…"
    top, height = 4, ROW - 22
    fill = "#{:02x}{:02x}{:02x}".format(*color)
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {ROW}" role="img" aria-label="Volumes of {escape(name)}">',
        f'<text {TEXT} text-anchor="end" x="{LEFT - 14}" y="{top + height / 2 + 4}">{escape(short)}<title>{escape(name)}</title></text>',
        f'<text {FAINT_TEXT} x="{WIDTH - RIGHT + 14}" y="{top + height / 2 + 4}">n={len(values)}</text>',
        f'<path {LINE} d="M{LEFT} {top + height}H{WIDTH - RIGHT}"/>',
        f'<text {FAINT_TEXT} x="{LEFT}" y="{ROW - 4}">{low:.3g} mL</text>',
        f'<text {FAINT_TEXT} text-anchor="end" x="{WIDTH - RIGHT}" y="{ROW - 4}">{high:.3g} mL</text>',
        f'<text {FAINT_TEXT} text-anchor="middle" x="{(LEFT + WIDTH - RIGHT) / 2}" y="{ROW - 4}">median {np.median(values):.3g}</text>',
        f'<rect {BOX} x="{first:.1f}" y="{top + 3}" width="{max(last - first, 1):.1f}" height="{height - 6}"/>',
    ]
    for n, (case, value) in enumerate(shown):
        x, y = _across(value, low, high), top + 3 + (height - 6) * SPREAD[n % len(SPREAD)]
        told = escape(f"{case}: {value:.3g} mL")
        circle = f'<circle {POINT} cx="{x:.1f}" cy="{y:.1f}" r="3.4" fill="{fill}"><title>{told}</title></circle>'
        parts.append(f'<a href="#{anchors[case]}">{circle}</a>')
    return "".join([*parts, f'<path {MEDIAN} d="M{median:.1f} {top + 1}v{height - 2}"/></svg>'])


def _across(value: float, low: float, high: float) -> float:
    middle = (LEFT + WIDTH - RIGHT) / 2
    return LEFT + 6 + (value - low) / (high - low) * (WIDTH - RIGHT - LEFT - 12) if high > low else middle
