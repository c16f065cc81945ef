"""The sections Batch, Train and Environment, to what they write."""

from __future__ import annotations

import json
import time
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

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


def form(app, kind, *more):
    app.form_view = PanelDouble()
    return kind(app.form_view, app.settings, InstallationDouble(), app.keep_polling, *more)


def training_form(app):
    """What the presenter tells of new models is in `app.trained`."""
    app.trained = []
    return form(app, TrainPresenter, app.trained.append)


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
        assert app.form_view.shown.report == str(tmp_path / "out" / "report.html")

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
        presenter = training_form(app)
        for name in ("train_images", "train_labels", "train_output"):
            presenter.set(name, str(tmp_path / name))
        presenter.set("train_title", "Boxes")
        presenter.set("train_license", "CC-BY-4.0")
        return presenter

    def test_asks_for_one_thing_after_the_other(self, app):
        presenter = training_form(app)
        asked = []
        for name in ("train_images", "train_labels", "train_title", "train_license"):
            asked.append(app.form_view.shown.reason)
            presenter.set(name, "x")
        assert asked == [TrainPresenter.fields[name] for name in ("train_images", "train_labels", "train_title", "train_license")]
        assert app.form_view.shown.reason == ""

    def test_tells_what_is_wrong_with_a_folder(self, app, presenter):
        presenter.press()
        app.wait()
        assert app.form_view.shown.state.value == "failed"
        assert "train_images" in app.form_view.shown.message

    @pytest.mark.parametrize(
        ("chosen", "expected"), [("", {}), ("none", {"slices": "none"}), ("coronal", {"slices": "coronal", "context": 2})], ids=lambda part: str(part)
    )
    def test_works_on_volumes_or_slices_as_chosen(self, app, presenter, monkeypatch, chosen, expected):
        given = {}

        def train_model(_cases, _network, _output, **options):
            given.update(options)
            raise Cancelled

        monkeypatch.setattr("AttentionSegLib.datasets.case_set.folder_cases", lambda images, labels: (images.name, labels.name))
        monkeypatch.setattr("AttentionSegLib.training.train_model", train_model)
        presenter.set("train_slices", chosen)
        presenter.set("train_context", 2)
        presenter.press()
        app.wait()
        assert {name: given[name] for name in ("slices", "context") if name in given} == expected

    def test_hands_on_what_was_chosen_and_stops_when_asked(self, app, presenter, monkeypatch):
        given = {}

        def train_model(cases, network, output, on_progress, cancel, **options):
            given.update(cases=cases, network=network, output=output, **options)
            on_progress(0.5, "epoch 3", 60.0)
            while not cancel():
                time.sleep(0.01)
            raise Cancelled

        monkeypatch.setattr("AttentionSegLib.datasets.case_set.folder_cases", lambda images, labels: (images.name, labels.name))
        monkeypatch.setattr("AttentionSegLib.training.train_model", train_model)
        presenter.set("train_network", "guided-attention")
        presenter.set("train_hours", 0.5)
        presenter.press()
        presenter.press()
        app.wait()
        assert given["cases"] == ("train_images", "train_labels")
        assert (given["network"], given["device"]) == ("guided-attention", "cpu")
        assert (given["hours"], given["title"], given["license"]) == (0.5, "Boxes", "CC-BY-4.0")
        assert "work" not in given
        assert app.form_view.shown.message.startswith("Stopped; finished work is kept")


class TestTrainFromTheScene:
    @pytest.fixture
    def presenter(self, app, tmp_path):
        presenter = training_form(app)
        presenter.set("train_license", "CC-BY-4.0")
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
        assert app.form_view.shown.title == "Hippocampus anterior, Hippocampus posterior"
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

        def train_model(cases, network, output, labels, **options):
            found = {case.id: read_labelled(case) for role in cases.roles.values() for case in role}
            given.update(found=found, names=cases.label_names, folder=cases.roles["train"][0].label.parent, network=network, labels=labels)
            given.update(output=output, **options)
            raise Cancelled

        monkeypatch.setattr("AttentionSegLib.training.train_model", train_model)
        presenter.refresh()
        for row in (0, 2):
            presenter.tick(row, on=True)
        presenter.press()
        app.wait()
        assert app.form_view.shown.state.value == "cancelled", app.form_view.shown.message
        assert set(given["found"]) == {"1_a", "2_c"}
        image, labels, _ = given["found"]["2_c"]
        np.testing.assert_array_equal(image.voxels[0].transpose(2, 1, 0), slicer.util.arrayFromVolume(pairs[2][0]))
        assert set(np.unique(labels.voxels)) == {0, 1, 2}
        assert given["names"] == dict(enumerate(NAMES, start=1))
        assert [label["color"] for label in given["labels"]] == [[221, 130, 101], [144, 238, 144]]
        assert given["network"] == "attention-unet"
        assert not given["folder"].exists()
        # Nothing had to be chosen: neither title nor folder.
        assert given["title"] == "Hippocampus anterior, Hippocampus posterior"
        assert given["output"] == environment.user_folder() / "hippocampus-anterior-hippocampus-posterior"
        assert given["work"].name.startswith("hippocampus-anterior-hippocampus-posterior-")
        assert environment.user_folder() not in given["work"].parents

    def test_segments_of_other_names_are_told_with_the_pair(self, app, presenter):
        pairs = [make_pair(app.scene, name) for name in "ab"]
        segment(pairs[1][1], NAMES[0]).SetName("Kidney")
        presenter.refresh()
        for row in range(2):
            presenter.tick(row, on=True)
        presenter.press()
        app.wait()
        assert app.form_view.shown.state.value == "failed"
        assert app.form_view.shown.message.startswith("b segmentation of b has the segments Hippocampus posterior, Kidney")

    def train(self, app, presenter, monkeypatch):
        """A training of which only the end is real: a model among the user's own."""

        def train_model(cases, network, output, work, **options):
            (work / "prepared").mkdir(parents=True)
            (work / "report.html").write_text("how it went", encoding="utf-8")
            save_unet(output, id=output.name, title=options["title"])
            numbers = {"Hippocampus anterior": 0.87, "Hippocampus posterior": 0.81, "mean": 0.84}
            summary = {name: {"dice": {"mean": value, "n": 2}} for name, value in numbers.items()}
            scores = SimpleNamespace(card=SimpleNamespace(title=options["title"]), summary=lambda: summary)
            return SimpleNamespace(folder=output, report=work / "report.html", scores=scores)

        monkeypatch.setattr("AttentionSegLib.training.train_model", train_model)
        presenter.press()
        app.wait()
        assert app.form_view.shown.state.value == "done", app.form_view.shown.message

    def test_the_trained_model_is_among_the_users_own_with_its_figures_and_report(self, app, presenter, monkeypatch):
        for name in "ab":
            make_pair(app.scene, name)
        presenter.refresh()
        for row in range(2):
            presenter.tick(row, on=True)
        presenter.set("train_title", "My hippocampus")
        self.train(app, presenter, monkeypatch)
        assert app.trained == ["my-hippocampus"]
        assert [model.title for model in environment.user_models()] == ["My hippocampus"]
        assert "'My hippocampus' was added to your models" in app.form_view.shown.message
        assert "Mean Dice 0.84 on 2 validation case(s) (Hippocampus anterior 0.87, Hippocampus posterior 0.81)" in app.form_view.shown.message
        page = Path(app.form_view.shown.report)
        assert page.read_text(encoding="utf-8") == "how it went"
        assert not (page.parent / "prepared").exists()
        self.train(app, presenter, monkeypatch)
        assert app.trained == ["my-hippocampus", "my-hippocampus-2"]

    def test_a_stopped_training_goes_on_in_the_same_place_unless_something_else_is_chosen(self, app, presenter, monkeypatch):
        places = []

        def train_model(*_arguments, work, **_options):
            places.append(work)
            raise Cancelled

        monkeypatch.setattr("AttentionSegLib.training.train_model", train_model)
        for name in "abc":
            make_pair(app.scene, name)
        presenter.refresh()
        for row in range(2):
            presenter.tick(row, on=True)
        for hours in (3.0, 3.0, 1.0):
            presenter.set("train_hours", hours)
            presenter.press()
            app.wait()
        presenter.tick(2, on=True)
        presenter.press()
        app.wait()
        assert places[0] == places[1]
        assert len(set(places)) == 3

    def test_results_of_models_are_no_examples_unless_wanted(self, app, presenter):
        make_pair(app.scene, "a")
        app.choose()
        app.run()
        presenter.refresh()
        assert [pair[0] for pair in app.form_view.shown.pairs] == ["a"]
        presenter.set("train_results", True)
        assert [pair[:2] for pair in app.form_view.shown.pairs] == [("a", "a segmentation"), ("T1", "T1 segmentation")]


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
        folder = save_unet(environment.user_folder() / "mine", id="mine", title="Mine")
        presenter.refresh()
        assert [model.title for model in app.form_view.shown.models] == ["Mine"]
        assert [model.folder for model in app.form_view.shown.models] == [folder]
        assert app.form_view.shown.models[0].megabytes > 0.01
        app.form_view.agrees = False
        presenter.delete(0)
        assert folder.exists()
        app.form_view.agrees = True
        presenter.delete(0)
        assert not folder.exists()
        assert "Delete the model Mine" in app.form_view.questions[-1]
        assert app.form_view.shown.message == "Deleted: Mine"
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
