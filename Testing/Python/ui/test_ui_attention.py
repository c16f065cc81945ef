"""Maps, probe and table of a result, on a real scene."""

from __future__ import annotations

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import slicer
from AttentionSegLib.errors import InputError
from AttentionSegLib.mrml.legend import has_legend
from AttentionSegLib.mrml.overlay import is_in_3d
from AttentionSegLib.mrml.probe_volume import ProbeVolume
from AttentionSegLib.reporting.telling_map import most_telling_map
from AttentionSegLib.ui.attention_presenter import AttentionPresenter
from doubles import SHAPE, Application, make_scan
from scenes import linear_transform, nodes_of, put_under, rigid
from sequence_scenes import make_sequence


class AttentionDouble:
    def show(self, shown):
        self.shown = shown


@pytest.fixture
def app(scene, monkeypatch):
    scene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
    scene.AddNewNodeByClass("vtkMRMLCrosshairNode")
    rendering = slicer.vtkSlicerVolumeRenderingLogic()
    rendering.SetMRMLScene(scene)
    monkeypatch.setattr(slicer.modules, "volumerendering", SimpleNamespace(logic=lambda: rendering), raising=False)
    app = Application(scene)
    app.panel = AttentionDouble()
    app.attention = AttentionPresenter(app.panel, app.settings)
    return app


def segmented(app, model="tiny-unet", volume=None):
    app.choose(model, volume)
    result = app.run()
    app.attention.set_result(result)
    return result


def foreground(app):
    return app.scene.GetNodeByID(app.scene.GetFirstNodeByClass("vtkMRMLSliceCompositeNode").GetForegroundVolumeID() or "")


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
        title = slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode(maps[0]).GetTitleText()
        assert title.startswith("Attention gate,\nlevel ")
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


class TestProbe:
    @pytest.fixture
    def guided(self, app):
        volume = make_scan(app.scene)
        put_under(volume, linear_transform(app.scene, rigid(10, 20, 30, (5, -6, 7))))
        return segmented(app, "tiny-guided", volume)

    def world(self, volume, index=(5, 6, 7)):
        point = [0.0] * 3
        matrix = slicer.util.arrayFromVTKMatrix(ijk_to_ras(volume))
        volume.TransformPointToWorld((matrix @ [*index, 1])[:3], point)
        return point

    def test_is_refused_with_a_reason_where_there_is_nothing_to_probe(self, app):
        assert "guided-attention" in app.panel.shown.probe_reason
        result = segmented(app)
        assert app.panel.shown.probe_reason == "This model has no position attention; guided-attention models do."
        app.attention.set_probe(True)
        assert not app.panel.shown.probe
        with pytest.raises(InputError, match="no position attention"):
            ProbeVolume(result)

    def test_follows_the_crosshair(self, app, guided):
        app.attention.set_probe(True)
        crosshair = app.scene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
        crosshair.SetCursorPositionRAS(self.world(guided.volume))
        node = foreground(app)
        assert node.GetName() == "T1 probe"
        assert node.GetParentTransformNode() is guided.volume.GetParentTransformNode()
        first = slicer.util.arrayFromVolume(node).copy()
        matrix = slicer.util.arrayFromVTKMatrix(ijk_to_ras(guided.volume))
        expected = guided.prediction.probe.row((matrix @ [5, 6, 7, 1])[:3]).voxels[0]
        np.testing.assert_allclose(first.transpose(2, 1, 0), expected * expected.size, rtol=1e-4)
        crosshair.SetCursorPositionRAS(self.world(guided.volume, (12, 3, 2)))
        assert foreground(app) is node
        assert not np.array_equal(slicer.util.arrayFromVolume(node), first)

    def test_says_in_times_the_average_what_is_seen_and_marks_the_voxel(self, app, guided):
        app.attention.set_probe(True)
        app.attention.look_from(self.world(guided.volume))
        node, mark = foreground(app), app.scene.GetFirstNodeByClass("vtkMRMLMarkupsFiducialNode")
        assert slicer.util.arrayFromVolume(node).mean() == pytest.approx(1, abs=1e-3)
        legend = slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode(node)
        assert legend.GetTitleText().splitlines()[0] == "Position attention of the marked voxel,"
        assert legend.GetTitleText().splitlines()[-1] == "times the average"
        assert not has_legend(guided.uncertainty)
        position = [0.0] * 3
        mark.GetNthControlPointPositionWorld(0, position)
        np.testing.assert_allclose(position, self.world(guided.volume), atol=1e-6)
        app.attention.look_from(self.world(guided.volume, (3, 3, 3)))
        mark.GetNthControlPointPositionWorld(0, position)
        np.testing.assert_allclose(position, self.world(guided.volume, (3, 3, 3)), atol=1e-6)
        assert mark.GetNumberOfControlPoints() == 1
        assert mark.GetHideFromEditors()
        assert not any(shown.GetSaveWithScene() for shown in (node, mark, legend, node.GetDisplayNode(), mark.GetDisplayNode()))

    def test_keeps_its_threshold_as_it_moves(self, app, guided):
        app.attention.set_threshold(0.3)
        app.attention.set_probe(True)
        for index in ((5, 6, 7), (12, 3, 2)):
            app.attention.look_from(self.world(guided.volume, index))
            display = foreground(app).GetDisplayNode()
            assert display.GetLowerThreshold() == pytest.approx(0.3 * display.GetWindowLevelMax())

    def test_outside_the_scan_it_stays(self, app, guided):
        app.attention.set_probe(True)
        app.attention.look_from((900, 0, 0))
        assert foreground(app) is guided.attention[most_telling_map(guided.prediction)]

    def test_off_it_leaves_nothing_behind(self, app, guided):
        def nodes():
            """But for the color bar of the map, which goes and comes again."""
            return [node_id for node_id in nodes_of(app.scene) if "ColorLegend" not in node_id]

        before, shown = nodes(), foreground(app)
        app.attention.set_probe(True)
        app.attention.look_from(self.world(guided.volume))
        app.attention.leave()
        assert nodes() == before
        assert foreground(app) is shown
        assert has_legend(shown)
        app.scene.GetFirstNodeByClass("vtkMRMLCrosshairNode").SetCursorPositionRAS(self.world(guided.volume))
        assert nodes() == before

    def test_a_removed_volume_stops_nothing(self, app, guided):
        app.attention.set_probe(True)
        position = self.world(guided.volume)
        app.scene.RemoveNode(guided.volume)
        app.attention.look_from(position)
        assert foreground(app).GetName() != "T1 probe"


def ijk_to_ras(volume):
    import vtk

    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    return matrix
