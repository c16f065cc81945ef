"""Maps, probe and table of a result, on a real scene."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import slicer
from AttentionSegLib.errors import InputError
from AttentionSegLib.mrml.probe_volume import ProbeVolume
from AttentionSegLib.ui.attention_presenter import AttentionPresenter
from doubles import Application, make_scan
from scenes import linear_transform, nodes_of, put_under, rigid


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

    def test_the_first_map_lies_over_the_slices(self, app):
        result = segmented(app)
        assert [name for name, _node in app.panel.shown.maps] == ["gate_2", "gate_3", "uncertainty"]
        assert foreground(app) is result.attention["gate_2"]
        assert app.panel.shown.eye is result.attention["gate_2"]
        assert app.panel.shown.reason == ""

    def test_another_map_takes_its_look_and_its_place_in_3d(self, app):
        result = segmented(app)
        app.attention.set_threshold(0.4)
        app.attention.set_in_3d(True)
        assert app.panel.shown.in_3d
        app.attention.show_map(result.uncertainty)
        assert result.uncertainty.GetDisplayNode().GetLowerThreshold() == pytest.approx(0.4)
        assert app.panel.shown.in_3d
        assert not result.attention["gate_2"].GetNthDisplayNode(1).GetVisibility()

    def test_hidden_again(self, app):
        segmented(app)
        app.attention.show_map(None)
        assert foreground(app) is None
        assert app.panel.shown.eye is None

    def test_a_deleted_map_leaves_the_list(self, app):
        result = segmented(app)
        app.scene.RemoveNode(result.attention["gate_2"])
        app.attention.refresh()
        assert [name for name, _node in app.panel.shown.maps] == ["gate_3", "uncertainty"]


class TestTable:
    def test_has_a_row_per_label(self, app):
        result = segmented(app)
        rows = app.panel.shown.rows
        assert [row.name for row in rows] == ["Hippocampus anterior", "Hippocampus posterior"]
        assert [row.milliliters for row in rows] == [measured.milliliters for measured in result.statistics]
        assert rows[0].color == (221, 130, 101)

    def test_as_text_has_tabs(self, app):
        segmented(app)
        lines = app.attention.table_text().splitlines()
        assert len(lines) == 3
        assert all(line.count("\t") == 2 for line in lines)


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
        np.testing.assert_allclose(first.transpose(2, 1, 0), expected / expected.max(), rtol=1e-4)
        crosshair.SetCursorPositionRAS(self.world(guided.volume, (12, 3, 2)))
        assert foreground(app) is node
        assert not np.array_equal(slicer.util.arrayFromVolume(node), first)

    def test_outside_the_scan_it_stays(self, app, guided):
        app.attention.set_probe(True)
        app.attention.look_from((900, 0, 0))
        assert foreground(app) is guided.attention[next(iter(guided.attention))]

    def test_off_it_leaves_nothing_behind(self, app, guided):
        nodes, shown = nodes_of(app.scene), foreground(app)
        app.attention.set_probe(True)
        app.attention.look_from(self.world(guided.volume))
        app.attention.set_probe(False)
        assert nodes_of(app.scene) == nodes
        assert foreground(app) is shown
        app.scene.GetFirstNodeByClass("vtkMRMLCrosshairNode").SetCursorPositionRAS(self.world(guided.volume))
        assert nodes_of(app.scene) == nodes

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
