"""The panel itself: every widget of AttentionSeg.ui bound, under stand-ins for Slicer's Qt."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import slicer
from doubles import Application, InstallationDouble, make_scan
from scenes import nodes_of
from tiny_models import AS_IT_IS, save_unet

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
pytest.importorskip("PySide6", reason="PySide6 is not installed", exc_type=ImportError)
import stand_ins
from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence, QShortcut

APPLICATION = stand_ins.install()
UI = Path(__file__).resolve().parents[3] / "AttentionSeg" / "Resources" / "UI" / "AttentionSeg.ui"


class PanelApplication(Application):
    """The presenters with the real panel, as the module's widget puts them together."""

    def __init__(self, scene, installation=None):
        from AttentionSegLib.ui.attention_panel import AttentionPanel
        from AttentionSegLib.ui.attention_presenter import AttentionPresenter
        from AttentionSegLib.ui.panel import Panel
        from AttentionSegLib.ui.why_panel import WhyPanel
        from AttentionSegLib.ui.why_presenter import WhyPresenter

        self.top = stand_ins.load_ui(UI)
        self.top.setMRMLScene(scene)
        self.ui = stand_ins.child_widgets(self.top)
        self.panel = Panel(self.ui)
        super().__init__(scene, installation, view=self.panel)
        self.panel.connect(self.presenter)
        attention_panel = AttentionPanel(self.ui)
        self.attention = AttentionPresenter(attention_panel, self.settings)
        attention_panel.connect(self.attention)
        why_panel = WhyPanel(self.ui)
        self.why = WhyPresenter(why_panel, self.attention, InstallationDouble(), self.keep_polling)
        why_panel.connect(self.why)
        self.top.resize(300, 1100)
        self.top.show()

    def on_result(self, result):
        super().on_result(result)
        self.attention.set_result(result)

    def close(self):
        self.top.setMRMLScene(None)
        self.top.close()

    def picture(self, name):
        """Draw the panel, where the variable ATTENTIONSEG_PICTURES names a folder."""
        folder = os.environ.get("ATTENTIONSEG_PICTURES")
        if folder:
            APPLICATION.processEvents()
            self.top.grab().save(str(Path(folder) / f"{name}.png"))


@pytest.fixture
def app(scene):
    scene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
    scene.AddNewNodeByClass("vtkMRMLCrosshairNode")
    made = PanelApplication(scene)
    yield made
    made.close()


def choose(app, model="Tiny U-Net", volume=None):
    volume = volume or make_scan(app.scene)
    app.ui.modelSelector.setCurrentIndex(app.ui.modelSelector.findText(model))
    app.ui.inputSelector1.setCurrentNode(volume)
    return volume


def middle_of(volume):
    bounds = [0.0] * 6
    volume.GetRASBounds(bounds)
    return [(low + high) / 2 for low, high in zip(bounds[::2], bounds[1::2])]


def test_says_why_the_button_is_grey(app):
    app.ui.modelSelector.setCurrentIndex(app.ui.modelSelector.findText("Tiny U-Net"))
    app.picture("empty")
    assert not app.ui.segmentButton.isEnabled()
    assert app.ui.reasonLabel.text == "Choose a volume for T1 (MR)."
    choose(app)
    assert app.ui.segmentButton.isEnabled()
    assert not app.ui.reasonLabel.isVisible()


def test_two_choices_and_one_click(app):
    choose(app)
    app.picture("ready")
    app.ui.segmentButton.click()
    assert app.ui.segmentButton.text == "Cancel"
    assert app.ui.progressBar.isVisible()
    app.wait()
    app.picture("done")
    assert app.ui.segmentButton.text == "Segment"
    assert not app.ui.progressBar.isVisible()
    assert app.ui.messageLabel.text.startswith("Done in ")
    assert [app.ui.mapList.item(row).text() for row in range(app.ui.mapList.count)] == [
        "Attention gates",
        "Attention gate, level 2 (3 x 1.5 x 4.5 mm)",
        "Attention gate, level 3 (6 x 3 x 9 mm)",
        "Uncertainty and probabilities",
        "Uncertainty",
    ]
    assert app.ui.mapList.item(1).toolTip() == "gate_2: T1 gate_2"
    assert [app.ui.resultTable.item(row, 1).text() for row in range(2)] == ["Hippocampus anterior", "Hippocampus posterior"]
    assert app.ui.resultTable.horizontalHeaderItem(4).text() == "Parts"
    assert sum(int(app.ui.resultTable.item(row, 4).text()) for row in range(2)) >= 1


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


def test_progress_and_cancel(app):
    choose(app)
    nodes = nodes_of(app.scene)
    app.ui.segmentButton.click()
    app.panel.show_progress(0.4, "Running the network, about 12 s left")
    assert app.ui.progressBar.value == 40
    app.picture("running")
    app.ui.segmentButton.click()
    app.wait()
    assert app.ui.messageLabel.text == "Cancelled; the scene is as it was."
    assert nodes_of(app.scene) == nodes


def test_an_error_is_in_the_panel_with_its_details_folded(app, monkeypatch):
    def fail(*_arguments, **_changes):
        msg = "no more memory"
        raise MemoryError(msg)

    monkeypatch.setattr("AttentionSegLib.ui.segmenter.predict", fail)
    choose(app)
    app.ui.segmentButton.click()
    app.wait()
    assert app.ui.messageLabel.text == "It failed: no more memory"
    assert not app.ui.detailsText.isVisible()
    app.ui.detailsButton.click()
    assert "Traceback" in app.ui.detailsText.toPlainText()
    assert app.ui.detailsText.isVisible()
    app.picture("failed")


def test_search(app):
    choose(app)
    app.ui.modelSearchEdit.setText("guided")
    titles = {app.ui.modelSelector.itemText(index) for index in range(app.ui.modelSelector.count)}
    assert {"Tiny guided", "Tiny U-Net"} <= titles
    assert "Tiny mirrored" not in titles


def test_every_model_has_an_icon_so_that_titles_stand_below_each_other(app):
    selector = app.ui.modelSelector
    pixels = {}
    for index in range(selector.count):
        icon = selector.itemIcon(index).target.pixmap(32, 32).toImage()
        assert (icon.width(), icon.height()) == (32, 32)
        pixels[selector.itemText(index)] = {icon.pixelColor(x, y).alpha() for x in range(32) for y in range(32)}
    assert pixels["Tiny U-Net"] == {0}
    assert {0, 255} < pixels["Hippocampus, anterior and posterior (MR T1)"]


def test_the_whole_title_is_told_where_the_list_has_no_room_for_it(app):
    title = "Hippocampus, guided attention (MR T1)"
    app.ui.modelSelector.setCurrentIndex(app.ui.modelSelector.findText(title))
    assert not app.ui.modelMoreText.isVisible()
    app.ui.modelMoreButton.click()
    assert app.ui.modelMoreText.text.splitlines()[0] == title
    assert app.ui.modelMoreText.isVisible()


def test_settings_of_the_section_advanced(app):
    choose(app)
    app.ui.deviceSelector.setCurrentIndex(1)
    assert app.ui.memoryLimitSpinBox.text == "none"
    app.ui.memoryLimitSpinBox.setValue(2.5)
    assert app.ui.memoryLimitSpinBox.text == "2.5 GB"
    app.ui.overlapSlider.setValue(0.5)
    app.ui.attentionEdit.setText("gate_3")
    app.ui.probabilitiesCheckBox.click()
    app.ui.segmentButton.click()
    app.wait()
    result = app.results[-1]
    assert app.settings.device == "cpu"
    assert app.settings.memory_limit == 2.5
    assert result.prediction.options.overlap == 0.5
    assert list(result.attention) == ["gate_3"]
    assert len(result.nodes.probabilities) == 2


def test_mirroring_is_grey_with_a_reason_unless_the_model_knows_mirrored_scans(app):
    choose(app)
    assert not app.ui.mirroringCheckBox.isEnabled()
    assert "not trained on mirrored scans" in app.ui.mirroringReasonLabel.text
    choose(app, "Tiny mirrored", app.ui.inputSelector1.currentNode())
    assert app.ui.mirroringReasonLabel.isHidden()
    app.ui.mirroringCheckBox.click()
    assert app.settings.mirroring


def test_ct_stored_with_an_offset_is_offered_to_be_rescaled(app, models, tmp_path, monkeypatch):
    save_unet(tmp_path / "tiny-ct", id="tiny-ct", title="Tiny CT", inputs=[{"name": "CT", "modality": "CT", "normalization": AS_IT_IS}])
    monkeypatch.setenv("ATTENTIONSEG_MODELS", str(tmp_path))
    app.presenter.refresh_models()
    volume = choose(app, "Tiny CT")
    stored = np.full(slicer.util.arrayFromVolume(volume).shape, 24, np.int16)
    stored[4:12, 4:12, 4:12] = np.random.default_rng(0).integers(1000, 1100, (8, 8, 8))
    assert app.ui.rescaleCheckBox.isHidden()
    slicer.util.updateVolumeFromArray(volume, stored)
    app.presenter.refresh()
    assert "HU + 1024" in app.ui.hintLabel.text
    app.ui.rescaleCheckBox.click()
    assert app.ui.hintLabel.text == ""
    app.ui.segmentButton.click()
    app.wait()
    assert "1024 was subtracted" in app.ui.messageLabel.text
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(volume), stored)


def test_region_button(app, models, tmp_path, monkeypatch):
    save_unet(tmp_path / "tiny-region", id="tiny-region", title="Tiny region", field_of_view={"kind": "region", "size_mm": [36, 52, 36]})
    monkeypatch.setenv("ATTENTIONSEG_MODELS", str(tmp_path))
    app.presenter.refresh_models()
    choose(app, "Tiny region", make_scan(app.scene, shape=(150, 150, 150)))
    assert "needs a region" in app.ui.reasonLabel.text
    app.picture("region")
    app.ui.placeRegionButton.click()
    assert app.ui.regionSelector.currentNode().IsA("vtkMRMLMarkupsROINode")
    assert app.ui.segmentButton.isEnabled()


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


def test_installing(scene):
    app = PanelApplication(scene, InstallationDouble(["monai"]))
    questions = []
    app.panel.ask = lambda question: questions.append(question) or False
    choose(app)
    app.ui.segmentButton.click()
    assert questions == ["Install monai?"]
    app.close()


def test_a_closed_scene_leaves_an_empty_panel(app):
    choose(app)
    app.scene.Clear(0)
    app.presenter.refresh()
    app.attention.refresh()
    assert app.ui.inputSelector1.currentNode() is None
    assert not app.ui.segmentButton.isEnabled()
