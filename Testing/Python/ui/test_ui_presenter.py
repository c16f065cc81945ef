"""From the choices to the result, and the packages that are installed on the way."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
from AttentionSegLib.errors import InputError
from AttentionSegLib.ui.model_list import ModelChoice
from AttentionSegLib.ui.run import progress_text
from doubles import Application, InstallationDouble, make_scan


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
