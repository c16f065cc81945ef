"""A result in the panel itself: its table, its maps and their keys, its surfaces, and the clipboard."""

from __future__ import annotations

import pytest
from panel_application import APPLICATION, choose, shown_panel

pytest.importorskip("PySide6", reason="PySide6 is not installed", exc_type=ImportError)
from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence, QShortcut


@pytest.fixture
def app(scene):
    with shown_panel(scene) as made:
        yield made


def middle_of(volume):
    bounds = [0.0] * 6
    volume.GetRASBounds(bounds)
    return [(low + high) / 2 for low, high in zip(bounds[::2], bounds[1::2])]


def test_why_in_a_row_of_the_table(app):
    choose(app)
    app.ui.segmentButton.click()
    app.wait()
    table, why = app.ui.resultTable, app.ui.resultTable.columnCount - 1
    table.cellClicked(1, 1)
    assert not app.polls
    table.cellClicked(1, why)
    assert [table.item(row, why).text() for row in range(2)] == ["", "Cancel"]
    assert app.ui.whyProgressBar.isVisible()
    table.cellClicked(1, why)
    app.wait()
    assert app.ui.whyMessageLabel.text == "The explanation was cancelled."
    table.cellClicked(1, why)
    app.wait()
    app.picture("why")
    assert app.ui.whyMessageLabel.text.endswith("Bright places raised Hippocampus posterior.")
    assert [table.item(row, why).text() for row in range(2)] == ["Why?", "Why?"]
    assert app.ui.mapList.currentItem().text().startswith("Why Hippocampus posterior (")


def test_the_eye_of_a_map(app):
    choose(app)
    app.ui.segmentButton.click()
    app.wait()
    view = app.scene.GetFirstNodeByClass("vtkMRMLSliceCompositeNode")
    nodes = app.results[-1].nodes
    app.ui.mapList.itemClicked(app.ui.mapList.item(0))
    assert view.GetForegroundVolumeID() in {node.GetID() for node in nodes.attention.values()}
    app.ui.mapList.itemClicked(app.ui.mapList.item(4))
    assert view.GetForegroundVolumeID() == nodes.uncertainty.GetID()
    app.ui.opacitySlider.setValue(0.8)
    assert view.GetForegroundOpacity() == 0.8
    app.ui.thresholdSlider.setValue(0.4)
    assert nodes.uncertainty.GetDisplayNode().GetLowerThreshold() == pytest.approx(0.4)
    app.ui.mapList.itemClicked(app.ui.mapList.item(4))
    assert view.GetForegroundVolumeID() is None


@pytest.mark.parametrize("key", [Qt.Key_Space, Qt.Key_Return, Qt.Key_Enter])
def test_a_key_toggles_the_map_of_the_current_line(app, key):
    choose(app)
    app.ui.segmentButton.click()
    app.wait()
    shortcuts = [found for found in app.ui.mapList.target.findChildren(QShortcut) if found.key() == QKeySequence(key)]
    assert [found.context() for found in shortcuts] == [Qt.WidgetShortcut]
    view = app.scene.GetFirstNodeByClass("vtkMRMLSliceCompositeNode")
    app.ui.mapList.setCurrentRow(4)
    for shown in (app.results[-1].uncertainty.GetID(), None, app.results[-1].uncertainty.GetID()):
        # Not by an event of the keyboard: off screen, which widget gets it depends on the windows of earlier tests.
        shortcuts[0].activated.emit()
        assert view.GetForegroundVolumeID() == shown
        assert app.ui.mapList.currentRow == 4


def test_no_line_is_current_while_the_probe_is_shown_instead_of_a_map(app):
    volume = choose(app, "Tiny guided")
    app.scene.AddNewNodeByClass("vtkMRMLCrosshairNode")
    app.ui.segmentButton.click()
    app.wait()
    assert app.ui.mapList.currentRow > 0
    app.ui.probeCheckBox.click()
    app.attention.look_from(middle_of(volume))
    assert app.ui.mapList.currentRow == -1
    app.ui.probeCheckBox.click()
    assert app.ui.mapList.currentRow > 0


def test_segments_are_shown_in_3d(app):
    assert not app.ui.showSegments3dButton.isEnabled()
    choose(app)
    app.ui.segmentButton.click()
    app.wait()
    app.ui.showSegments3dButton.click()
    assert app.results[-1].segmentation.GetSegmentation().ContainsRepresentation("Closed surface")
    assert app.ui.showSegments3dButton.checked
    app.ui.showSegments3dButton.click()
    assert not app.ui.showSegments3dButton.checked


def test_the_table_goes_to_the_clipboard(app):
    choose(app)
    app.ui.segmentButton.click()
    app.wait()
    app.ui.copyTableButton.click()
    lines = APPLICATION.clipboard().text().splitlines()
    assert lines[0] == "Segment\tVolume (mL)\tMean uncertainty\tComponents"
    assert lines[1].startswith("Hippocampus anterior\t")
