"""AttentionSeg.py: what the application and the Python console see of the module."""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import slicer
from AttentionSegLib.errors import InputError
from AttentionSegLib.mrml.attention_volumes import MAP_ATTRIBUTE
from AttentionSegLib.network_names import NETWORKS
from doubles import make_scan
from scenes import nodes_of
from test_mrml_publish import save_and_load
from test_mrml_training_pairs import make_pair

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
pytest.importorskip("PySide6", reason="PySide6 is not installed", exc_type=ImportError)
import stand_ins
from PySide6.QtCore import Qt

APPLICATION = stand_ins.install()
MODULE = Path(__file__).resolve().parents[3] / "AttentionSeg" / "AttentionSeg.py"


@pytest.fixture
def module(scene, monkeypatch):
    """The module's file, loaded as the application loads it."""
    stand_ins.install_module_bases()
    does_nothing = dict.fromkeys(("connect", "pauseRender", "resumeRender"), lambda *_: None)
    monkeypatch.setattr(slicer, "app", SimpleNamespace(majorVersion=5, minorVersion=12, **does_nothing), raising=False)
    monkeypatch.setattr(slicer.util, "loadUI", lambda path: stand_ins.load_ui(Path(path)), raising=False)
    monkeypatch.setattr(slicer.util, "childWidgetVariables", stand_ins.child_widgets, raising=False)
    scene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
    scene.AddNewNodeByClass("vtkMRMLCrosshairNode")
    spec = importlib.util.spec_from_file_location("AttentionSegModule", MODULE)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    yield loaded
    for name in ("slicer.ScriptedLoadableModule", "slicer.i18n"):
        del sys.modules[name]


@pytest.fixture
def logic(module):
    made = module.AttentionSegLogic()
    yield made
    made.stop()


@pytest.fixture
def widget(module, scene):
    made = module.AttentionSegWidget()
    made.setup()
    yield made
    made.cleanup()
    first_widget(made).setMRMLScene(None)


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


def first_widget(module_widget):
    return stand_ins.Wrapped(module_widget.layout.target.itemAt(0).widget())


def let_run(until, at_most=60):
    end = time.monotonic() + at_most
    while not until():
        assert time.monotonic() < end, "it did not end"
        APPLICATION.processEvents()


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


class TestLogic:
    def test_models(self, logic):
        assert {"tiny-unet", "tiny-guided", "hippocampus-mr-attention-unet"} <= {model.id for model in logic.models()}

    def test_segment_volume(self, logic, scene):
        given = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Mine")
        heard = []
        volume = make_scan(scene)
        result = logic.segmentVolume(
            volume, "tiny-unet", outputSegmentation=given, attention="gate_3", onProgress=lambda *told: heard.append(told), overlap=0.5
        )
        assert result.segmentation is given
        assert list(result.attention) == ["gate_3"]
        assert len(result.statistics) == 2
        assert heard[-1][0] == 1
        assert result.prediction.options.overlap == 0.5

    def test_a_label_is_explained_by_a_map_beside_the_others(self, logic, scene):
        volume = make_scan(scene)
        result = logic.segmentVolume(volume, "tiny-unet", attention="gate_3", explain=["Hippocampus anterior"])
        assert list(result.attention) == ["gate_3", "why Hippocampus anterior"]
        node = result.attention["why Hippocampus anterior"]
        assert node.GetAttribute(MAP_ATTRIBUTE) == "why Hippocampus anterior"
        assert node.GetDisplayNode().GetColorNode() is result.attention["gate_3"].GetDisplayNode().GetColorNode()
        before = scene.GetNumberOfNodes()
        with pytest.raises(InputError, match="no label 'Liver'"):
            logic.segmentVolume(volume, "tiny-unet", explain=["Liver"])
        assert scene.GetNumberOfNodes() == before

    def test_a_result_is_explained_for_a_segment_and_at_a_voxel(self, logic, scene):
        volume = make_scan(scene)
        result = logic.segmentVolume(volume, "tiny-unet", attention="none")
        volume.GetRASBounds(bounds := [0.0] * 6)
        position = [(low + high) / 2 for low, high in zip(bounds[::2], bounds[1::2])]
        nodes = [logic.explain(result, "Hippocampus posterior"), logic.explain(result, "Hippocampus posterior", position)]
        assert nodes[0] is not nodes[1]
        assert [slicer.util.arrayFromVolume(node).max() for node in nodes] == [1, 1]
        with pytest.raises(InputError, match="outside the region in which Hippocampus posterior was looked for"):
            logic.explain(result, "Hippocampus posterior", (900, 0, 0))

    def test_a_memory_limit_reaches_the_engine(self, logic, scene, monkeypatch):
        limits = []
        monkeypatch.setattr("AttentionSegLib.inference.predictor.limited_memory", lambda _device, limit: limits.append(limit) or nullcontext())
        volume = make_scan(scene)
        logic.segmentVolume(volume, "tiny-unet", attention=False, memoryLimit=3)
        run = logic.startSegmentVolume(volume, "tiny-unet", attention=False, memoryLimit=2.5)
        let_run(lambda: not run.state.running)
        logic.segmentVolume(volume, "tiny-unet", attention=False)
        assert limits == [3, 2.5, None]

    def test_start_segment_volume_runs_from_the_event_loop(self, logic, scene):
        states = []
        run = logic.startSegmentVolume(make_scan(scene), "tiny-unet", onChange=lambda run: states.append(run.state.value))
        let_run(lambda: not run.state.running)
        assert run.state.value == "done", run.error
        assert run.result.segmentation.GetScene() is scene
        assert states[-2:] == ["publishing", "done"]

    @pytest.mark.parametrize("what", ["folder", "training", "training on nodes"])
    def test_long_runs_leave_the_application_alive(self, logic, scene, monkeypatch, what):
        from AttentionSegLib.errors import Cancelled

        given = []

        def work(*arguments, on_progress, cancel, **options):
            given.append((arguments[1:], options))
            on_progress(0.5, "half", None)
            while not cancel():
                time.sleep(0.005)
            raise Cancelled

        monkeypatch.setattr("AttentionSegLib.batch.segment_folder", work)
        monkeypatch.setattr("AttentionSegLib.training.train_model", work)
        monkeypatch.setattr("AttentionSegLib.datasets.case_set.folder_cases", lambda *_arguments, **_options: None)
        pairs = [make_pair(scene, name) for name in ("a", "b")]
        states = []
        start = {
            "folder": lambda: logic.startSegmentFolder("in", "out", "tiny-unet", onChange=lambda run: states.append(run.state.value), jobs=1),
            "training": lambda: logic.startTrainModel("in", "labels", "attention-unet", "out", onChange=lambda run: states.append(run.state.value)),
            "training on nodes": lambda: logic.startTrainModelOnNodes(pairs, "attention-unet", "out", hours=2),
        }[what]
        run = start()
        let_run(lambda: run.progress[:2] == (0.5, "half"))
        assert run.state.running
        run.cancel()
        let_run(lambda: not run.state.running)
        assert (run.state.value, run.result, run.error) == ("cancelled", None, None)
        arguments, options = given[0]
        assert "out" in arguments
        assert what != "folder" or (options == {"model": "tiny-unet", "jobs": 1} and states[-1] == "cancelled")
        assert what != "training on nodes" or options["hours"] == 2

    def test_threads_change_places_more_often_while_something_runs(self, logic):
        """Otherwise a thread that imports packages keeps the application waiting."""
        usual, left = sys.getswitchinterval(), [True, False]
        logic.keepPolling(lambda: left.pop(0))
        assert sys.getswitchinterval() < usual / 2
        let_run(lambda: not left)
        assert sys.getswitchinterval() == usual

    def test_a_cancelled_start(self, logic, scene):
        volume = make_scan(scene)
        nodes = nodes_of(scene)
        run = logic.startSegmentVolume(volume, "tiny-unet")
        run.cancel()
        let_run(lambda: not run.state.running)
        assert run.state.value == "cancelled"
        assert nodes_of(scene) == nodes

    def test_compare(self, logic, scene):
        volume = make_scan(scene)
        result = logic.segmentVolume(volume, "tiny-unet", attention=False)
        reference = logic.segmentVolume(volume, "tiny-mirrored", attention=False).segmentation
        for given in (None, volume):
            rows = logic.compare(result.segmentation, reference, given).rows
            assert [row.name for row in rows] == [measured.name for measured in result.statistics]
            assert [row.milliliters for row in rows] == pytest.approx([measured.milliliters for measured in result.statistics])
            assert [row.dice for row in rows] == [1, 1]

    def test_probe(self, logic, scene):
        volume = make_scan(scene)
        result = logic.segmentVolume(volume, "tiny-guided")
        bounds = [0.0] * 6
        volume.GetRASBounds(bounds)
        middle = [(bounds[axis] + bounds[axis + 1]) / 2 for axis in (0, 2, 4)]
        node = logic.probe(result, middle)
        assert slicer.util.arrayFromVolume(node).mean() == pytest.approx(1, abs=1e-3)
        assert logic.probe(result, np.add(middle, 1)) is node
        with pytest.raises(InputError, match="outside what was segmented"):
            logic.probe(result, (900, 0, 0))


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


def test_settings_come_back_with_a_saved_scene(logic, scene, tmp_path):
    from AttentionSegLib.ui.settings import Settings

    settings = logic.settings()
    volume = make_scan(scene, "Ä scan")
    settings.set_input(0, volume)
    settings.model, settings.opacity, settings.statistics = "tiny-unet", 0.3, [{"name": "Ä"}]
    settings.maps = [volume]
    settings.train_segmentations = [scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Ticked")]
    loaded = save_and_load(scene, tmp_path)
    again = Settings(loaded.GetSingletonNode("AttentionSeg", "vtkMRMLScriptedModuleNode"))
    assert (again.model, again.opacity, again.statistics) == ("tiny-unet", 0.3, [{"name": "Ä"}])
    assert again.input(0).GetName() == "Ä scan"
    assert again.input(0).GetScene() is loaded
    assert [node.GetName() for node in again.maps] == ["Ä scan"]
    assert [node.GetName() for node in again.train_segmentations] == ["Ticked"]
    assert again.device == "auto"


def test_settings_that_do_not_read_are_the_defaults(logic):
    settings = logic.settings()
    settings.node.SetParameter("opacity", "{broken")
    settings.node.SetParameter("model", "5")
    assert settings.opacity == 0.5
    assert settings.model == ""
