"""AttentionSeg.py: what the application sees of the module, from sample data to a segmented scan in the panel."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import slicer
from doubles import make_scan
from loaded_module import APPLICATION, first_widget, let_run


@pytest.fixture
def theme():
    """Gives the application colors and a size of text, and takes them back after the test."""
    palette, font = APPLICATION.palette(), APPLICATION.font()

    def choose(name):
        if name == "dark":
            dark = type(palette)(palette.base().color().fromRgb(50, 50, 54))
            APPLICATION.setPalette(dark)
        elif name == "large":
            large = type(font)(font)
            large.setPointSizeF(1.25 * font.pointSizeF())
            APPLICATION.setFont(large)

    yield choose
    APPLICATION.setPalette(palette)
    APPLICATION.setFont(font)


def test_sample_data_is_offered(module, monkeypatch):
    offered = []
    logic = SimpleNamespace(registerCustomSampleDataSource=lambda **source: offered.append(source))
    monkeypatch.setitem(sys.modules, "SampleData", SimpleNamespace(SampleDataLogic=logic))
    module.registerSampleData()
    assert [source["nodeNames"] for source in offered] == ["MRHead", "CTBrain"]
    for source in offered:
        assert Path(source["thumbnailFileName"]).is_file()
        assert source["uris"].rpartition("/")[2] == source["checksums"].partition(":")[2]


def test_runs_end_before_the_application_does(module, monkeypatch):
    from AttentionSegLib.errors import Cancelled
    from AttentionSegLib.ui.task import Task

    slots = {}
    monkeypatch.setattr(slicer.app, "connect", slots.__setitem__)
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, getattr(sys, name))
    module.AttentionSeg(SimpleNamespace())

    def work(_on_progress, cancel):
        while not cancel():
            time.sleep(0.005)
        raise Cancelled

    task = Task(work, lambda found: found)
    slots["aboutToQuit()"]()
    assert not task.poll()
    assert task.state.value == "cancelled"


class TestWidget:
    def press(self, widget):
        widget.ui.segmentButton.click()
        let_run(lambda: not widget.panel.presenter.state.running)

    def choose(self, widget, scene):
        volume = make_scan(scene)
        widget.ui.modelSelector.setCurrentIndex(widget.ui.modelSelector.findText("Tiny U-Net"))
        widget.ui.inputSelector1.setCurrentNode(volume)
        return volume

    def test_one_click_shows_where_the_network_looked(self, widget, scene):
        self.choose(widget, scene)
        self.press(widget)
        assert widget.ui.messageLabel.text.startswith("Done in "), widget.ui.messageLabel.text
        view = scene.GetFirstNodeByClass("vtkMRMLSliceCompositeNode")
        assert scene.GetNodeByID(view.GetForegroundVolumeID()).GetName().startswith("T1 gate_")

    def test_a_result_is_compared_with_a_reference(self, widget, scene):
        ui = widget.ui
        assert ui.comparisonWidget.isHidden()
        volume = self.choose(widget, scene)
        mine = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Reference")
        reference = widget.logic.segmentVolume(volume, "tiny-unet", outputSegmentation=mine, attention=False).segmentation
        self.press(widget)
        assert not ui.comparisonWidget.isHidden()
        assert ui.comparisonTable.isHidden()
        assert not ui.compareButton.isEnabled()
        ui.referenceSelector.setCurrentNode(reference)
        ui.compareButton.click()
        assert ui.compareButton.text == "Cancel"
        let_run(lambda: not widget.panel.comparison.state.running)
        assert [ui.comparisonTable.item(row, 1).text() for row in range(2)] == ["1.000", "1.000"]
        ui.copyTableButton.click()
        lines = APPLICATION.clipboard().text().splitlines()
        assert len(lines) == 7
        assert lines[4].split("\t")[:2] == ["Segment", "Dice"]
        scene.RemoveNode(reference)
        assert ui.comparisonTable.isHidden()
        scene.Clear(0)
        assert ui.comparisonWidget.isHidden()

    def test_a_scene_closed_in_mid_run(self, widget, scene):
        self.choose(widget, scene)
        widget.ui.segmentButton.click()
        scene.Clear(0)
        let_run(lambda: not widget.panel.presenter.state.running)
        assert widget.ui.messageLabel.text == "Stopped, because the scene was closed."
        assert widget.ui.inputSelector1.currentNode() is None
        assert not widget.ui.segmentButton.isEnabled()
        self.choose(widget, scene)
        self.press(widget)
        assert widget.ui.messageLabel.text.startswith("Done in ")

    def test_a_closed_scene_leaves_a_model_chosen_and_no_message(self, widget, scene):
        self.choose(widget, scene)
        self.press(widget)
        scene.Clear(0)
        assert widget.ui.modelSelector.currentIndex >= 0
        assert widget.ui.reasonLabel.text.startswith("Choose a volume")
        assert widget.ui.messageLabel.text == ""
        assert widget.ui.messageLabel.isHidden()

    def test_the_selector_is_not_filtered_anew_while_the_scene_goes(self, widget, scene):
        self.choose(widget, scene)
        self.press(widget)
        chosen_from = widget.ui.inputSelector1.sortFilterProxyModel()
        assert len(tuple(chosen_from.hiddenNodeIDs)) > 0
        seen = set()
        for event in (scene.NodeAboutToBeRemovedEvent, scene.EndCloseEvent):
            scene.AddObserver(event, lambda *_: seen.add(tuple(chosen_from.hiddenNodeIDs)))
        scene.Clear(0)
        assert seen == {()}

    def test_opened_again_the_panel_can_still_probe(self, widget, scene):
        self.choose(widget, scene)
        widget.ui.modelSelector.setCurrentIndex(widget.ui.modelSelector.findText("Tiny guided"))
        self.press(widget)
        widget.exit()
        widget.enter()
        assert widget.ui.probeCheckBox.isEnabled()
        scene.Clear(0)
        assert not widget.ui.probeCheckBox.isEnabled()

    @pytest.mark.parametrize("look", ["light", "dark", "large"])
    def test_fits_into_300_pixels(self, widget, scene, look, theme):
        """Also drawn with every section open, where the variable ATTENTIONSEG_PICTURES names a folder."""
        theme(look)
        self.choose(widget, scene)
        # With many maps where space is scarce.
        widget.ui.modelSelector.setCurrentIndex(widget.ui.modelSelector.findText("Tiny guided" if look == "large" else "Tiny U-Net"))
        self.press(widget)
        top = first_widget(widget)
        for name in ("advanced", "batch", "train", "environment"):
            getattr(widget.ui, f"{name}CollapsibleButton").collapsed = False
        top.resize(300, 2200)
        top.show()
        APPLICATION.processEvents()
        assert top.minimumSizeHint.width() <= 300
        if os.environ.get("ATTENTIONSEG_PICTURES"):
            top.grab().save(str(Path(os.environ["ATTENTIONSEG_PICTURES"]) / f"open-{look}.png"))
        top.close()

    def test_a_deleted_volume_leaves_the_panel(self, widget, scene):
        volume = self.choose(widget, scene)
        scene.RemoveNode(volume)
        assert not widget.ui.segmentButton.isEnabled()
        assert "Choose a volume" in widget.ui.reasonLabel.text

    def test_loaded_anew_it_shows_the_same(self, module, widget, scene):
        volume = self.choose(widget, scene)
        self.press(widget)
        widget.cleanup()
        again = module.AttentionSegWidget()
        again.setup()
        assert again.ui.inputSelector1.currentNode() is volume
        assert again.ui.mapList.count == 5
        again.cleanup()
        first_widget(again).setMRMLScene(None)

    def test_an_old_slicer_gets_a_kind_sentence(self, module, scene, monkeypatch):
        slicer.app.minorVersion = 4
        old = module.AttentionSegWidget()
        old.setup()
        assert old.panel is None
        old.enter()
        assert "needs Slicer 5.6 or newer, and this is 5.4" in first_widget(old).text
