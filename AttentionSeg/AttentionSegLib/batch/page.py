"""The HTML report of a batch: one page that needs no network, and no other file except for full-size pictures."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from ..models import Card, Label, card_of_sides
from ..reporting import STATISTICS
from ..reporting.label_statistics import size_of
from ..reporting.pages import render
from ..reporting.spread import spread
from .flags import case_uncertainty, flags_of
from .found import CASES, Skipped
from .manifest import DONE, Entry
from .thumbnails import thumbnail

# A page with this many thumbnails has about 8 MB; further cases have links to their pictures only.
MOST_PICTURES = 1000


@dataclass(frozen=True)
class CaseRow:
    """A case on the page.

    Attributes:
        entry: its line of the manifest.
        anchor: id of its row.
        uncertainty: see `case_uncertainty`.
        flags: see `flags_of`.
        numbers: in its row: size of each label, uncertainty, seconds.
        picture: path of its overview relative to the page; empty if there is none.
        thumbnail: source of the small picture; None if there is none.
    """

    entry: Entry
    anchor: str
    uncertainty: float | None
    flags: list[str]
    numbers: list[float | None]
    picture: str
    thumbnail: str | None

    @property
    def failed(self) -> bool:
        return self.entry.state != DONE


def page(folder: Path, card: Card, entries: Sequence[Entry], skipped: Sequence[Skipped], gone: Collection[str] = ()) -> str:
    """The page as HTML: failures, cases to check first, distribution of volumes, and a row for each case.

    Args:
        folder: of the results, with the pictures.
        card: of the model.
        entries: lines of the manifest.
        skipped: what the search for cases skipped.
        gone: names of the cases whose scans no longer exist.
    """
    done = [entry for entry in entries if entry.state == DONE]
    labels, flags = _labels(card, done), flags_of(done, gone)
    failures = len(entries) - len(done)
    # Pictures are read and made smaller by all processors.
    with ThreadPoolExecutor() as pool:
        ranked = enumerate(sorted(entries, key=_rank))
        rows = list(pool.map(lambda place: _row(folder, place[1], labels, flags, place[0], place[0] - failures < MOST_PICTURES), ranked))
    seconds = [_seconds(entry) for entry in done]
    unit = next((size_of(label)[1] for entry in done for label in entry.labels), "mL")
    return render(
        "batch.html",
        card=card,
        rows=rows,
        seconds=(sorted(seconds)[len(seconds) // 2], max(seconds)) if seconds else (),
        spreads=[
            spread(label, {row.entry.case: number for row in rows if (number := row.numbers[n])}, "{:.3g} " + unit) for n, label in enumerate(labels)
        ],
        anchors={row.entry.case: row.anchor for row in rows},
        labels=labels,
        statistics=[_statistics(label, done) for label in labels],
        unit=unit,
        headings=[statistic.title for statistic in STATISTICS],
        skipped=skipped,
    )


def _labels(card: Card, done: Sequence[Entry]) -> list[Label]:
    """The labels of the model, or those of each region if its regions were found; both if the batch has cases of both kinds."""
    if card.found_by is None or not done:
        return list(card.labels)
    named = {label["name"] for entry in done for label in entry.labels}
    return [label for label in (*card.labels, *card_of_sides(card).labels) if label.name in named]


def _statistics(label: Label, done: Sequence[Entry]) -> tuple[str, int, list[str]]:
    """Name of a label, number of cases that have it, and the median over these of each of STATISTICS as text."""
    found = [one for entry in done for one in entry.labels if one["name"] == label.name and one["voxels"]]
    numbers = [[one[statistic.key] for one in found if one.get(statistic.key) is not None] for statistic in STATISTICS]
    return label.name, len(found), [format(median(values), ".4g") if values else "" for values in numbers]


def _rank(entry: Entry) -> tuple[bool, float, str]:
    """Sort key: failures first, then cases without any label, then by decreasing uncertainty."""
    uncertainty = case_uncertainty(entry)
    return entry.state == DONE, -2.0 if uncertainty is None else -uncertainty, entry.case


def _row(folder: Path, entry: Entry, labels: Sequence[Label], flags: dict[str, list[str]], place: int, with_thumbnail: bool) -> CaseRow:
    name = next((name for name in entry.outputs if name.endswith("_overview.png")), None)
    picture = f"{CASES}/{entry.case}/{name}" if name else ""
    volumes = {label["name"]: size_of(label)[0] for label in entry.labels}
    uncertainty = case_uncertainty(entry)
    return CaseRow(
        entry,
        anchor=f"case-{place}",
        uncertainty=uncertainty,
        flags=flags.get(entry.case, []),
        numbers=[*(volumes.get(label.name) for label in labels), uncertainty, _seconds(entry)],
        picture=picture,
        thumbnail=thumbnail(folder / picture) if picture and with_thumbnail else None,
    )


def _seconds(entry: Entry) -> float:
    return sum(entry.seconds.values()) - entry.seconds.get("wait", 0)
