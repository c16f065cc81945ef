"""The report of a batch as one page that needs no network and, but for pictures in full size, no other file."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from html import escape
from pathlib import Path
from urllib.parse import quote

from .. import RESEARCH_ONLY, __version__
from ..models import Card, Label, card_of_sides
from .flags import case_uncertainty, flags_of
from .found import CASES, Skipped
from .manifest import DONE, Entry
from .page_script import SCRIPT, STYLE
from .plots import volume_plot
from .thumbnails import thumbnail

IN_QUEUE = 12
# A page with so many pictures has about 8 MB; the pictures of further cases open from their files.
MOST_PICTURES = 1000
MOST_SKIPPED = 200


def page(folder: Path, card: Card, entries: Sequence[Entry], skipped: Sequence[Skipped]) -> str:
    """The page as HTML: failures, which cases to look at first, how the volumes spread, and a row for each case.

    Args:
        folder: of the results, where the pictures are.
        card: of the model.
        entries: how each case ended.
        skipped: what was passed over in the search for cases.
    """
    ranked = sorted(entries, key=_rank)
    done = [entry for entry in ranked if entry.state == DONE]
    failures = [entry for entry in ranked if entry.state != DONE]
    anchors = {entry.case: f"case-{n}" for n, entry in enumerate(ranked)}
    flags = flags_of(done)
    labels = _labels(card, done)
    pictures = {entry.case: _picture(folder, entry, n) for n, entry in enumerate(done)}
    parts = [f"<h1>{escape(card.title)}: {len(entries)} cases</h1>", f'<p class="research">{RESEARCH_ONLY}</p>']
    parts.append(f'<p class="counts"><b>{len(done)}</b> done <b>{len(failures)}</b> failed <b>{sum(map(bool, flags.values()))}</b> with a flag</p>')
    parts.append(_facts(card, done))
    if failures:
        rows = "".join(f'<tr><td class="name">{escape(entry.case)}</td><td class="error">{escape(entry.error)}</td></tr>' for entry in failures)
        parts.append(f'<h2>Failed</h2><table id="failures">{rows}</table>')
    if done:
        parts += _queue(done, flags, pictures, anchors)
        parts += _volumes(labels, done, anchors)
    parts += _table(labels, ranked, flags, pictures, anchors)
    if skipped:
        rows = "".join(f"<tr><td><code>{escape(one.path)}</code></td><td>{escape(one.reason)}</td></tr>" for one in skipped[:MOST_SKIPPED])
        more = f'<p class="note">and {len(skipped) - MOST_SKIPPED} more</p>' if len(skipped) > MOST_SKIPPED else ""
        parts.append(f"<h2>Passed over</h2><table>{rows}</table>{more}")
    parts.append('<dialog id="enlarged"><p><b></b> <a target="_blank">file</a></p><img alt=""></dialog>')
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(card.id)}: {len(entries)} cases</title>'
    body = "\n".join(parts)
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}<style>{STYLE}</style></head>\n<body>\n{body}\n<script>{SCRIPT}</script></body></html>\n'


def _labels(card: Card, done: Sequence[Entry]) -> list[Label]:
    """The labels of the model, or, where its regions were found, those of each region; of both where scans of both kinds were done."""
    if card.found_by is None or not done:
        return list(card.labels)
    named = {label["name"] for entry in done for label in entry.labels}
    return [label for label in (*card.labels, *card_of_sides(card).labels) if label.name in named]


def _rank(entry: Entry) -> tuple[bool, float, str]:
    """Failures first, then those without any label, then from unsure to sure."""
    uncertainty = case_uncertainty(entry)
    return entry.state == DONE, -2.0 if uncertainty is None else -uncertainty, entry.case


def _facts(card: Card, done: Sequence[Entry]) -> str:
    seconds = sorted(sum(entry.seconds.values()) - entry.seconds.get("wait", 0) for entry in done)
    rows = [
        ("Model", f"<b>{escape(card.id)}</b> {escape(card.version)}<br><code>SHA-256 {escape(card.weights_sha256)}</code>"),
        ("Computed on", escape(", ".join(sorted({entry.device for entry in done})) or "-")),
        ("Seconds a case", f"median {seconds[len(seconds) // 2]:.1f}, longest {seconds[-1]:.1f}" if seconds else "-"),
        ("Made", f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC, AttentionSeg {__version__}"),
    ]
    return "<table>" + "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in rows) + "</table>"


def _picture(folder: Path, entry: Entry, place: int) -> str:
    """The button that opens the overview, with a small picture on it for the first cases."""
    name = next((name for name in entry.outputs if name.endswith("_overview.png")), None)
    if name is None:
        return ""
    small = thumbnail(folder / CASES / entry.case / name) if place < MOST_PICTURES else None
    title = escape(entry.case)
    inside = f'<img src="{small}" width="306" height="100" alt="Outlines of {title}" loading="lazy">' if small else "picture"
    source = f"{CASES}/{quote(entry.case)}/{quote(name)}"
    return f'<button class="picture" data-source="{source}" data-title="{title}">{inside}</button>'


def _queue(done: Sequence[Entry], flags: dict[str, list[str]], pictures: dict[str, str], anchors: dict[str, str]) -> list[str]:
    note = "Where the network was least sure, by the mean uncertainty of the labeled voxels from 0 (sure) to 1; cases without any label first."
    figures = []
    for entry in done[:IN_QUEUE]:
        uncertainty = case_uncertainty(entry)
        told = "no label found" if uncertainty is None else f"uncertainty {uncertainty:.3f}"
        marks = "".join(f'<br><span class="flag">{escape(flag)}</span>' for flag in flags[entry.case])
        caption = f'<figcaption><a href="#{anchors[entry.case]}">{escape(entry.case)}</a>, {told}{marks}</figcaption>'
        figures.append(f"<figure>{pictures[entry.case]}{caption}</figure>")
    return ["<h2>Look at these first</h2>", f'<p class="note">{note}</p>', f'<div class="queue" id="queue">{"".join(figures)}</div>']


def _volumes(labels: Sequence[Label], done: Sequence[Entry], anchors: dict[str, str]) -> list[str]:
    parts = [
        "<h2>Volumes</h2>",
        '<p class="note">A point is a case (the mouse shows its name, a click its row); the box reaches from quartile to quartile.</p>',
    ]
    for label in labels:
        volumes = {entry.case: one["milliliters"] for entry in done for one in entry.labels if one["name"] == label.name and one["voxels"]}
        parts.append(volume_plot(label.name, label.color, volumes, anchors) if volumes else f"<p>{escape(label.name)}: in no case.</p>")
    return parts


def _table(
    labels: Sequence[Label], ranked: Sequence[Entry], flags: dict[str, list[str]], pictures: dict[str, str], anchors: dict[str, str]
) -> list[str]:
    columns = [("Case", "text"), *((f"{label.name}, mL", "number") for label in labels)]
    columns += [("Uncertainty", "number"), ("Seconds", "number"), ("Flags", "number"), ("Picture", None)]
    heads = "".join(
        f'<th data-kind="{kind}"><button class="sort">{escape(name)}</button></th>' if kind else f"<th>{escape(name)}</th>" for name, kind in columns
    )
    rows = "".join(_row(labels, entry, flags.get(entry.case, []), pictures.get(entry.case, ""), anchors[entry.case]) for entry in ranked)
    states = "".join(f'<option value="{value}">{name}</option>' for value, name in (("all", "all"), ("failed", "failed"), ("flagged", "with a flag")))
    tools = (
        f'<input type="search" id="search" placeholder="Search cases, flags, reasons"> <select id="state">{states}</select> <span id="shown"></span>'
    )
    table = f'<table id="cases"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>'
    return ["<h2>All cases</h2>", f'<div class="tools">{tools}</div>', f'<div class="wide">{table}</div>']


def _row(labels: Sequence[Label], entry: Entry, flags: list[str], picture: str, anchor: str) -> str:
    title = escape(entry.case)
    name = f'<td class="name" data-value="{title}" title="{escape(" ".join(entry.inputs))}">{title}</td>'
    if entry.state != DONE:
        reason = f'<td class="error" colspan="{len(labels) + 4}" data-value="">{escape(entry.error)}</td>'
        return f'<tr id="{anchor}" class="failed" data-flags="0">{name}{reason}</tr>'
    volumes = {label["name"]: label["milliliters"] for label in entry.labels}
    numbers = [
        *(volumes.get(label.name) for label in labels),
        case_uncertainty(entry),
        sum(entry.seconds.values()) - entry.seconds.get("wait", 0),
    ]
    cells = "".join(f'<td class="number" data-value="{_exact(value)}">{_short(value)}</td>' for value in numbers)
    marks = "".join(f'<span class="flag">{escape(flag)}</span>' for flag in flags)
    return f'<tr id="{anchor}" data-flags="{len(flags)}">{name}{cells}<td data-value="{len(flags)}">{marks}</td><td>{picture}</td></tr>'


def _exact(value: float | None) -> str:
    return "" if value is None else f"{value:.9g}"


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
