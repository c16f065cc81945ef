"""The page of a batch: what stands in it, and what it does in a browser."""

from __future__ import annotations

import os
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from AttentionSegLib.batch.found import Skipped
from AttentionSegLib.batch.manifest import Entry
from AttentionSegLib.batch.page import page
from AttentionSegLib.batch.results import write_results
from builders import make_card_document
from tiny_models import make_card

ODD = '<b>"odd" & ä'
CARD = make_card()


def done(case: str, front: float, back: float, uncertainty: float) -> Entry:
    names = [entry["name"] for entry in make_card_document()["labels"]]
    labels = [
        {"value": n, "name": name, "voxels": int(1000 * ml), "milliliters": ml, "mean_uncertainty": uncertainty if ml else None, "components": 1}
        for n, (name, ml) in enumerate(zip(names, (front, back)), 1)
    ]
    outputs = {f"{case}_segmentation.seg.nrrd": 3, f"{case}_overview.png": 3}
    return Entry(case, "done", [f"/in/{case}.nii"], "s", "h", "m", "w", {}, {"network": 2.0}, outputs, labels, "cpu")


ENTRIES = [
    done("n2", 1.5, 2, 0.1),
    Entry("bad", "failed", ["/in/bad.nii"], None, None, "m", "w", {}, error=f"There is no {ODD}; give one."),
    done("n10", 12, 0, 0.3),
    done(ODD, 3, 4, 0.2),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Results with an overview picture of each case."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("results")
    for entry in ENTRIES:
        for name in entry.outputs:
            (folder / "cases" / entry.case).mkdir(parents=True, exist_ok=True)
            if name.endswith(".png"):
                Image.fromarray(np.full((1100, 1584, 3), 99, np.uint8)).save(folder / "cases" / entry.case / name)
    write_results(folder, CARD, ENTRIES, [Skipped("/in/scout", "a localizer")])
    return folder


class Outline(HTMLParser):
    """Text of the rows of each table, and every address in the page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: dict[str | None, list[str]] = {}
        self.addresses: list[str] = []
        self._table: str | None = None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.addresses += [attributes[name] for name in ("src", "href", "data-source") if attributes.get(name)]
        if tag == "table":
            self._table = attributes.get("id", "")
            self.tables[self._table] = []
        if tag == "tr":
            self.tables[self._table].append("")

    def handle_endtag(self, tag):
        if tag == "table":
            self._table = None

    def handle_data(self, data):
        if self.tables.get(self._table):
            self.tables[self._table][-1] += data + " "


@pytest.fixture(scope="module")
def text(folder) -> str:
    return (folder / "report.html").read_text(encoding="utf-8")


class TestPage:
    def test_failures_come_first_with_their_reasons_then_the_unsure(self, text):
        tables = Outline(text).tables
        assert [row.strip() for row in tables["failures"]] == [f"bad There is no {ODD}; give one."]
        assert [row.split()[0] for row in tables["cases"][1:]] == ["bad", "n10", '<b>"odd"', "n2"]
        assert "Hippocampus posterior missing" in tables["cases"][2]
        assert [re.sub(r"\s+", " ", row).strip() for row in tables["cases"][-1:]] == ["n2 1.5 2 0.1 2"]

    def test_needs_nothing_but_the_pictures_of_its_folder(self, text, folder):
        from urllib.parse import unquote

        for address in Outline(text).addresses:
            assert address.startswith(("data:image/jpeg;base64,", "#case-")) or (folder / unquote(address)).is_file()
        assert not re.search(r"https?://", text)

    def test_tells_what_was_passed_over(self, text):
        assert "/in/scout" in text
        assert "a localizer" in text

    def test_without_a_case_that_is_done(self, tmp_path):
        assert "<b>0</b> done <b>1</b> failed" in page(tmp_path, CARD, ENTRIES[1:2], [])


def browser_path() -> str | None:
    return os.environ.get("ATTENTIONSEG_CHROMIUM") or next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="module")
def tab(folder):
    """The page in a browser, from its file."""
    playwright = pytest.importorskip("playwright.sync_api")
    if browser_path() is None:
        pytest.skip("no Chromium here; set ATTENTIONSEG_CHROMIUM to one")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=browser_path(), args=["--no-sandbox", "--no-zygote", "--single-process", "--disable-gpu"])
        tab = browser.new_page()
        errors = []
        tab.on("pageerror", lambda error: errors.append(error))
        tab.goto((folder / "report.html").as_uri())
        yield tab
        assert errors == []


class TestBrowser:
    def names(self, tab) -> list[str]:
        return tab.eval_on_selector_all("#cases tbody tr:not([hidden]) td.name", "cells => cells.map(cell => cell.textContent)")

    def test_sorts_by_a_column_up_and_down_with_failures_last(self, tab):
        tab.click("text=Hippocampus anterior, mL")
        assert self.names(tab) == ["n2", ODD, "n10", "bad"]
        tab.click("text=Hippocampus anterior, mL")
        assert self.names(tab) == ["n10", ODD, "n2", "bad"]
        tab.click("#cases th >> text=Case")
        assert self.names(tab)[-2:] == ["n2", "n10"]

    def test_filters_by_words_and_by_state(self, tab):
        tab.fill("#search", "POSTERIOR missing")
        assert self.names(tab) == ["n10"]
        assert tab.text_content("#shown") == "1 of 4 cases"
        tab.fill("#search", "")
        tab.select_option("#state", "failed")
        assert self.names(tab) == ["bad"]
        tab.select_option("#state", "flagged")
        assert self.names(tab) == ["n10"]
        tab.select_option("#state", "all")
        assert len(self.names(tab)) == 4

    def test_opens_a_picture_in_full_size(self, tab):
        tab.click("#queue button.picture >> nth=1")
        tab.wait_for_function("document.querySelector('#enlarged img').naturalWidth === 1584")
        assert tab.is_visible("#enlarged")
        assert tab.text_content("#enlarged b") == ODD
        tab.click("#enlarged p")
        assert not tab.is_visible("#enlarged")

    def test_a_point_leads_to_its_row(self, tab):
        tab.eval_on_selector("svg a >> nth=0", "point => location.hash = point.getAttribute('href')")
        assert tab.eval_on_selector("tr:target td.name", "cell => cell.textContent") == "n10"
