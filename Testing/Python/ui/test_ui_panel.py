"""The panel itself, under stand-ins for Slicer's Qt: what is chosen in it, the button, and how a run ends."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from doubles import InstallationDouble, make_scan
from panel_application import PanelApplication, choose, shown_panel
from scenes import nodes_of
from tiny_models import AS_IT_IS, save_unet


@pytest.fixture
def app(scene):
    with shown_panel(scene) as made:
        yield made


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
