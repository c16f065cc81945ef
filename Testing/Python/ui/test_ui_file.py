"""AttentionSeg.ui as Qt Designer reads it, and what the code uses of it."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

MODULE = Path(__file__).resolve().parents[3] / "AttentionSeg"
ROOT = ElementTree.parse(MODULE / "Resources" / "UI" / "AttentionSeg.ui").getroot()
WIDGETS = {widget.get("name"): widget for widget in ROOT.iter("widget")}
CUSTOM = {entry.findtext("class") for entry in ROOT.iter("customwidget")}
SOURCES = [MODULE / "AttentionSeg.py", *sorted((MODULE / "AttentionSegLib" / "ui").glob("*.py"))]


def property_of(widget, name):
    found = next((entry for entry in widget.findall("property") if entry.get("name") == name), None)
    return None if found is None else "".join(found.itertext()).strip()


def used_names():
    """What follows `ui.` in the code, and the names that are put together from parts."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in SOURCES)
    names = set(re.findall(r"\b_?ui\.([a-z]\w+)", text)) - {path.stem for path in SOURCES}
    for section in ("batch", "train"):
        names |= {f"{section}{part}" for part in ("Button", "ProgressBar", "ReasonLabel", "MessageLabel", "ReportButton")}
    return names | {f"inputSelector{number}{part}" for number in range(1, 5) for part in ("", "Label")}


def test_every_widget_that_the_code_uses_is_there():
    assert used_names() - WIDGETS.keys() == set()
    assert len(used_names()) > 40


def test_every_widget_that_does_something_is_used():
    passive = re.compile(r"(Label|CollapsibleButton)$")
    assert {name for name in WIDGETS if not passive.search(name)} - used_names() == {"AttentionSeg"}


def test_names_are_unique():
    names = [widget.get("name") for widget in ROOT.iter("widget")]
    assert len(names) == len(set(names))


def test_classes_are_qts_or_declared():
    classes = {widget.get("class") for widget in WIDGETS.values()}
    assert {name for name in classes if not name.startswith("Q")} == CUSTOM - {"none"}
    assert {"qMRMLWidget", "qMRMLNodeComboBox", "ctkCollapsibleButton", "ctkSliderWidget"} <= classes


def test_every_selector_gets_the_scene():
    selectors = {name for name, widget in WIDGETS.items() if widget.get("class") in ("qMRMLNodeComboBox", "qMRMLColorTableComboBox")}
    receivers = {c.findtext("receiver") for c in ROOT.iter("connection") if c.findtext("slot") == "setMRMLScene(vtkMRMLScene*)"}
    assert receivers == selectors
    assert {c.findtext("sender") for c in ROOT.iter("connection")} == {"AttentionSeg"}


@pytest.mark.parametrize(
    "name", sorted(name for name in WIDGETS if re.search(r"(Button|Selector\d?|Slider|SpinBox|Edit|CheckBox|List|Table)$", name))
)
def test_what_can_be_used_says_what_it_does(name):
    if WIDGETS[name].get("class") != "ctkCollapsibleButton":
        assert len(property_of(WIDGETS[name], "toolTip") or "") > 10


def test_long_texts_wrap_in_a_narrow_panel():
    for name, widget in WIDGETS.items():
        if widget.get("class") == "QLabel" and not property_of(widget, "text"):
            assert property_of(widget, "wordWrap") == "true", name


def test_only_what_most_need_is_open():
    collapsed = {name for name, widget in WIDGETS.items() if property_of(widget, "collapsed") == "true"}
    assert collapsed == {f"{part}CollapsibleButton" for part in ("advanced", "batch", "train", "environment")}


def test_no_color_or_size_of_text_is_set():
    """Dark themes and large fonts are the user's choice."""
    text = (MODULE / "Resources" / "UI" / "AttentionSeg.ui").read_text(encoding="utf-8")
    assert "styleSheet" not in text
    assert "pointsize" not in text
    assert "palette" not in text
