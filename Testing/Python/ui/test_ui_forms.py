"""The sections Batch and Train, to what they write."""

from __future__ import annotations

import json
import time
from contextlib import nullcontext

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from AttentionSegLib.errors import Cancelled
from AttentionSegLib.ui.form_presenter import BatchPresenter
from AttentionSegLib.ui.train_presenter import TrainPresenter
from doubles import form, form_application, training_form


@pytest.fixture
def app(scene):
    return form_application(scene)


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
