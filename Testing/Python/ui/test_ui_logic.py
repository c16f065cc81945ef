"""AttentionSeg.py: what the Python console and other modules see, and the settings that a scene keeps."""

from __future__ import annotations

import sys
import time
from contextlib import nullcontext

import numpy as np
import pytest
import slicer
from AttentionSegLib.errors import InputError
from AttentionSegLib.models.measured_maps import MeasuredMap
from AttentionSegLib.mrml.attention_volumes import MAP_ATTRIBUTE
from AttentionSegLib.ui.shown_attention import listed_maps
from doubles import make_scan
from loaded_module import let_run
from pair_scenes import make_pair
from scenes import nodes_of, save_and_load


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

    @pytest.mark.parametrize(
        ("how", "said"),
        [({}, MeasuredMap(2, 0.9).text), ({"explain_method": "seg-grad-cam"}, "seg-grad-cam, usual layer")],
        ids=["usual", "other method"],
    )
    def test_figures_of_the_card_are_not_those_of_another_explanation(self, logic, scene, how, said):
        """Also when a volume shows first the one and then the other."""
        card = {"maps": [{"map": "why", "cases": 2, "roc_auc": 0.9}]}
        volume, told = make_scan(scene), []
        for options in ({"explain_method": "seg-grad-cam", "explain_layer": "bottleneck"}, how):
            result = logic.segmentVolume(volume, "tiny-unet", attention="none", explain=["Hippocampus anterior"], **options)
            explained = [*result.attention.values(), logic.explain(result, "Hippocampus posterior")]
            told.append([entry.worth for entry in listed_maps(explained, card)])
        assert told[0] == ["seg-grad-cam, bottleneck"] * 2
        assert told[1] == [said] * 2

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
