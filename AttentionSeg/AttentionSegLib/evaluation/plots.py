"""How the cases spread, as SVG to stand in a page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
from matplotlib.ticker import MaxNLocator

from .definitions import Metric
from .statistics import Scores

WIDTH, LEFT, RIGHT = 920, 250, 60
TOP, ROW, AXIS = 8, 40, 30
# Points of a row stand at these shares of its height in turn, so that equal numbers do not hide each other.
SPREAD = (0.5, 0.3, 0.7, 0.4, 0.6, 0.2, 0.8)
MOST_LETTERS = 34
# As attributes, because programs that print a page do not apply its style sheet inside a drawing.
TEXT = 'font-size="12" fill="#1d2430"'
FAINT_TEXT = 'font-size="12" fill="#566070" text-anchor="middle"'
GRID = 'stroke="#e3e7ec"'
BOX = 'fill="#eef1f5" stroke="#9aa4b2"'
MEDIAN = 'stroke="#1d2430" stroke-width="2"'
POINT = 'stroke="#1d2430" stroke-opacity="0.55" stroke-width="0.7" fill-opacity="0.85"'


def strip_plot(scores: Scores, metric: Metric, column: int) -> str:
    """A row for each label: a point for each case, which tells its name under the mouse, and a box from quartile to quartile with the median.

    Args:
        scores: what is shown.
        metric: which metric.
        column: its place in METRICS.
    """
    values = scores.values[:, :, column]
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return "<p>Undefined in every case.</p>"
    low, high = float(finite.min()), float(finite.max())
    ticks = MaxNLocator(6, steps=[1, 2, 5, 10]).tick_values(low, high if high > low else low + 1)
    bottom = TOP + ROW * len(scores.labels)

    def across(value: float) -> float:
        return LEFT + (value - ticks[0]) / (ticks[-1] - ticks[0]) * (WIDTH - LEFT - RIGHT)

    parts = [f'<svg viewBox="0 0 {WIDTH} {bottom + AXIS}" role="img" aria-label="{escape(metric.title)}, by label">']
    for tick in ticks:
        x = across(tick)
        parts.append(f'<path {GRID} d="M{x:.1f} {TOP}V{bottom}"/><text {FAINT_TEXT} x="{x:.1f}" y="{bottom + 18}">{tick:g}</text>')
    for index, label in enumerate(scores.card.labels):
        known = np.isfinite(values[:, index])
        points = [(across(value), _told(scores.cases[n], value, metric)) for n, value in enumerate(values[:, index]) if known[n]]
        box = [across(value) for value in np.percentile(values[known, index], (25, 50, 75))] if points else []
        parts += _row(TOP + ROW * index, label.name, label.color, points, box)
    return "".join([*parts, "</svg>"])


def _row(top: float, name: str, color: Sequence[int], points: list[tuple[float, str]], box: list[float]) -> list[str]:
    short = name if len(name) <= MOST_LETTERS else name[: MOST_LETTERS - 1] + "…"
    middle = top + ROW / 2
    parts = [f'<text {TEXT} text-anchor="end" x="{LEFT - 14}" y="{middle + 4}">{escape(short)}<title>{escape(name)}</title></text>']
    parts.append(f'<text {FAINT_TEXT} x="{WIDTH - RIGHT / 2}" y="{middle + 4}">n={len(points)}</text>')
    if box:
        first, median, last = box
        parts.append(f'<rect {BOX} x="{first:.1f}" y="{top + 4}" width="{max(last - first, 1):.1f}" height="{ROW - 8}"/>')
    fill = "#{:02x}{:02x}{:02x}".format(*color)
    for n, (x, told) in enumerate(points):
        y = top + 4 + (ROW - 8) * SPREAD[n % len(SPREAD)]
        parts.append(f'<circle {POINT} cx="{x:.1f}" cy="{y:.1f}" r="3.2" fill="{fill}"><title>{escape(told)}</title></circle>')
    if box:
        parts.append(f'<path {MEDIAN} d="M{median:.1f} {top + 2}v{ROW - 4}"/>')
    return parts


def _told(case: str, value: float, metric: Metric) -> str:
    return f"{case}: {value:.{metric.digits}f}"
