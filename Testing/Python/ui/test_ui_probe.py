"""The probe of a result, on a real scene: what the network saw from the voxel under the crosshair."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from attention_application import attention_application, foreground, segmented
from AttentionSegLib.errors import InputError
from AttentionSegLib.mrml.legend import has_legend
from AttentionSegLib.mrml.probe_volume import ProbeVolume
from AttentionSegLib.reporting.telling_map import most_telling_map
from doubles import make_scan
from scenes import linear_transform, nodes_of, put_under, rigid


@pytest.fixture
def app(scene, monkeypatch):
    return attention_application(scene, monkeypatch)


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
