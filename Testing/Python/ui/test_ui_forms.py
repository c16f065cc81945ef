"""The sections Batch, Train and Environment, to what they write."""

from __future__ import annotations

import json
from contextlib import nullcontext

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
import slicer
from AttentionSegLib.datasets.cases import read_labelled
from AttentionSegLib.errors import Cancelled, InputError
from AttentionSegLib.models import list_models
from AttentionSegLib.ui import environment
from AttentionSegLib.ui.environment_presenter import EnvironmentPresenter
from AttentionSegLib.ui.form_presenter import BatchPresenter
from AttentionSegLib.ui.train_presenter import TrainPresenter
from doubles import Application, InstallationDouble, PanelDouble
from test_mrml_training_pairs import NAMES, make_pair, segment
from tiny_models import save_unet


@pytest.fixture
def app(scene):
    app = Application(scene)
    app.presenter.choose_model("tiny-unet")
    app.settings.device = "cpu"
    return app


def form(app, kind):
    app.form_view = PanelDouble()
    return kind(app.form_view, app.settings, InstallationDouble(), app.keep_polling)


def write_scan(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    voxels = np.random.default_rng(1).normal(100, 30, (16, 18, 20)).astype(np.float32)
    sitk.WriteImage(sitk.GetImageFromArray(voxels), str(path))


def run_batch(app, folder):
    """Press the button for a folder with one scan, and wait; results lie in `out`."""
    write_scan(folder / "in" / "a.nrrd")
    presenter = form(app, BatchPresenter)
    presenter.set("batch_input", str(folder / "in"))
    presenter.set("batch_output", str(folder / "out"))
    presenter.press()
    app.wait()


class TestBatch:
    def test_asks_for_one_folder_after_the_other(self, app, tmp_path):
        presenter = form(app, BatchPresenter)
        assert app.form_view.shown.reason == "Choose the folder with the scans."
        presenter.set("batch_input", str(tmp_path))
        assert app.form_view.shown.reason == "Choose a folder for the results."
        presenter.press()
        assert app.form_view.states == ["idle"]

    def test_segments_a_folder(self, app, tmp_path):
        run_batch(app, tmp_path)
        assert app.form_view.shown.state.value == "done", app.form_view.shown.message
        assert app.form_view.shown.message.startswith("Scans segmented: 1.")
        assert (tmp_path / "out" / "measurements.csv").is_file()

    def test_the_memory_limit_of_the_panel_holds_here_too(self, app, tmp_path, monkeypatch):
        limits = []
        monkeypatch.setattr("AttentionSegLib.inference.predictor.limited_memory", lambda _device, limit: limits.append(limit) or nullcontext())
        app.presenter.set_memory_limit(2.5)
        run_batch(app, tmp_path)
        assert limits == [2.5]

    @pytest.mark.parametrize("model", ["tiny-mirrored", "tiny-unet"])
    def test_what_advanced_is_set_to_holds_here_too(self, app, tmp_path, model):
        app.presenter.choose_model(model)
        app.presenter.set_mirroring(True)
        app.presenter.set_overlap(0.75)
        app.presenter.set_attention("gate_3")
        run_batch(app, tmp_path)
        assert app.form_view.shown.state.value == "done", app.form_view.shown.message
        case = tmp_path / "out" / "cases" / "a"
        assert [path.name for path in case.glob("*gate*")] == ["a_gate_3.nrrd"]
        told = json.loads((case / "a_report.json").read_text(encoding="utf-8"))
        # tiny-unet has not learned from mirrored scans.
        assert (told["mirroring"], told["overlap"]) == (model == "tiny-mirrored", 0.75)

    def test_tells_what_is_wrong_with_a_folder(self, app, tmp_path):
        presenter = form(app, BatchPresenter)
        presenter.set("batch_input", str(tmp_path / "nowhere"))
        presenter.set("batch_output", str(tmp_path / "out"))
        presenter.press()
        app.wait()
        assert app.form_view.shown.state.value == "failed"
        assert "nowhere" in app.form_view.shown.message


class TestTrain:
    @pytest.fixture
    def presenter(self, app, tmp_path):
        presenter = form(app, TrainPresenter)
        for name in ("train_images", "train_labels", "train_output"):
            presenter.set(name, str(tmp_path / name))
        return presenter

    def test_asks_for_what_is_missing(self, app):
        form(app, TrainPresenter)
        assert app.form_view.shown.reason == "Choose the folder with the images."

    def test_tells_what_is_wrong_with_a_folder(self, app, presenter):
        presenter.press()
        app.wait()
        assert app.form_view.shown.state.value == "failed"
        assert "train_images" in app.form_view.shown.message

    def test_hands_on_what_was_chosen_and_stops_when_asked(self, app, presenter, monkeypatch):
        given = {}

        def train_model(cases, network, output, device, on_progress, cancel):
            given.update(cases=cases, network=network, output=output, device=device)
            on_progress(0.5, "epoch 3", 60.0)
            while not cancel():
                pass
            raise Cancelled

        monkeypatch.setattr("AttentionSegLib.datasets.case_set.folder_cases", lambda images, labels: (images.name, labels.name))
        monkeypatch.setattr("AttentionSegLib.training.train_model", train_model)
        presenter.set("train_network", "guided-attention")
        presenter.press()
        presenter.press()
        app.wait()
        assert given["cases"] == ("train_images", "train_labels")
        assert (given["network"], given["device"]) == ("guided-attention", "cpu")
        assert app.form_view.shown.message.startswith("Stopped; what is done stays")


class TestTrainFromTheScene:
    @pytest.fixture
    def presenter(self, app, tmp_path):
        presenter = form(app, TrainPresenter)
        presenter.set("train_output", str(tmp_path / "model"))
        return presenter

    def test_pairs_are_offered_and_at_least_two_are_needed(self, app, presenter):
        make_pair(app.scene, "a"), make_pair(app.scene, "b")
        presenter.refresh()
        assert app.form_view.shown.pairs == (("a", "a segmentation", False), ("b", "b segmentation", False))
        assert app.form_view.shown.reason == "Tick pairs of the scene, or choose the folder with the images."
        presenter.tick(1, on=True)
        assert app.form_view.shown.pairs == (("a", "a segmentation", False), ("b", "b segmentation", True))
        assert app.form_view.shown.reason.startswith("Tick at least two pairs")
        presenter.tick(0, on=True)
        assert app.form_view.shown.reason == ""
        presenter.tick(1, on=False)
        assert [pair[2] for pair in app.form_view.shown.pairs] == [True, False]

    def test_a_deleted_pair_is_no_longer_ticked(self, app, presenter):
        pairs = [make_pair(app.scene, name) for name in "abc"]
        presenter.refresh()
        for row in range(3):
            presenter.tick(row, on=True)
        app.scene.RemoveNode(pairs[1][1])
        presenter.refresh()
        assert app.form_view.shown.pairs == (("a", "a segmentation", True), ("c", "c segmentation", True))

    def test_ticked_pairs_become_the_cases_and_their_segments_the_labels(self, app, presenter, monkeypatch):
        pairs = [make_pair(app.scene, name) for name in "abc"]
        given = {}

        def train_model(cases, network, output, labels, device, on_progress, cancel):
            found = {case.id: read_labelled(case) for role in cases.roles.values() for case in role}
            given.update(found=found, names=cases.label_names, folder=cases.roles["train"][0].label.parent, network=network, labels=labels)
            raise Cancelled

        monkeypatch.setattr("AttentionSegLib.training.train_model", train_model)
        presenter.refresh()
        for row in (0, 2):
            presenter.tick(row, on=True)
        presenter.press()
        app.wait()
        assert app.form_view.shown.state.value == "cancelled", app.form_view.shown.message
        assert set(given["found"]) == {"1_a", "2_c"}
        image, labels = given["found"]["2_c"]
        np.testing.assert_array_equal(image.voxels[0].transpose(2, 1, 0), slicer.util.arrayFromVolume(pairs[2][0]))
        assert set(np.unique(labels.voxels)) == {0, 1, 2}
        assert given["names"] == dict(enumerate(NAMES, start=1))
        assert [label["color"] for label in given["labels"]] == [[221, 130, 101], [144, 238, 144]]
        assert given["network"] == "attention-unet"
        assert not given["folder"].exists()

    def test_segments_of_other_names_are_told_with_the_pair(self, app, presenter):
        pairs = [make_pair(app.scene, name) for name in "ab"]
        segment(pairs[1][1], NAMES[0]).SetName("Kidney")
        presenter.refresh()
        for row in range(2):
            presenter.tick(row, on=True)
        presenter.press()
        assert app.form_view.shown.state.value == "failed"
        assert app.form_view.shown.message.startswith("b segmentation of b has the segments Hippocampus posterior, Kidney")


class TestEnvironment:
    @pytest.fixture
    def presenter(self, app):
        app.form_view = PanelDouble()
        app.heard = []
        return EnvironmentPresenter(app.form_view, app.keep_polling, lambda: app.heard.append([entry.id for entry in list_models()]))

    def test_the_report_names_versions_and_tries_the_devices(self, app, presenter):
        presenter.check()
        assert app.form_view.shown.checking
        app.wait()
        report = app.form_view.shown.report
        assert not app.form_view.shown.checking
        assert "cpu: works" in report
        assert report.startswith("AttentionSeg ")
        assert "torch 2" in report
        assert "model folder" in report
        assert presenter.report() == report

    def test_a_broken_gpu_is_named_with_what_to_do(self, monkeypatch):
        monkeypatch.setattr("AttentionSegLib.inference.devices.available_devices", lambda: ["meta", "cpu"])
        report = environment.environment_report("5.8")
        assert "meta: a tiny computation fails" in report
        assert "cpu: works" in report

    def test_models_are_listed_with_their_size_and_deleted_when_agreed(self, app, presenter):
        folder = save_unet(environment.user_folder() / "mine", id="mine")
        presenter.refresh()
        assert [model.folder for model in app.form_view.shown.models] == [folder]
        assert app.form_view.shown.models[0].megabytes > 0.01
        app.form_view.agrees = False
        presenter.delete(0)
        assert folder.exists()
        app.form_view.agrees = True
        presenter.delete(0)
        assert not folder.exists()
        assert "Delete the model mine" in app.form_view.questions[-1]
        assert "no models of your own" in app.form_view.shown.reason
        assert "mine" not in app.heard[-1]

    def test_a_model_goes_out_as_one_file_and_comes_in_again(self, app, presenter, tmp_path):
        folder = save_unet(environment.user_folder() / "mine", id="mine")
        app.form_view.path = tmp_path / "mine.zip"
        presenter.export_model(0)
        assert app.form_view.shown.copying
        assert app.form_view.shown.message == "Exporting ..."
        app.wait()
        assert app.form_view.questions == ["mine.zip"]
        assert app.form_view.shown.message == f"Exported: {tmp_path / 'mine.zip'}"
        presenter.delete(0)
        presenter.import_model()
        app.wait()
        assert app.form_view.shown.message == f"Imported: {folder}"
        assert not app.form_view.shown.copying
        assert [model.folder for model in app.form_view.shown.models] == [folder]
        assert "mine" in app.heard[-1]

    def test_what_is_wrong_with_a_file_is_told(self, app, presenter, tmp_path):
        (tmp_path / "broken.zip").write_bytes(b"broken")
        app.form_view.path = tmp_path / "broken.zip"
        presenter.import_model()
        app.wait()
        assert "broken.zip is not a .zip that can be read" in app.form_view.shown.message
        assert app.form_view.shown.models == ()
        assert app.heard == []

    def test_whoever_chooses_no_file_changes_nothing(self, app, presenter):
        save_unet(environment.user_folder() / "mine", id="mine")
        presenter.import_model()
        presenter.export_model(0)
        assert not app.polls
        assert app.form_view.shown.message == ""

    def test_before_the_packages_are_there_it_says_how_they_come(self, app, presenter, tmp_path, monkeypatch):
        monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
        app.form_view.path = tmp_path / "mine.zip"
        presenter.import_model()
        assert "press Segment once" in app.form_view.shown.message
        assert not app.polls

    def test_nothing_else_can_be_deleted(self, tmp_path):
        with pytest.raises(InputError, match="delete it by hand"):
            environment.delete_model(tmp_path)
        assert tmp_path.exists()
