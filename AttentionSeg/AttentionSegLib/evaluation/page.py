"""The report of an evaluation as one page that needs no other file and no network."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from html import escape
from importlib.metadata import version

from .. import RESEARCH_ONLY, __version__
from ..models import Card
from .definitions import EMPTY_RULE, MEAN, METRICS
from .plots import strip_plot
from .statistics import RESAMPLES, Scores, Summary

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1d2430; background: #fff; max-width: 1280px; margin: 2em auto; padding: 0 1.5em; }
h1 { font-size: 1.6em; margin-bottom: 0; } h2 { font-size: 1.2em; margin: 2em 0 .4em; } h3 { font-size: 1em; margin: 1.4em 0 .2em; }
.research { font-weight: 600; color: #8a3b00; } .note { color: #566070; max-width: 62em; }
table { border-collapse: collapse; } th, td { padding: .3em .9em .3em 0; text-align: left; vertical-align: top; border-bottom: 1px solid #e3e7ec; }
.numbers td { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; } .numbers thead th + th { text-align: right; }
.numbers tr:last-child { font-weight: 600; } .wide { overflow-x: auto; } small { color: #566070; font-weight: 400; }
.sure { background: #fff3c4; } code { font-size: .88em; word-break: break-all; }
figure { margin: 1em 0 2em; } figure img { width: 100%; border-radius: 4px; } figcaption { margin-bottom: .4em; }
.swatch { display: inline-block; width: .8em; height: .8em; margin: 0 .3em 0 .8em; border: 1px solid #0004; }
svg { display: block; width: 100%; max-width: 920px; }
@media print { figure, svg { break-inside: avoid; } }
"""


@dataclass(frozen=True)
class Picture:
    """One case to look at: its id, the PNG, its mean Dice and that of each label."""

    case: str
    png: bytes
    mean_dice: float
    dice: tuple[float, ...]


@dataclass(frozen=True)
class Data:
    """What was measured on, as the user named it, and sentences on deviations of label maps that were accepted."""

    images: str
    labels: str
    split: str | None
    role: str | None
    notes: tuple[str, ...] = ()


def page(scores: Scores, compared: Scores | None, data: Data, pictures: Sequence[Picture]) -> str:
    """The page as HTML: models and data, means, differences, how the cases spread, and the pictures of the worst cases."""
    parts = [_facts(scores, compared, data), *means(scores)]
    if compared is not None:
        parts += _comparison(scores, compared)
    parts.append("<h2>Cases</h2>")
    parts.append(
        '<p class="note">A point is a case (the mouse shows its name), the box reaches from quartile to quartile, the line is the median.</p>'
    )
    for column, metric in enumerate(METRICS):
        parts += [f"<h3>{escape(metric.title)}</h3>", strip_plot(scores, metric, column)]
    parts += worst_cases(scores.card, pictures)
    parts.append("<h2>Definitions</h2><table>")
    parts += [f"<tr><th>{escape(metric.title)}</th><td>{escape(metric.meaning)}</td></tr>" for metric in METRICS]
    parts.append(f"</table><p class='note'>On the grid of each scan with its voxel spacing, by MONAI {version('monai')}.</p>")
    return document(f"{scores.card.title}: evaluation", parts)


def document(title: str, parts: Sequence[str]) -> str:
    """Parts of a page as a whole one, with a title and what the software is for."""
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title><style>{STYLE}</style>'
    body = "\n".join([f"<h1>{escape(title)}</h1>", f'<p class="research">{RESEARCH_ONLY}</p>', *parts])
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n</body></html>\n'


def facts(rows: Sequence[tuple[str, str]]) -> str:
    """A table of names and what stands for each, which is HTML."""
    return "<table>" + "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in rows) + "</table>"


def means(scores: Scores) -> list[str]:
    """The table of the means over the cases, and what its numbers are."""
    interval = (
        f"In parentheses: 95 % interval of the mean, by {RESAMPLES:,} bootstrap resamples of the cases. n: cases in the mean, where not all are."
    )
    note = f'<p class="note">{interval} Last line: mean of the labels of each case, then over the cases. {EMPTY_RULE}</p>'
    return ["<h2>Mean over the cases</h2>", _means(scores.summary()), note]


def _facts(scores: Scores, compared: Scores | None, data: Data) -> str:
    part = "" if data.split is None else f", those of the role <b>{escape(data.role)}</b> in <code>{escape(data.split)}</code>"
    rows = [
        ("Model", _named(scores)),
        *([] if compared is None else [("Compared with", _named(compared))]),
        ("Cases", f"{len(scores.cases)}{part}"),
        ("Scans", f"<code>{escape(data.images)}</code>"),
        ("Reference labels", f"<code>{escape(data.labels)}</code>"),
        *([("Notes", "<br>".join(escape(note) for note in data.notes))] if data.notes else []),
        ("Made", f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC, AttentionSeg {__version__}"),
    ]
    return facts(rows)


def _named(scores: Scores) -> str:
    card = scores.card
    run = f"patches overlap by {100 * card.overlap:.0f} %{', with mirroring' if scores.mirroring else ''}"
    return (
        f"<b>{escape(card.id)}</b> {escape(card.version)} <small>({escape(card.title)}; {run})</small><br>"
        f"<code>SHA-256 {escape(card.weights_sha256)}</code>"
    )


def _means(summary: Summary, mark: bool = False) -> str:
    """A line for each label; with `mark` the intervals that leave out 0 stand out."""
    head = "".join(f"<th>{escape(metric.title)}</th>" for metric in METRICS)
    most = max(numbers["n"] for by_metric in summary.values() for numbers in by_metric.values())
    lines = []
    for name, by_metric in summary.items():
        cells = []
        for metric in METRICS:
            numbers = by_metric[metric.key]
            sure = mark and numbers["low"] is not None and (numbers["low"] > 0 or numbers["high"] < 0)
            n = f" <small>n={numbers['n']}</small>" if numbers["n"] < most else ""
            cells.append(f"<td{' class=sure' if sure else ''}>{_with_interval(numbers, metric.digits)}{n}</td>")
        lines.append(f"<tr><th>{'Mean of the labels' if name == MEAN else escape(name)}</th>{''.join(cells)}</tr>")
    return f'<div class="wide"><table class="numbers"><thead><tr><th></th>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'


def _with_interval(numbers: dict[str, float | None], digits: int) -> str:
    if numbers["mean"] is None:
        return "undefined"
    mean = f"{numbers['mean']:.{digits}f}"
    return mean if numbers["low"] is None else f"{mean} <small>({numbers['low']:.{digits}f} to {numbers['high']:.{digits}f})</small>"


def _comparison(scores: Scores, compared: Scores) -> list[str]:
    other = escape(f"{compared.card.id} {compared.card.version}")
    this = escape(f"{scores.card.id} {scores.card.version}")
    note = (
        "Each case is its own pair; a label that is undefined for one of the models is left out. "
        "Marked: intervals that leave out 0, not corrected for the number of comparisons."
    )
    return [
        f"<h2>The same of {other}</h2>",
        _means(compared.summary()),
        f"<h2>Difference: {this} minus {other}</h2>",
        _means(scores.minus(compared), mark=True),
        f'<p class="note">{note}</p>',
    ]


def worst_cases(card: Card, pictures: Sequence[Picture]) -> list[str]:
    """The pictures, the Dice of each label above them."""
    note = (
        "Solid, in the color of the label: prediction. Dashed white: reference. "
        "The planes go through where they differ; the patient's right is on the left."
    )
    parts = ["<h2>Cases of the lowest mean Dice</h2>", f'<p class="note">{note}</p>']
    for picture in pictures:
        dice = "".join(
            f'<span class="swatch" style="background: rgb{label.color}"></span>{escape(label.name)} {value:.3f}'
            for label, value in zip(card.labels, picture.dice)
        )
        source = base64.b64encode(picture.png).decode("ascii")
        alt = escape(f"Prediction and reference of {picture.case} in three planes")
        caption = f"<figcaption><b>{escape(picture.case)}</b>, mean Dice {picture.mean_dice:.3f}:{dice}</figcaption>"
        parts.append(f'<figure>{caption}<img alt="{alt}" src="data:image/png;base64,{source}"></figure>')
    return parts
