"""AttentionSeg.py: its sections Batch, Train and Environment, pressed as a user presses them."""

from __future__ import annotations

import sys

import slicer
from AttentionSegLib.network_names import NETWORKS
from loaded_module import APPLICATION, first_widget, let_run
from pair_scenes import make_pair


class TestWidget:
    def test_what_stands_below_is_scrolled_to_and_the_report_opened(self, widget, tmp_path, monkeypatch):
        from PySide6 import QtWidgets

        area = QtWidgets.QScrollArea()
        area.setWidgetResizable(True)
        area.setWidget(first_widget(widget).target)
        area.resize(320, 200)
        area.show()
        opened, ui = [], widget.ui
        monkeypatch.setattr(sys.modules["qt"].QDesktopServices, "openUrl", lambda url: opened.append(url.toLocalFile()))
        ui.batchCollapsibleButton.collapsed = False
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "report.html").write_text("report", encoding="utf-8")
        assert ui.batchReportButton.isHidden()
        ui.batchInputEdit.setCurrentPath(str(tmp_path / "nowhere"))
        ui.batchOutputEdit.setCurrentPath(str(tmp_path / "out"))
        ui.batchButton.click()
        let_run(lambda: ui.batchButton.text != "Cancel")
        APPLICATION.processEvents()
        assert not ui.batchReportButton.target.visibleRegion().isEmpty()
        ui.batchReportButton.click()
        assert opened == [str(tmp_path / "out" / "report.html")]
        area.takeWidget()

    def test_the_batch_form_runs_and_says_what_is_wrong(self, widget, tmp_path):
        assert not widget.ui.batchButton.isEnabled()
        widget.ui.batchInputEdit.setCurrentPath(str(tmp_path / "nowhere"))
        assert widget.ui.batchReasonLabel.text == "Choose a folder for the results."
        widget.ui.batchOutputEdit.setCurrentPath(str(tmp_path / "out"))
        widget.ui.batchButton.click()
        assert widget.ui.batchButton.text == "Cancel"
        let_run(lambda: widget.ui.batchButton.text != "Cancel")
        assert "nowhere" in widget.ui.batchMessageLabel.text

    def test_the_training_form_reaches_the_settings(self, widget):
        for part in ("Images", "Labels", "Output"):
            assert not widget.ui.trainButton.isEnabled()
            getattr(widget.ui, f"train{part}Edit").setCurrentPath(f"/nowhere/{part}")
        selector = widget.ui.trainNetworkSelector
        assert [selector.itemText(index) for index in range(selector.count)] == list(NETWORKS)
        selector.setCurrentIndex(1)
        assert widget.ui.trainContextSpinBox.isHidden()
        slices = widget.ui.trainSlicesSelector
        slices.setCurrentIndex(slices.findText("Coronal slices"))
        assert not widget.ui.trainContextSpinBox.isHidden()
        widget.ui.trainContextSpinBox.setValue(1)
        widget.ui.trainTitleEdit.setText("Mine ")
        assert "license" in widget.ui.trainReasonLabel.text
        widget.ui.trainLicenseSelector.setCurrentIndex(2)
        widget.ui.trainHoursSpinBox.setValue(0.5)
        assert widget.ui.trainButton.isEnabled()
        settings = widget.logic.settings()
        assert (settings.train_network, settings.train_title) == ("guided-attention", "Mine")
        assert (settings.train_slices, settings.train_context) == ("coronal", 1)
        assert (settings.train_license, settings.train_hours) == ("CC0-1.0", 0.5)
        widget.ui.trainButton.click()
        let_run(lambda: widget.ui.trainButton.text != "Cancel")
        assert "/nowhere/Images" in widget.ui.trainMessageLabel.text
        widget.ui.trainOutputEdit.setCurrentPath("")
        assert settings.train_output == ""
        assert widget.ui.trainButton.isEnabled()
        widget.ui.trainLabelsEdit.setCurrentPath("")
        assert not widget.ui.trainButton.isEnabled()

    def test_pairs_of_the_scene_are_ticked_in_a_table(self, widget, scene, tmp_path):
        from PySide6.QtCore import Qt

        assert widget.ui.trainPairTable.isHidden()
        pairs = [make_pair(scene, name) for name in ("a", "b")]
        widget.ui.trainOutputEdit.setCurrentPath(str(tmp_path))
        table = widget.ui.trainPairTable
        assert [[table.item(row, column).text() for column in range(2)] for row in range(2)] == [["a", "a segmentation"], ["b", "b segmentation"]]
        for row in range(2):
            assert not widget.ui.trainButton.isEnabled()
            table.item(row, 0).setCheckState(Qt.Checked)
        assert not widget.ui.trainButton.isEnabled()
        widget.ui.trainLicenseSelector.setCurrentIndex(1)
        assert widget.ui.trainButton.isEnabled()
        assert widget.ui.trainTitleEdit.placeholderText == "Hippocampus anterior, Hippocampus posterior"
        assert widget.ui.trainImagesEdit.isHidden()
        assert widget.logic.settings().train_segmentations == [segmentation for _volume, segmentation in pairs]
        widget.ui.trainButton.click()
        let_run(lambda: widget.ui.trainButton.text != "Cancel")
        assert "There is already something at" in widget.ui.trainMessageLabel.text
        scene.RemoveNode(pairs[0][1])
        assert table.rowCount == 1
        assert table.item(0, 0).checkState() == Qt.Checked

    def test_environment(self, widget, monkeypatch):
        from AttentionSegLib.ui.environment import user_folder
        from tiny_models import save_unet

        widget.ui.checkButton.click()
        assert not widget.ui.checkButton.isEnabled()
        let_run(widget.ui.checkButton.isEnabled)
        assert "cpu: works" in widget.ui.environmentText.toPlainText()
        widget.ui.copyReportButton.click()
        assert APPLICATION.clipboard().text() == widget.ui.environmentText.toPlainText()
        assert not widget.ui.deleteModelButton.isEnabled()
        folder = save_unet(user_folder() / "mine", id="mine")
        widget.enter()
        monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda *_arguments, **_options: True)
        widget.ui.deleteModelButton.click()
        assert not folder.exists()
        assert not widget.ui.deleteModelButton.isEnabled()

    def test_models_come_and_go_as_files(self, widget, monkeypatch, tmp_path):
        from AttentionSegLib.ui.environment import user_folder
        from tiny_models import save_unet

        folder, ui = save_unet(user_folder() / "mine", id="mine", title="Mine"), widget.ui
        widget.enter()
        asked = []
        monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda *_arguments, **_options: True)
        monkeypatch.setattr(sys.modules["qt"].QFileDialog, "getSaveFileName", lambda *given: asked.append(given[2]) or str(tmp_path / "m.zip"))
        monkeypatch.setattr(sys.modules["qt"].QFileDialog, "getOpenFileName", lambda *_given: str(tmp_path / "m.zip"))
        assert ui.modelMessageLabel.isHidden()
        ui.exportModelButton.click()
        assert not ui.importModelButton.isEnabled()
        assert not ui.deleteModelButton.isEnabled()
        let_run(ui.importModelButton.isEnabled)
        assert asked == ["mine.zip"]
        assert ui.modelMessageLabel.text == f"Exported: {tmp_path / 'm.zip'}"
        ui.deleteModelButton.click()
        assert ui.modelSelector.findText("Mine") == -1
        assert not ui.exportModelButton.isEnabled()
        ui.importModelButton.click()
        let_run(ui.importModelButton.isEnabled)
        assert ui.modelMessageLabel.text == f"Imported: {folder}"
        assert ui.modelSelector.findText("Mine") >= 0
        assert ui.exportModelButton.isEnabled()
        ui.importModelButton.click()
        let_run(ui.importModelButton.isEnabled)
        assert "There is already a model 'mine'" in ui.modelMessageLabel.text
