"""The picture of a result, as a file that somebody opens."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import AttentionSegLib
import matplotlib
import nibabel
import numpy as np
import pytest
from AttentionSegLib.errors import OutputError
from AttentionSegLib.image import Image
from AttentionSegLib.inference.prediction import Prediction
from AttentionSegLib.models import Card
from AttentionSegLib.reporting import write_overview
from AttentionSegLib.reporting.intensities import gray_ends, heat_ends
from AttentionSegLib.reporting.overview_layout import LARGE, MOST_LARGE, Strip, lay_out
from AttentionSegLib.reporting.sheet import DENSEST_HEAT, HEAT_COLORS, OUTSIDE, Sheet, outlines, round_length
from builders import make_card_document
from matplotlib.image import imread
from predictions import AXES, affine_around, coarse_map, make_prediction

SHAPE = (40, 30, 24)


def make_scan(maps: int = 2, axes: np.ndarray = AXES["oblique"]) -> tuple[Image, Prediction]:
    affine = affine_around((25, -20, -15), SHAPE, axes, (1.0, 1.5, 2.0))
    image = Image(np.random.default_rng(0).normal(100, 20, (1, *SHAPE)).astype(np.float32), affine, "Scan of a phantom")
    labels = np.zeros(SHAPE, np.uint8)
    labels[12:20, 8:20, 8:16] = 1
    labels[20:28, 8:20, 8:16] = 2
    return image, make_prediction(labels, affine, {f"gate_{n}": coarse_map(image, 2 ** (n % 3 + 1), n) for n in range(maps)})


def shifted(voxels: int) -> np.ndarray:
    """An affine that shifts along the second axis."""
    affine = np.eye(4)
    affine[1, 3] = voxels
    return affine


def picture_of(strip: Strip, view: int, page: np.ndarray) -> np.ndarray:
    """The pixels of one of the three pictures of a strip."""
    left = strip.places[view]
    return page[strip.top : strip.top + strip.size, left : left + strip.size, :3]


def center_of(picture: np.ndarray, color: np.ndarray) -> np.ndarray:
    """Mean row and column of the pixels with about that color, 0..1."""
    return np.argwhere(np.abs(picture - color).max(axis=-1) < 0.1).mean(axis=0)


class TestWriteOverview:
    @pytest.mark.parametrize("maps", [0, 2, 6])
    def test_has_a_place_for_every_map(self, maps, tmp_path):
        image, prediction = make_scan(maps)
        write_overview(image, prediction, tmp_path / "overview.png")
        page = imread(tmp_path / "overview.png")
        layout = lay_out(maps + 1)
        assert page.shape[:2] == (layout.height, 1584)
        for strip in [layout.anatomy, *layout.maps]:
            for view in range(3):
                assert picture_of(strip, view, page).std() > 0.02

    @pytest.mark.parametrize("maps", [1, 6])
    def test_names_the_maps_in_words_with_their_ids_below(self, maps, tmp_path, monkeypatch):
        written: list[str] = []
        monkeypatch.setattr(Sheet, "text", lambda self, x, y, text, *args, **style: written.append(text))
        write_overview(*make_scan(maps), tmp_path / "overview.png")
        text = " ".join(written)
        assert "Attention gate, level 0 (2 x 3 x 4 mm) gate_0" in text
        assert "Uncertainty" in written

    @pytest.mark.parametrize("known", [True, False])
    def test_of_a_single_slice_only_its_own_view_is_shown(self, known, tmp_path, monkeypatch):
        """In whole, though it lies oblique in the patient; without a spacing in pixels."""
        written: list[str] = []
        monkeypatch.setattr(Sheet, "_write", lambda self, x, y, text, *args, **style: written.append(text))
        image, prediction = make_scan(2)
        thin = [replace(one, voxels=one.voxels[:, :, 11:12], spacing_known=known) for one in (image, prediction.labels, prediction.uncertainty)]
        maps = {name: replace(heat, voxels=heat.voxels[:, :, 3:4]) for name, heat in prediction.attention.items()}
        image, labels, uncertainty = (replace(one, affine=one.affine @ shifted(11)) for one in thin)
        maps = {name: replace(heat, affine=image.affine @ np.diag([2, 2, 1, 1])) for name, heat in maps.items()}
        write_overview(image, replace(prediction, labels=labels, uncertainty=uncertainty, attention=maps), tmp_path / "overview.png")
        page, layout = imread(tmp_path / "overview.png"), lay_out(3, pictures=1)
        assert page.shape[0] == layout.height
        (view,) = [text for text in written if text.startswith(("axial", "coronal", "sagittal"))]
        assert view.endswith(" mm") == known
        assert any(text.endswith("mm") for text in written) == known
        assert ("40 x 24 pixels of unknown size" in written) != known
        for strip in [layout.anatomy, *layout.maps]:
            shown = np.abs(picture_of(strip, 0, page) - OUTSIDE).max(axis=-1) > 0.02
            assert shown.mean() > 0.5

    def test_right_front_and_head_are_on_the_left_and_up(self, tmp_path):
        """Label 1, red, lies to the right, the front and the head of label 2, blue, on a grid that runs the other way."""
        labels = np.zeros((41, 41, 41), np.uint8)
        labels[8:21, 8:21, 8:21], labels[20:33, 20:33, 20:33] = 1, 2
        document = make_card_document()
        for entry, color in zip(document["labels"], ([255, 0, 0], [0, 0, 255])):
            entry["color"] = color
        affine = affine_around((0, 0, 0), labels.shape, -np.eye(3), (1.0, 1.0, 1.0))
        prediction = replace(make_prediction(labels, affine), card=Card.from_document(document))
        write_overview(Image(np.zeros((1, *labels.shape), np.float32), affine), prediction, tmp_path / "overview.png")
        page = imread(tmp_path / "overview.png")
        for view in range(3):
            picture = picture_of(lay_out(1).anatomy, view, page)
            assert (center_of(picture, np.array([1, 0, 0])) < center_of(picture, np.array([0, 0, 1])) - 50).all()

    def test_heat_is_where_the_attention_is(self, tmp_path):
        image, prediction = make_scan(0, AXES["lps"])
        ras = image.to_ras(np.moveaxis(np.indices(SHAPE), 0, -1))
        heat = np.exp(-np.linalg.norm(ras - image.to_ras([14, 14, 12]), axis=-1) / 3)[None].astype(np.float32)
        black = Image(np.zeros_like(image.voxels), image.affine)
        write_overview(black, replace(prediction, attention={"gate": Image(heat, image.affine)}), tmp_path / "overview.png")
        axial = picture_of(lay_out(2).maps[0], 0, imread(tmp_path / "overview.png"))
        # The blob is 5.5 mm to the right and 0.75 mm to the front of the middle of the image, which is 45 mm long.
        warmth = np.clip(axial[..., 0] - axial[..., 2], 0, None)
        row, column = (np.average(index, weights=warmth) / LARGE for index in np.indices(warmth.shape))
        assert column == pytest.approx(0.5 - 5.5 / 45, abs=0.02)
        assert row == pytest.approx(0.5 - 0.75 / 45, abs=0.02)

    def test_an_empty_segmentation_is_drawn_too(self, tmp_path):
        image, prediction = make_scan(0)
        empty = replace(prediction, labels=Image(np.zeros_like(prediction.labels.voxels), image.affine))
        write_overview(image, empty, tmp_path / "empty.png")
        assert imread(tmp_path / "empty.png").std() > 0.02

    def test_several_channels_and_odd_names_are_drawn(self, tmp_path):
        image, prediction = make_scan(0)
        two = Image(np.concatenate([image.voxels, image.voxels]), image.affine, "$x_{1}$ \\frac " + "very " * 60 + "long")
        write_overview(two, prediction, tmp_path / "Überblick.png", title="50 % {of} $it")
        assert (tmp_path / "Überblick.png").stat().st_size > 10_000

    def test_values_that_are_no_numbers_do_not_spoil_the_rest(self, tmp_path):
        image, prediction = make_scan(0)
        voxels = image.voxels.copy()
        voxels[0, :5] = np.nan
        write_overview(Image(voxels, image.affine), prediction, tmp_path / "overview.png")
        assert picture_of(lay_out(1).anatomy, 0, imread(tmp_path / "overview.png")).std() > 0.02

    def test_maps_outside_of_the_view_are_clear(self, tmp_path):
        image, prediction = make_scan(0)
        far = image.affine.copy()
        far[:3, 3] += 1000
        write_overview(image, replace(prediction, attention={"far": Image(np.ones((1, 4, 4, 4), np.float32), far)}), tmp_path / "overview.png")
        picture = picture_of(lay_out(2).maps[0], 0, imread(tmp_path / "overview.png"))
        assert np.ptp(picture, axis=-1).max() < 0.2

    def test_a_failing_write_leaves_nothing(self, tmp_path):
        image, prediction = make_scan(0)
        (tmp_path / "taken.png").mkdir()
        with pytest.raises(OutputError, match="taken"):
            write_overview(image, prediction, tmp_path / "taken.png")
        assert [path.name for path in tmp_path.iterdir()] == ["taken.png"]

    def test_leaves_the_settings_of_matplotlib_alone(self, tmp_path):
        before = dict(matplotlib.rcParams)
        write_overview(*make_scan(0), tmp_path / "overview.png")
        assert dict(matplotlib.rcParams) == before

    def test_without_matplotlib_the_rest_works_and_the_picture_says_what_is_missing(self):
        script = """
import sys
sys.modules["matplotlib"] = None
from AttentionSegLib.errors import InputError
from AttentionSegLib.reporting import measure, run_report, write_overview
try:
    write_overview(None, None, "overview.png")
except InputError as error:
    print(error)
"""
        environment = {**os.environ, "PYTHONPATH": str(Path(AttentionSegLib.__file__).parents[1])}
        run = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
        assert "needs matplotlib" in run.stdout
        assert "pip install matplotlib" in run.stdout

    def test_a_real_scan_shows_its_labels_in_their_colors(self, data_folder: Path, tmp_path):
        scan = nibabel.load(data_folder / "hippocampus" / "images" / "hippocampus_001.nii.gz")
        truth = nibabel.load(data_folder / "hippocampus" / "labels" / "hippocampus_001.nii.gz")
        prediction = make_prediction(np.asarray(truth.dataobj), truth.affine)
        write_overview(Image(scan.get_fdata(dtype=np.float32)[None], scan.affine), prediction, tmp_path / "overview.png")
        sagittal = picture_of(lay_out(1).anatomy, 2, imread(tmp_path / "overview.png"))
        anterior, posterior = (center_of(sagittal, np.array(label.color) / 255) for label in prediction.card.labels)
        # The front of the patient is on the left of a sagittal picture.
        assert anterior[1] < posterior[1]


class TestLayout:
    def test_nothing_overlaps_and_all_is_on_the_sheet(self):
        for maps in range(1, 25):
            layout = lay_out(maps)
            strips = [layout.anatomy, *layout.maps]
            assert len(layout.maps) == maps
            boxes = [(s.left, s.top, s.side, s.top + s.size) for s in strips]
            for index, (left, top, right, bottom) in enumerate(boxes):
                assert right < 1584
                assert bottom < layout.foot[1] < layout.height
                for other in boxes[index + 1 :]:
                    assert right <= other[0] or other[2] <= left or bottom <= other[1] or other[3] <= top

    def test_few_maps_are_large_and_many_stand_two_in_a_line(self):
        assert {strip.size for strip in lay_out(MOST_LARGE).maps} == {LARGE}
        many = lay_out(MOST_LARGE + 1).maps
        assert many[0].top == many[1].top
        assert many[0].size < LARGE


class TestIntensities:
    def test_ct_has_the_window_of_soft_tissue(self):
        assert gray_ends(np.array([-1000.0, 3000.0]), "CT") == (-160.0, 240.0)

    def test_a_few_hot_voxels_do_not_darken_an_mr(self):
        values = np.concatenate([np.linspace(0, 100, 10_000), [1e6]])
        low, high = gray_ends(values, "MR")
        assert 0 <= low < 2
        assert 95 < high < 120

    def test_heat_starts_at_zero_unless_the_map_is_high_everywhere(self):
        assert heat_ends(np.linspace(0.05, 0.9, 1000))[0] == 0
        low, high = heat_ends(np.linspace(0.6, 0.9, 1000))
        assert (low, high) == pytest.approx((0.6, 0.9), abs=0.01)

    def test_an_almost_flat_map_looks_flat(self):
        low, high = heat_ends(np.linspace(0.5, 0.501, 1000))
        assert high - low > 0.05

    def test_a_map_of_zeros_is_clear(self):
        low, high = heat_ends(np.zeros(100))
        assert low == 0
        assert high > 0


class TestSheet:
    def test_heat_lies_over_gray_the_denser_the_higher_it_is(self, tmp_path):
        gray = np.array([[0.0, 0.5, 1.0, 1.0, np.nan]])
        heat = np.array([[0.0, 1.0, 0.5, np.nan, np.nan]])
        hot, middle = HEAT_COLORS[255], HEAT_COLORS[128]
        sheet = Sheet(10, 4)
        sheet.picture(2, 1, gray, heat)
        sheet.save(tmp_path / "sheet.png")
        page = imread(tmp_path / "sheet.png")
        assert page.shape[:2] == (4, 10)
        expected = [np.zeros(3), 0.5 * (1 - DENSEST_HEAT) + hot * DENSEST_HEAT, 1 - DENSEST_HEAT / 2 + middle * DENSEST_HEAT / 2, np.ones(3), OUTSIDE]
        assert page[1, 2:7, :3] == pytest.approx(np.array(expected), abs=0.01)

    def test_outlines_are_where_they_are_in_the_whole_picture(self):
        share = np.zeros((30, 20))
        share[4:9, 15:] = 1
        (line,) = outlines(share)
        assert (line.min(0).tolist(), line.max(0).tolist()) == ([15, 4], [19.5, 9])
        assert outlines(np.zeros((5, 5))) == []


class TestRoundLength:
    @pytest.mark.parametrize(("longest", "length"), [(100, 100), (99, 50), (23.7, 20), (19.9, 10), (4.9, 2), (0.7, 0.5)])
    def test_is_the_longest_that_fits(self, longest, length):
        assert round_length(longest) == pytest.approx(length)
