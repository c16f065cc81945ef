"""A run that ends without a result: by a failure, or cancelled."""

from __future__ import annotations

import sys

import pytest
from AttentionSegLib.errors import InputError
from AttentionSegLib.mrml import segment as segment_module
from AttentionSegLib.ui import segmenter as segmenter_module
from scenes import nodes_of


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
