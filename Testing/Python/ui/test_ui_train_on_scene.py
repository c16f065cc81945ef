"""The section Train with pairs of the scene: from ticks in a list to a model of one's own."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import slicer
from AttentionSegLib.datasets.cases import read_labelled
from AttentionSegLib.errors import Cancelled
from AttentionSegLib.ui import environment
from doubles import form_application, training_form
from pair_scenes import NAMES, make_pair, segment
from tiny_models import save_unet


@pytest.fixture
def app(scene):
    return form_application(scene)


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
