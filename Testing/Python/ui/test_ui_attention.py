"""Maps, segments and table of a result, on a real scene."""

from __future__ import annotations

import json
import shutil

import pytest
import slicer
from attention_application import attention_application, foreground, segmented
from AttentionSegLib.mrml.legend import has_legend
from AttentionSegLib.mrml.overlay import is_in_3d
from AttentionSegLib.reporting.telling_map import most_telling_map
from AttentionSegLib.ui.attention_presenter import AttentionPresenter
from doubles import SHAPE, make_scan
from scenes import nodes_of
from sequence_scenes import make_sequence


@pytest.fixture
def app(scene, monkeypatch):
    return attention_application(scene, monkeypatch)


class TestMaps:
    def test_before_a_result_the_reason_is_given(self, app):
        assert app.panel.shown.maps == ()
        assert app.panel.shown.reason == "Segment a volume to see where the network looked."

    def test_a_map_lies_over_the_slices(self, app):
        result = segmented(app)
        assert [entry.name for entry in app.panel.shown.maps] == ["gate_2", "gate_3", "uncertainty"]
        assert foreground(app) is result.attention[most_telling_map(result.prediction)]
        assert app.panel.shown.eye is foreground(app)
        assert app.panel.shown.reason == ""

    def test_another_map_takes_its_look_and_its_place_in_3d(self, app):
        result = segmented(app)
        app.attention.set_threshold(0.4)
        app.attention.set_in_3d(True)
        assert app.panel.shown.in_3d
        app.attention.show_map(result.uncertainty)
        assert result.uncertainty.GetDisplayNode().GetLowerThreshold() == pytest.approx(0.4)
        assert app.panel.shown.in_3d
        assert not any(is_in_3d(node) for node in result.attention.values())

    def test_hidden_again(self, app):
        segmented(app)
        app.attention.show_map(None)
        assert foreground(app) is None
        assert app.panel.shown.eye is None

    def test_a_deleted_map_leaves_the_list(self, app):
        result = segmented(app)
        app.scene.RemoveNode(result.attention["gate_2"])
        app.attention.refresh()
        assert [entry.name for entry in app.panel.shown.maps] == ["gate_3", "uncertainty"]

    def test_the_list_says_what_they_are(self, app):
        segmented(app)
        assert [(entry.group, entry.title) for entry in app.panel.shown.maps] == [
            ("Attention gates", "Attention gate, level 2 (3 x 1.5 x 4.5 mm)"),
            ("Attention gates", "Attention gate, level 3 (6 x 3 x 9 mm)"),
            ("Uncertainty and probabilities", "Uncertainty"),
        ]

    def test_those_measured_to_be_best_come_first_in_their_group_also_without_the_run_that_made_them(self, app, models, tmp_path, monkeypatch):
        figures = {"data": "scans", "cases": 5, "command": "attentionseg evaluate --maps"}
        document = json.loads((models / "tiny-unet" / "model.json").read_text(encoding="utf-8"))
        document["maps"] = [{"map": "gate_3", "roc_auc": 0.9, "roc_auc_random": 0.95, "dice_lost": 0.004, **figures}]
        copy = shutil.copytree(models / "tiny-unet", tmp_path / "models" / "tiny-unet")
        (copy / "model.json").write_text(json.dumps(document), encoding="utf-8")
        monkeypatch.setenv("ATTENTIONSEG_MODELS", str(copy.parent))
        segmented(app)
        after_run = app.panel.shown.maps
        app.attention = AttentionPresenter(app.panel, app.settings)
        assert app.attention.result is None
        assert [entry.worth for entry in app.panel.shown.maps] == [entry.worth for entry in after_run]
        assert [entry.name for entry in app.panel.shown.maps] == ["gate_3", "gate_2", "uncertainty"]
        assert [entry.worth for entry in app.panel.shown.maps] == [
            "Measured on 5 case(s): a voxel of the structure is brighter than another one in 90 % of pairs "
            "(by chance 50 %, with random weights 95 %). It shows nothing that was learned. With this gate open evenly, the Dice falls by 0.004.",
            "",
            "",
        ]

    def test_the_shown_one_alone_has_a_color_bar(self, app):
        result = segmented(app)
        maps = [*result.attention.values(), result.uncertainty]
        for shown in (*maps, None):
            app.attention.show_map(shown)
            assert [node for node in maps if has_legend(node)] == ([] if shown is None else [shown])
        app.attention.show_map(maps[0])
        legend = slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode(maps[0])
        assert legend.GetTitleText().startswith("Attention gate,\nlevel ")
        for text in (legend.GetTitleTextProperty(), legend.GetLabelTextProperty()):
            # White text, also where the scan is white.
            behind = 1 - text.GetBackgroundOpacity() * (1 - text.GetBackgroundColor()[0])
            assert min(text.GetColor()) - behind >= 0.5
        app.attention.show_map(result.uncertainty)
        nodes = len(nodes_of(app.scene))
        app.attention.close()
        assert not has_legend(result.uncertainty)
        assert len(nodes_of(app.scene)) == nodes - 1

    def test_the_result_of_another_model_before_it_is_hidden(self, app):
        volume = make_scan(app.scene)
        first = segmented(app, "tiny-unet", volume).segmentation
        second = segmented(app, "tiny-guided", volume).segmentation
        assert [bool(node.GetDisplayVisibility()) for node in (first, second)] == [False, True]
        assert segmented(app, "tiny-unet", volume).segmentation is first
        assert [bool(node.GetDisplayVisibility()) for node in (first, second)] == [True, False]

    def test_a_map_taken_off_by_hand_loses_its_color_bar(self, app):
        segmented(app)
        shown = foreground(app)
        app.scene.GetFirstNodeByClass("vtkMRMLSliceCompositeNode").SetForegroundVolumeID(None)
        app.attention.refresh()
        assert not has_legend(shown)

    def test_a_second_run_leaves_no_color_bar_behind(self, app):
        segmented(app)
        count = len(nodes_of(app.scene))
        result = app.run()
        app.attention.set_result(result)
        assert len(nodes_of(app.scene)) == count

    def test_views_without_a_scan_get_the_segmented_one(self, app):
        other = make_scan(app.scene, "Other")
        view = app.scene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
        view.SetBackgroundVolumeID(other.GetID())
        result = segmented(app)
        assert app.scene.GetFirstNodeByClass("vtkMRMLSliceCompositeNode").GetBackgroundVolumeID() == result.volume.GetID()
        assert view.GetBackgroundVolumeID() == other.GetID()


class TestSegments:
    def fill(self, result):
        display = result.segmentation.GetDisplayNode()
        return bool(display.GetVisibility2DFill()), bool(display.GetVisibility2DOutline())

    def test_are_outlines_while_a_map_is_shown(self, app):
        result = segmented(app)
        assert self.fill(result) == (False, True)
        app.attention.show_map(result.uncertainty)
        assert self.fill(result) == (False, True)
        app.attention.show_map(None)
        assert self.fill(result) == (True, True)

    def test_filled_by_hand_they_stay_filled(self, app):
        result = segmented(app)
        result.segmentation.GetDisplayNode().SetVisibility2DFill(True)
        app.attention.show_map(result.uncertainty)
        assert self.fill(result) == (True, True)

    def test_a_fill_that_was_off_before_stays_off(self, app):
        result = segmented(app)
        app.attention.show_map(None)
        result.segmentation.GetDisplayNode().SetVisibility2DFill(False)
        app.attention.show_map(result.uncertainty)
        app.attention.show_map(None)
        assert self.fill(result) == (False, True)

    def test_in_3d_and_back(self, app):
        assert app.panel.shown.surfaces is None
        result = segmented(app)
        assert app.panel.shown.surfaces is False
        app.attention.set_surfaces(True)
        assert app.panel.shown.surfaces is True
        assert result.segmentation.GetSegmentation().ContainsRepresentation("Closed surface")
        app.attention.set_surfaces(False)
        assert app.panel.shown.surfaces is False


class TestSequence:
    """All frames of a sequence have numbers, and no maps: those of the result before them go."""

    def test_takes_the_place_of_the_maps_before_it(self, app):
        sequence, browser = make_sequence(app.scene, 2, SHAPE)
        volume = browser.GetProxyNode(sequence)
        segmented(app, volume=volume)
        shown = foreground(app)
        assert has_legend(shown)
        app.presenter.set_all_frames(True)
        browser.SetSelectedItemNumber(1)
        result = app.run()
        app.attention.set_sequence(result)
        assert foreground(app) is None
        assert not has_legend(shown)
        assert app.panel.shown.maps == ()
        assert [row.numbers[0] for row in app.panel.shown.rows] == [f"{measured.milliliters:.3f}" for measured in result.statistics[1]]
        assert app.settings.result_segmentation is browser.GetProxyNode(result.sequence)


class TestTable:
    def test_has_a_row_per_label(self, app):
        result = segmented(app)
        rows = app.panel.shown.rows
        assert [row.name for row in rows] == ["Hippocampus anterior", "Hippocampus posterior"]
        for row, measured in zip(rows, result.statistics):
            unsure = "" if measured.mean_uncertainty is None else f"{measured.mean_uncertainty:.3f}"
            assert row.numbers == (f"{measured.milliliters:.3f}", unsure, str(measured.statistics["components"]))
        assert rows[0].color == (221, 130, 101)

    def test_a_scene_from_before_a_statistic_was_there_is_read(self, app):
        app.settings.statistics = [{"name": "Left", "color": [1, 2, 3], "milliliters": 1.5, "mean_uncertainty": None}]
        app.attention.refresh()
        (row,) = app.panel.shown.rows
        assert (row.name, row.color, row.numbers) == ("Left", (1, 2, 3), ("1.500", "", ""))

    def test_as_text_has_tabs(self, app):
        segmented(app)
        lines = app.attention.table_text().splitlines()
        assert len(lines) == 3
        assert all(line.count("\t") == 3 for line in lines)
