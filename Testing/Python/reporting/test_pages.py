"""No name can become markup: a page with hostile names has the elements, attributes and scripts of a page with harmless ones."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote

import numpy as np
import pytest
from AttentionSegLib.batch import page as batch
from AttentionSegLib.batch.found import Skipped
from AttentionSegLib.batch.manifest import Entry
from AttentionSegLib.evaluation import METRICS, Scores
from AttentionSegLib.evaluation import page as evaluation
from AttentionSegLib.models import Card
from AttentionSegLib.reporting.pages import render
from AttentionSegLib.training.report import write_training_report
from builders import make_card_document
from jinja2 import UndefinedError
from tiny_models import make_card

# Each part breaks out of another place, if it is not escaped there: text, attributes in either kind of quotes or none, scripts and styles, comments,
# drawings, addresses, templates, formats, mathematics.
HOSTILE = " ".join(
    [
        "--><b><!--",
        "<script>alert(1)</script>",
        "\"><img src=x onerror='alert(1)'>",
        "' onmouseover='alert(1)",
        "x onclick=alert(1) y",
        "</script><script>alert(1)</script>",
        "</style></title></text></svg><b>",
        "javascript:alert(1)",
        "{{ 7 * 7 }}{% raw %}${alert(1)}",
        "&lt;b&gt; %s {0} {",
        r"$\frac{$ _a",
    ]
)
HARMLESS = "n" * len(HOSTILE)


class Skeleton(HTMLParser):
    """What a browser takes as markup: every element with the names of its attributes, and the content of scripts and styles. And what it does not."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.markup: list[tuple[str, ...]] = []
        self.texts: list[str] = []
        self.addresses: list[str] = []
        self._open = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self._open = tag
        self.markup.append((tag, *(name for name, _ in attributes)))
        self.addresses += [value for name, value in attributes if name in ("src", "href", "data-source")]

    def handle_endtag(self, tag):
        self._open = ""
        self.markup.append(("/", tag))

    def handle_comment(self, data):
        self.markup.append(("comment",))

    def handle_data(self, data):
        if self._open in ("script", "style"):
            self.markup.append((self._open, data))
        else:
            self.texts.append(data)


def card(name: str) -> Card:
    first, second = make_card_document()["labels"]
    found = make_card(title=name, labels=[{**first, "name": name}, {**second, "name": f"{name} 2"}])
    training = {"command": name, "train_cases": [name], "val_cases": [name], "epochs": 2}
    return replace(found, id=name, version=name, weights_sha256=name, raw={**found.raw, "training": training})


def scores(name: str) -> Scores:
    return Scores(card(name), (name, f"{name} 2"), np.ones((2, 2, len(METRICS))))


def picture(name: str) -> evaluation.Picture:
    return evaluation.Picture(name, b"png", 1.0, (1.0, 1.0))


def batch_page(name: str, folder: Path) -> str:
    label = {"voxels": 1000, "milliliters": 1.0, "mean_uncertainty": 0.5, "components": 2}
    done = Entry(name, "done", [name], "s", "h", "m", "w", {}, {"network": 1.0}, {f"{name}_overview.png": 1}, device=name)
    done.labels.extend({**label, "value": value, "name": found.name} for value, found in enumerate(card(name).labels, 1))
    other = replace(done, case=f"{name} 2", labels=[])
    failed = Entry(f"{name} 3", "failed", [name], None, None, "m", "w", {}, error=name)
    return batch.page(folder, card(name), [done, other, failed], [Skipped(name, name)])


def evaluation_page(name: str, folder: Path) -> str:
    data = evaluation.Data(name, name, name, name, (name, name))
    return evaluation.page(evaluation.Findings(scores(name), scores(name), data, [picture(name)]))


def training_page(name: str, folder: Path) -> str:
    (folder / "log" / "version_0").mkdir(parents=True, exist_ok=True)
    (folder / "log" / "version_0" / "metrics.csv").write_text("epoch,step,loss,val_dice,val_dice_1,val_dice_2\n0,1,1,0.5,0.5,0.5\n", encoding="utf-8")
    trained = SimpleNamespace(epoch=1, dice=0.5, notes=(name,))
    write_training_report(folder / "page.html", folder, trained, scores(name), [picture(name)], [name])
    return (folder / "page.html").read_text(encoding="utf-8")


def examples_page(name: str, folder: Path) -> str:
    return render("examples.html", card=card(name), count=12, picture=b"png")


def without_curves(page: str) -> str:
    """The drawing of matplotlib has an element for each letter of a name."""
    return re.sub(r'<svg [^>]*version="1.1">.*?</svg>', "", page, flags=re.DOTALL)


@pytest.mark.parametrize("make", [batch_page, evaluation_page, training_page, examples_page], ids=lambda make: make.__name__)
def test_no_name_becomes_markup(make: Callable[[str, Path], str], tmp_path: Path):
    harmless, hostile = (make(name, tmp_path) for name in (HARMLESS, HOSTILE))
    found = Skeleton(without_curves(hostile))
    assert found.markup == Skeleton(without_curves(harmless)).markup
    assert {element[0] for element in Skeleton(hostile).markup} == {element[0] for element in Skeleton(harmless).markup}
    assert any(HOSTILE in text for text in found.texts)
    for address in found.addresses:
        assert address.startswith(("data:image/png;base64,", "#case-")) or unquote(address).startswith(f"cases/{HOSTILE}")


def test_a_value_that_is_missing_is_an_error_and_no_gap():
    with pytest.raises(UndefinedError, match="card"):
        render("examples.html", count=12, picture=b"png")
