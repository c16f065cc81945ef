"""Why a segment is there: a map beside the others, of the segment or of the probed voxel, and what happens when the scene changes meanwhile."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from attention_application import AttentionDouble
from AttentionSegLib.ui.attention_presenter import AttentionPresenter
from AttentionSegLib.ui.why_presenter import WhyPresenter
from doubles import Application, InstallationDouble, PanelDouble, make_scan
from scenes import linear_transform, nodes_of, put_under, rigid

POSTERIOR = "Hippocampus posterior"


@pytest.fixture
def app(scene):
    scene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
    scene.AddNewNodeByClass("vtkMRMLCrosshairNode")
    app = Application(scene)
    app.panel, app.why_view = AttentionDouble(), PanelDouble()
    app.attention = AttentionPresenter(app.panel, app.settings)
    app.why = WhyPresenter(app.why_view, app.attention, InstallationDouble(), app.keep_polling)
    return app


def segmented(app, model="tiny-unet", volume=None):
    app.choose(model, volume)
    result = app.run()
    app.attention.set_result(result)
    app.why.set_result()
    return result


def asked(app):
    app.why.press(POSTERIOR)
    app.wait()
    return app.why_view.shown.message


def groups(app):
    return [(entry.group, entry.name) for entry in app.panel.shown.maps][-2:]


def world(volume, index):
    matrix, point = slicer.util.vtkMatrixFromArray(np.eye(4)), [0.0] * 3
    volume.GetIJKToRASMatrix(matrix)
    volume.TransformPointToWorld((slicer.util.arrayFromVTKMatrix(matrix) @ [*index, 1])[:3], point)
    return point


class TestSegment:
    def test_gets_a_map_beside_the_others(self, app):
        result = segmented(app)
        assert app.panel.shown.can_explain
        assert asked(app).endswith(f"Bright places raised {POSTERIOR}.")
        assert groups(app) == [("Uncertainty and probabilities", "uncertainty"), ("Why a label is there", f"why {POSTERIOR}")]
        node = app.panel.shown.eye
        assert node.GetName() == f"T1 why {POSTERIOR}"
        assert slicer.util.arrayFromVolume(node).max() == 1
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(app.scene)
        assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) == result.nodes.folder_item

    def test_asked_again_it_is_only_shown(self, app):
        result = segmented(app)
        asked(app)
        node = app.panel.shown.eye
        app.attention.show_map(result.uncertainty)
        app.why.press(POSTERIOR)
        assert not app.polls
        assert app.panel.shown.eye is node

    def test_the_next_result_takes_its_place(self, app):
        volume = make_scan(app.scene)
        segmented(app, volume=volume)
        before = nodes_of(app.scene)
        asked(app)
        segmented(app, volume=volume)
        assert [node for node in nodes_of(app.scene) if "ColorLegend" not in node] == [node for node in before if "ColorLegend" not in node]
        assert all("why" not in entry.name for entry in app.panel.shown.maps)

    def test_of_a_result_that_is_gone_when_the_packages_are_there(self, app):
        volume = make_scan(app.scene)
        segmented(app, volume=volume)
        view, ends, packages = PanelDouble(), [], InstallationDouble(["torch"])
        packages.install = lambda _on_line, on_end: ends.append(on_end)
        WhyPresenter(view, app.attention, packages, app.keep_polling).press(POSTERIOR)
        app.scene.RemoveNode(volume)
        app.attention.use(app.settings)
        ends[0](None)
        assert "no longer there" in view.shown.message


class TestProbedVoxel:
    @pytest.fixture
    def guided(self, app):
        volume = make_scan(app.scene)
        put_under(volume, linear_transform(app.scene, rigid(10, 20, 30, (5, -6, 7))))
        result = segmented(app, "tiny-guided", volume)
        app.attention.set_probe(True)
        return result

    def test_gets_a_map_that_the_next_voxel_of_the_label_replaces(self, app, guided):
        found = []
        for index in ((5, 6, 7), (12, 3, 2)):
            place = world(guided.volume, index)
            app.attention.look_from(place)
            asked(app)
            node = app.panel.shown.eye
            assert node.GetName() == f"T1 why {POSTERIOR} at {' '.join(f'{coordinate:.0f}' for coordinate in place)}"
            found.append((node, slicer.util.arrayFromVolume(node).copy()))
        assert found[0][0] is found[1][0]
        assert not np.array_equal(found[0][1], found[1][1])
        assert [entry.group for entry in app.panel.shown.maps].count("Why a label is there") == 1

    def test_has_to_be_chosen_first(self, app, guided):
        assert asked(app).startswith("Hold Shift and move the mouse over a slice")

    def test_the_probe_is_shown_again_once_the_map_is_hidden(self, app, guided):
        app.attention.look_from(world(guided.volume, (5, 6, 7)))
        asked(app)
        app.attention.show_map(None)
        view = app.scene.GetFirstNodeByClass("vtkMRMLSliceCompositeNode")
        assert app.scene.GetNodeByID(view.GetForegroundVolumeID()).GetName() == "T1 probe"


class TestChanges:
    """One sentence, and a scene without remains."""

    def test_of_the_voxels(self, app):
        result = segmented(app)
        slicer.util.arrayFromVolume(result.volume)[:] += 1
        slicer.util.arrayFromVolumeModified(result.volume)
        before = nodes_of(app.scene)
        assert asked(app) == "T1 has changed since it was segmented; segment it again to ask why."
        assert nodes_of(app.scene) == before

    def test_of_the_geometry(self, app):
        segmented(app).volume.SetSpacing(1, 2, 3)
        assert asked(app).startswith("T1 has changed")

    def test_a_deleted_scan(self, app):
        app.scene.RemoveNode(segmented(app).volume)
        assert asked(app).startswith("T1 was deleted")

    @pytest.mark.parametrize("which", ["volume", "segmentation"])
    def test_deleted_while_it_is_computed(self, app, which):
        result = segmented(app)
        app.why.press(POSTERIOR)
        node = getattr(result, which)
        app.scene.RemoveNode(node)
        before = nodes_of(app.scene)
        app.wait()
        assert app.why_view.shown.message == f"Stopped, because {node.GetName()} was deleted."
        assert nodes_of(app.scene) == before

    def test_another_result_meanwhile(self, app):
        segmented(app)
        app.why.press(POSTERIOR)
        app.why.set_result()
        app.wait()
        assert app.why_view.shown.message == "Stopped, because there is a new result."

    def test_a_model_that_was_replaced_meanwhile_is_still_the_one_that_made_the_result(self, app, model_folder, tmp_path, monkeypatch):
        segmented(app)
        monkeypatch.setenv("ATTENTIONSEG_MODELS", str(tmp_path))
        assert asked(app).endswith(f"Bright places raised {POSTERIOR}.")
