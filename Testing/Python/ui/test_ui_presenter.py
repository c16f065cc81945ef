"""From the choices to the result, and every way in which a run ends."""

from __future__ import annotations

import sys
from contextlib import nullcontext

import numpy as np
import pytest
from AttentionSegLib.errors import InputError
from AttentionSegLib.mrml import segment as segment_module
from AttentionSegLib.ui import segmenter as segmenter_module
from AttentionSegLib.ui.model_list import ModelChoice
from AttentionSegLib.ui.run import progress_text
from doubles import Application, InstallationDouble, make_scan
from scenes import nodes_of


@pytest.fixture
def app(scene):
    return Application(scene)


class TestRun:
    def test_every_stage_is_shown(self, app):
        app.choose()
        app.run()
        assert app.view.states == ["idle", "reading", "predicting", "publishing", "done"]
        assert app.view.shown.message.startswith("Done in ")
        texts = [text for _fraction, text in app.view.progress]
        assert "Loading the model" in texts[0]

    def test_the_result_has_segmentation_maps_and_statistics(self, app):
        volume = app.choose()
        result = app.run()
        assert result.segmentation.GetName() == "T1 segmentation"
        assert set(result.attention) == {"gate_2", "gate_3"}
        assert result.uncertainty.GetName() == "T1 uncertainty"
        assert [measured.name for measured in result.statistics] == ["Hippocampus anterior", "Hippocampus posterior"]
        assert sum(measured.voxels for measured in result.statistics) > 0
        assert result.volume is volume

    def test_the_second_run_uses_the_loaded_model(self, app, monkeypatch):
        from AttentionSegLib.models import weights

        loads = []
        original = weights.load_model
        monkeypatch.setattr("AttentionSegLib.inference.predictor.load_model", lambda folder: loads.append(folder) or original(folder))
        app.choose()
        app.run()
        app.run()
        assert len(loads) == 1

    def test_another_model_is_loaded(self, app):
        app.choose()
        app.run()
        app.choose("tiny-guided")
        assert app.run().prediction.card.id == "tiny-guided"

    def test_other_segments_of_a_given_segmentation_stay(self, app, scene):
        app.choose()
        given = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Mine")
        given.GetSegmentation().AddEmptySegment("lesion", "Lesion")
        app.presenter.choose_segmentation(given)
        assert app.run().segmentation is given
        assert list(given.GetSegmentation().GetSegmentIDs()) == ["lesion", "tiny-unet_1", "tiny-unet_2"]

    def test_chosen_maps_alone_and_probabilities(self, app):
        app.choose()
        app.presenter.set_attention("gate_3")
        app.presenter.set_keep_probabilities(True)
        result = app.run()
        assert set(result.attention) == {"gate_3"}
        assert set(result.nodes.probabilities) == {"Hippocampus anterior", "Hippocampus posterior"}
        app.presenter.set_attention("none")
        assert app.run().attention == {}

    def test_a_set_overlap_reaches_the_engine(self, app):
        app.choose()
        assert app.view.shown.overlap == 0.25
        app.presenter.set_overlap(0.5)
        assert app.run().prediction.options.overlap == 0.5
        app.presenter.set_overlap(0.25)
        assert app.run().prediction.options.overlap == 0.25

    def test_a_memory_limit_reaches_the_engine_and_0_is_none(self, app, monkeypatch):
        limits = []
        monkeypatch.setattr("AttentionSegLib.inference.predictor.limited_memory", lambda _device, limit: limits.append(limit) or nullcontext())
        app.choose()
        for limit in (0, 2.5, 0):
            app.presenter.set_memory_limit(limit)
            app.run()
        assert limits == [None, 2.5, None]
        app.presenter.refresh()
        assert app.view.shown.memory_limit == 0

    def test_mirroring_reaches_the_engine_of_models_trained_with_it(self, app):
        app.choose("tiny-mirrored")
        plain = app.run().prediction.uncertainty.voxels
        app.presenter.set_mirroring(True)
        mirrored = app.run().prediction.uncertainty.voxels
        assert app.view.shown.mirroring
        assert np.abs(mirrored - plain).max() > 1e-3
        app.presenter.choose_model("tiny-unet")
        assert not app.view.shown.mirroring
        assert app.view.shown.mirroring_reason == "This model was not trained on mirrored scans."
        app.run()
        app.presenter.choose_model("tiny-mirrored")
        assert app.view.shown.mirroring

    def test_a_model_that_always_mirrors_leaves_no_choice(self, app, monkeypatch):
        monkeypatch.setattr(ModelChoice, "always_mirrors", True)
        app.choose("tiny-mirrored")
        assert not app.view.shown.mirroring
        assert app.view.shown.mirroring_reason == "This model always segments the mirror image as well."

    def test_two_volumes_of_the_same_name(self, app, scene):
        first, second = make_scan(scene), make_scan(scene, shape=(16, 16, 24))
        app.choose(volume=second)
        result = app.run()
        assert result.volume is second
        assert result.uncertainty.GetImageData().GetDimensions() == (16, 16, 24)
        assert first.GetName() == second.GetName()


class TestFailure:
    def assert_failed(self, app, scene, nodes, text):
        assert app.view.shown.state.value == "failed"
        assert text in app.view.shown.message
        assert nodes_of(scene) == nodes
        assert not app.results

    def test_while_reading(self, app, scene):
        volume = app.choose()
        roi = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "R")
        app.presenter.choose_region(roi)
        nodes = nodes_of(scene)
        app.presenter.press()
        self.assert_failed(app, scene, nodes, "The region R has no size yet")
        assert app.view.shown.details == ""
        assert volume.GetScene() is scene

    def test_while_loading(self, app, scene, monkeypatch):
        def fail(_folder):
            msg = "The weights are gone."
            raise InputError(msg)

        monkeypatch.setattr("AttentionSegLib.inference.predictor.load_model", fail)
        app.choose()
        nodes = nodes_of(scene)
        app.presenter.press()
        app.wait()
        self.assert_failed(app, scene, nodes, "The weights are gone.")

    def test_while_predicting(self, app, scene, caplog):
        app.choose()
        app.presenter.set_attention("gate_9")
        nodes = nodes_of(scene)
        with caplog.at_level("INFO", "AttentionSeg"):
            app.presenter.press()
            app.wait()
        self.assert_failed(app, scene, nodes, "has no attention map 'gate_9'; it has gate_2, gate_3")
        # What the user can mend lights no error mark.
        told = [record for record in caplog.records if "gate_9" in record.getMessage()]
        assert [record.levelname for record in told] == ["INFO"]
        assert "Traceback" not in told[0].getMessage()

    def test_while_publishing(self, app, scene, monkeypatch, caplog):
        def fail(*_arguments):
            msg = "out of disk"
            raise OSError(msg)

        monkeypatch.setattr(sys.modules["AttentionSegLib.mrml.publish"], "publish_segmentation", fail)
        app.choose()
        nodes = nodes_of(scene)
        app.presenter.press()
        app.wait()
        self.assert_failed(app, scene, nodes, "It failed: out of disk")
        assert "Traceback" in app.view.shown.details
        assert "publish_segmentation" in app.view.shown.details
        assert [record.levelname for record in caplog.records if "out of disk" in record.getMessage()] == ["ERROR"]

    def test_a_volume_or_output_deleted_in_mid_run_stops_it(self, app, scene):
        volume, output = app.choose(), scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Mine")
        app.presenter.choose_segmentation(output)
        app.presenter.press()
        scene.RemoveNode(output)
        nodes = nodes_of(scene)
        app.wait()
        self.assert_failed(app, scene, nodes, "Stopped, because Mine was deleted.")
        app.presenter.press()
        scene.RemoveNode(volume)
        nodes = nodes_of(scene)
        app.wait()
        self.assert_failed(app, scene, nodes, "Stopped, because T1 was deleted.")

    def test_the_next_run_works(self, app, scene):
        app.choose()
        app.presenter.set_attention("gate_9")
        app.presenter.press()
        app.wait()
        app.presenter.set_attention("all")
        app.run()
        assert app.view.shown.state.value == "done"
        assert app.view.shown.details == ""


class TestCancel:
    def assert_cancelled(self, app, scene, nodes):
        app.wait()
        assert app.view.shown.state.value == "cancelled"
        assert app.view.shown.message == "Cancelled; the scene is as it was."
        assert nodes_of(scene) == nodes
        assert not app.results

    def test_right_after_the_start(self, app, scene):
        app.choose()
        nodes = nodes_of(scene)
        app.presenter.press()
        app.presenter.press()
        self.assert_cancelled(app, scene, nodes)

    def test_while_the_model_is_loaded(self, app, scene, monkeypatch):
        original = segmenter_module.Segmenter.predictor

        def cancelled_meanwhile(segmenter, options, cancel):
            predictor = original(segmenter, options, cancel)
            app.presenter.cancel()
            return predictor

        monkeypatch.setattr(segmenter_module.Segmenter, "predictor", cancelled_meanwhile)
        monkeypatch.setattr(segmenter_module, "predict", lambda *_arguments, **_changes: pytest.fail("it went on to predict"))
        app.choose()
        nodes = nodes_of(scene)
        app.presenter.press()
        self.assert_cancelled(app, scene, nodes)

    @pytest.mark.parametrize("stage", ["prepare", "network", "restore", "finish"])
    def test_in_every_stage_of_the_engine(self, app, scene, monkeypatch, stage):
        original = segment_module.measure

        def predict(predictor, scan, on_progress, cancel, **changes):
            def note(fraction, name, seconds):
                if name == stage:
                    app.presenter.cancel()
                on_progress(fraction, name, seconds)

            prediction = predictor(scan.image, scan.region, on_progress=note, cancel=cancel, **changes)
            return prediction, tuple(original(prediction))

        monkeypatch.setattr(segmenter_module, "predict", predict)
        app.choose()
        nodes = nodes_of(scene)
        app.presenter.press()
        self.assert_cancelled(app, scene, nodes)

    def test_after_the_work_and_before_the_scene_changes(self, app, scene, monkeypatch):
        original = segmenter_module.predict

        def predict(*arguments, **changes):
            found = original(*arguments, **changes)
            app.presenter.cancel()
            return found

        monkeypatch.setattr(segmenter_module, "predict", predict)
        app.choose()
        nodes = nodes_of(scene)
        app.presenter.press()
        self.assert_cancelled(app, scene, nodes)

    def test_when_the_scene_is_closed(self, app, scene):
        app.choose()
        app.presenter.press()
        app.presenter.cancel()
        scene.Clear(0)
        nodes = nodes_of(scene)
        self.assert_cancelled(app, scene, nodes)


class TestInstallation:
    def test_asks_once_installs_and_goes_on(self, scene):
        app = Application(scene, InstallationDouble(["monai"]))
        app.choose()
        app.run()
        assert app.view.questions == ["Install monai?"]
        assert app.view.states == ["idle", "installing", "idle", "reading", "predicting", "publishing", "done"]
        assert (None, "Collecting ...") in app.view.progress

    def test_a_refusal_changes_nothing(self, scene):
        app = Application(scene, InstallationDouble(["monai"]))
        app.view.agrees = False
        app.choose()
        app.presenter.press()
        assert app.view.states == ["idle"]

    def test_a_failure_is_told_and_nothing_runs(self, scene):
        app = Application(scene, InstallationDouble(["monai"], InputError("No network.")))
        app.choose()
        app.presenter.press()
        assert app.view.states == ["idle", "installing", "failed"]
        assert app.view.shown.message == "No network."
        assert not app.polls


def test_progress_says_how_long_it_takes():
    assert progress_text("network", 12.4) == "Running the network, about 12 s left"
    assert progress_text("network", 200) == "Running the network, about 3 min left"
    assert progress_text("prepare", None) == "Preparing the scan"
