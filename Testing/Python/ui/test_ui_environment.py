"""The section Environment: the report, and the user's own models as they come and go."""

from __future__ import annotations

import pytest
from AttentionSegLib.errors import InputError
from AttentionSegLib.models import list_models
from AttentionSegLib.ui import environment
from AttentionSegLib.ui.environment_presenter import EnvironmentPresenter
from doubles import PanelDouble, form_application
from tiny_models import save_unet


@pytest.fixture
def app(scene):
    return form_application(scene)


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
