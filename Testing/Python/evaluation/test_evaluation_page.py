"""The page: complete, safe and alone; and its pictures, which show what differs where it is."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from AttentionSegLib import RESEARCH_ONLY
from AttentionSegLib.evaluation import EMPTY_RULE, METRICS, Scores
from AttentionSegLib.evaluation.page import Data, Findings, page
from AttentionSegLib.evaluation.pictures import DASH, DASH_GAP, MARGIN, PIXELS, TITLE, dashes, draw_case
from AttentionSegLib.image import Image
from AttentionSegLib.inference import Prediction
from builders import make_card_document
from matplotlib.image import imread
from poses import AXES, affine_around
from tiny_models import make_card

DATA = Data("images", "labels", None, None)
RED = np.array([1.0, 0.0, 0.0])


def red_card(**changes: object):
    first, second = make_card_document()["labels"]
    return make_card(labels=[{**first, "color": [255, 0, 0]}, second], **changes)


def scores(values: list[float], **changes: object) -> Scores:
    """One number for each case, in all labels and metrics."""
    full = np.broadcast_to(np.array(values)[:, None, None], (len(values), 2, len(METRICS)))
    return Scores(make_card(**changes), tuple(f"case {n}" for n in range(len(values))), full)


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


@pytest.fixture
def report(done) -> str:
    return done.files[0].read_text(encoding="utf-8")


class TestPage:
    def test_says_what_was_measured_on_what_by_which_model(self, report):
        for wanted in ("hippocampus-t1", "without-specks", "1.0.0", "SHA-256 " + "0" * 64, RESEARCH_ONLY, EMPTY_RULE, "images", "labels"):
            assert wanted in report
        for metric in METRICS:
            assert report.count(f"<th>{metric.title}</th>") == 4
            assert metric.meaning in report

    def test_needs_nothing_from_elsewhere(self, report):
        tags = Tags(report).found
        assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in tags}
        addresses = [value for _, attributes in tags for name, value in attributes.items() if name in ("src", "href", "data", "srcset")]
        assert len(addresses) == 4
        assert all(address.startswith("data:image/png;base64,") for address in addresses)
        assert "http" not in re.sub(r"base64,[^\"]+", "", report)
        assert "url(" not in report
        assert "@import" not in report

    def test_pictures_the_worst_cases_and_the_worst_first(self, report):
        """Of 5 cases that of the highest Dice, a, is left out: all that is wrong there is a speck."""
        assert re.findall(r"<figcaption><b>(\w)</b>", report) == ["b", "d", "e", "c"]
        means = [float(number) for number in re.findall(r"mean Dice ([0-9.]+):", report)]
        assert means == sorted(means)
        for code in re.findall(r"base64,([^\"]+)", report):
            assert imread(io.BytesIO(base64.b64decode(code))).shape[1] > 1200

    def test_marks_differences_whose_interval_leaves_out_zero(self):
        better = page(Findings(scores([0.5, 0.6, 0.7]), scores([0.4, 0.5, 0.6]), DATA, []))
        equal = page(Findings(scores([0.5, 0.6, 0.7]), scores([0.5, 0.6, 0.7]), DATA, []))
        assert better.count('<td class="sure">') == 3 * len(METRICS)
        assert equal.count('<td class="sure">') == 0

    def test_tells_how_many_cases_a_mean_is_of_and_when_there_is_none(self):
        values = np.ones((3, 2, len(METRICS)))
        values[0, 0, 1] = values[:, 1, 2] = np.nan
        text = page(Findings(Scores(make_card(), ("a", "b", "c"), values), None, DATA, []))
        assert text.count("<small>n=2</small>") == 1
        assert text.count("undefined <small>n=0</small>") == 1


class TestPlots:
    def test_have_a_point_for_each_case_with_its_name(self):
        text = page(Findings(scores([0.5, np.nan, 0.75]), None, DATA, []))
        points = re.findall(r"<circle [^>]+><title>([^<]+)</title>", text)
        assert points[:4] == ["case 0: 0.500", "case 2: 0.750"] * 2
        assert len(points) == 4 * len(METRICS)
        assert text.count(">n=2</text>") == 2 * len(METRICS)

    @pytest.mark.parametrize("value", [0.0, 1.0, -100.0])
    def test_of_equal_numbers_are_drawn(self, value):
        assert "nan" not in page(Findings(scores([value, value]), None, DATA, []))

    def test_of_nothing_say_so(self):
        assert page(Findings(scores([np.nan]), None, DATA, [])).count("<p>Undefined in every case.</p>") == len(METRICS)


class TestPicture:
    """A black scan, seen in the axial picture, whose left is the patient's right."""

    shape = (41, 41, 41)
    affine = affine_around((0, 0, 0), shape, AXES["LPS"], (1, 1, 1))

    def axial(self, predicted: np.ndarray, reference: np.ndarray) -> np.ndarray:
        geometry = {"affine": self.affine}
        black = Image(np.zeros((1, *self.shape), np.float32), **geometry)
        prediction = Prediction(Image(predicted[None], **geometry), black, {}, None, red_card(), "cpu")
        picture = imread(io.BytesIO(draw_case(black, prediction, Image(reference[None].astype(np.float32), **geometry))))
        return picture[TITLE : TITLE + PIXELS, MARGIN : MARGIN + PIXELS, :3]

    def cube(self, *first: int) -> np.ndarray:
        labels = np.zeros(self.shape, np.uint8)
        labels[tuple(slice(start, start + 12) for start in first)] = 1
        return labels

    def columns(self, picture: np.ndarray, color: np.ndarray) -> np.ndarray:
        """Columns of the pixels of that color, in the middle of the picture where no letters are."""
        inner = picture[150:250, 30:370]
        return 30 + np.flatnonzero((np.abs(inner - color) < 0.15).all(-1).any(0))

    def test_shows_prediction_and_reference_where_they_are(self):
        # In LPS the first index grows to the patient's left, which is the right of the picture.
        picture = self.axial(self.cube(6, 14, 14), self.cube(23, 14, 14))
        predicted, true = self.columns(picture, RED), self.columns(picture, np.ones(3))
        scale = PIXELS / 41
        assert (predicted.min(), predicted.max()) == pytest.approx((6 * scale, 18 * scale), abs=3)
        assert (true.min(), true.max()) == pytest.approx((23 * scale, 35 * scale), abs=3)

    def test_planes_go_through_what_differs(self):
        """A speck high above what is right everywhere else."""
        reference = self.cube(14, 14, 4)
        predicted = reference.copy()
        predicted[18:22, 18:22, 34:38] = 1
        picture = self.axial(predicted, reference)
        assert np.ptp(self.columns(picture, RED)) < 5 * PIXELS / 41
        assert self.columns(picture, np.ones(3)).size == 0

    @pytest.mark.parametrize("filled", [(False, False), (True, False), (False, True), (True, True)])
    def test_is_drawn_where_either_is_empty(self, filled):
        labels = [self.cube(14, 14, 14) * has for has in filled]
        picture = self.axial(*labels)
        assert (self.columns(picture, RED).size > 0) == filled[0]
        assert (self.columns(picture, np.ones(3)).size > 0) == filled[1]


class TestDashes:
    def test_are_of_one_length_along_the_line(self):
        line = np.array([[0.0, 0.0], [10.0, 0.0], [10.0, 18.0]])
        found = list(dashes(line))
        lengths = [np.linalg.norm(np.diff(dash, axis=0), axis=1).sum() for dash in found]
        assert lengths == pytest.approx([DASH, DASH, 28 - 2 * (DASH + DASH_GAP)])
        np.testing.assert_allclose(found[0], [[0, 0], [6, 0]])

    def test_follow_a_corner(self):
        found = list(dashes(np.array([[0.0, 0.0], [3.0, 0.0], [3.0, 9.0]])))
        np.testing.assert_allclose(found[0], [[0, 0], [3, 0], [3, 3]])
