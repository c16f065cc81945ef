"""What the button says before a run, and the region of a model that needs one."""

from __future__ import annotations

import numpy as np
import pytest
from AttentionSegLib.ui import choices
from doubles import make_scan
from heads import head
from scenes import make_volume


class TestChoices:
    def test_the_button_says_what_is_missing(self, app):
        app.presenter.choose_model("tiny-unet")
        assert app.view.shown.reason == "Choose a volume for T1 (MR)."
        app.choose()
        assert app.view.shown.reason == ""

    def test_a_volume_without_voxels_is_named(self, app, scene):
        app.choose(volume=scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Empty"))
        assert app.view.shown.reason == "There are no voxels in Empty; load the image."

    def test_the_memory_that_a_run_takes_is_said_before_it(self, app, scene, monkeypatch):
        assert app.view.shown.memory == ""
        app.choose()
        assert app.view.shown.memory == "Needs about 0.4 GB."
        app.choose(volume=make_volume(scene, np.eye(4), np.zeros((500, 500, 400), np.int16)))
        # Most of it for the sums of the logits of three classes over the patches.
        assert app.view.shown.memory == "Needs about 1.9 GB."
        hints = app.view.shown.hints
        monkeypatch.setattr(choices, "main_memory", lambda: 1.4e9)
        app.presenter.refresh()
        assert app.view.shown.hints[:-1] == hints
        assert app.view.shown.hints[-1].startswith("A run takes more memory than this computer has (1 GB): place a region")

    def test_the_memory_of_the_gpu_is_said_where_one_is_used(self, app, scene, monkeypatch):
        monkeypatch.setattr(choices, "gpu_memory", lambda: 8e9)
        app.choose(volume=make_volume(scene, np.eye(4), np.zeros((500, 500, 400), np.int16)))
        assert app.view.shown.memory == "Needs about 1.9 GB, and 0.7 GB of the GPU."
        hints = app.view.shown.hints
        app.presenter.set_memory_limit(0.5)
        assert app.view.shown.hints[:-1] == hints
        assert app.view.shown.hints[-1].startswith("A run takes more than 0.5 GB of the GPU")
        app.presenter.set_device("cpu")
        assert app.view.shown.memory == "Needs about 1.9 GB."
        assert app.view.shown.hints == hints

    def test_pressing_a_grey_button_does_nothing(self, app):
        app.presenter.press()
        assert app.view.states == ["idle"]

    def test_one_selector_per_input_of_the_model(self, app, models, tmp_path, monkeypatch):
        from builders import make_card_document
        from tiny_models import save_unet

        normalization = make_card_document()["inputs"][0]["normalization"]
        inputs = [{"name": name, "modality": "MR", "normalization": normalization} for name in ("T1", "FLAIR")]
        save_unet(tmp_path / "two", id="two", inputs=inputs)
        monkeypatch.setenv("ATTENTIONSEG_MODELS", str(tmp_path))
        app.presenter.refresh_models()
        app.choose("two")
        assert [name for name, _node in app.view.shown.inputs] == ["T1 (MR)", "FLAIR (MR)"]
        assert app.view.shown.reason == "Choose a volume for FLAIR (MR)."

    def test_search_keeps_the_chosen_model(self, app):
        app.presenter.choose_model("tiny-unet")
        app.presenter.search("GUIDED tiny")
        assert {model.id for model in app.view.shown.models} == {"tiny-guided", "tiny-unet"}
        app.presenter.search("")
        assert len(app.view.shown.models) > 2

    def test_license_and_intended_use_are_shown_with_the_model(self, app):
        app.presenter.choose_model("hippocampus-mr-attention-unet")
        assert "CC BY-SA 4.0" in app.view.shown.model.more
        assert "Not a medical device" in app.view.shown.model.more

    def test_a_model_that_cannot_be_used_says_why(self, app, tmp_path, monkeypatch):
        (tmp_path / "broken").mkdir()
        (tmp_path / "broken" / "model.json").write_text("{}")
        monkeypatch.setenv("ATTENTIONSEG_MODELS", str(tmp_path))
        app.presenter.refresh_models()
        app.choose("broken")
        assert "breaks the schema" in app.view.shown.reason

    def test_before_the_packages_are_there_models_are_listed_and_quoted(self, app, monkeypatch):
        from AttentionSegLib.ui import model_list

        monkeypatch.setattr(model_list.importlib.util, "find_spec", lambda name: None)
        app.presenter.refresh_models()
        app.choose("hippocampus-mr-attention-unet")
        assert "CC BY-SA 4.0" in app.view.shown.model.more
        assert app.view.shown.reason == ""


class TestRegion:
    MODEL = "tiny-region"

    @pytest.fixture(autouse=True)
    def region_models(self, tmp_path, monkeypatch):
        """A model that knows a region alone, placed by hand, and one that finds it."""
        from heads import save_finder
        from tiny_models import save_unet

        save_unet(tmp_path / "tiny-region", id="tiny-region", field_of_view={"kind": "region", "size_mm": [36, 52, 36]})
        save_finder(tmp_path / "tiny-finding", id="tiny-finding")
        monkeypatch.setenv("ATTENTIONSEG_MODELS", str(tmp_path))

    def test_is_asked_for_where_the_model_needs_one(self, app, scene):
        app.choose(self.MODEL, make_scan(scene, shape=(150, 150, 150)))
        assert "needs a region of about 36 x 52 x 36 mm" in app.view.shown.reason
        app.presenter.place_region()
        assert app.view.shown.reason == ""
        assert app.view.shown.region.GetSize() == (36, 52, 36)

    def test_is_not_asked_for_where_the_scan_is_the_region(self, app, scene):
        app.choose(self.MODEL, make_scan(scene, shape=(40, 50, 40)))
        assert app.view.shown.reason == ""

    def test_is_placed_at_the_crosshair(self, app, scene):
        volume = make_scan(scene, shape=(150, 150, 150))
        crosshair = scene.AddNewNodeByClass("vtkMRMLCrosshairNode")
        middle = volume_center(volume)
        crosshair.SetCrosshairRAS(middle[0] + 10, middle[1], middle[2])
        app.choose(self.MODEL, volume)
        app.presenter.place_region()
        assert app.settings.region.GetCenterWorld() == pytest.approx((middle[0] + 10, middle[1], middle[2]))

    def test_is_placed_in_the_middle_while_the_crosshair_is_elsewhere(self, app, scene):
        volume = make_scan(scene, shape=(150, 150, 150))
        scene.AddNewNodeByClass("vtkMRMLCrosshairNode").SetCrosshairRAS(5000, 0, 0)
        app.choose(self.MODEL, volume)
        app.presenter.place_region()
        assert app.settings.region.GetCenterWorld() == pytest.approx(volume_center(volume))

    def test_over_a_result_is_an_outline_that_cannot_be_dragged(self, app, scene):
        app.choose(self.MODEL, make_scan(scene, shape=(40, 50, 40)))
        app.presenter.place_region()
        display = app.settings.region.GetDisplayNode()
        app.run()
        assert not display.GetFillVisibility()
        assert not display.GetHandlesInteractive()
        app.presenter.choose_region(app.settings.region)
        assert display.GetFillVisibility()
        assert display.GetHandlesInteractive()

    def test_is_placed_where_the_structure_is_found(self, app, scene):
        image, centers = head()
        volume = make_volume(scene, image.affine, image.voxels[0], "Head")
        app.choose("tiny-finding", volume)
        assert app.view.shown.reason == ""
        app.presenter.place_region()
        app.wait()
        assert app.view.shown.message.startswith("Found and placed: Region right, Region left.")
        assert app.settings.region.GetName() == "Region right"
        assert np.linalg.norm(np.subtract(app.settings.region.GetCenterWorld(), centers["right"])) < 5


def volume_center(volume):
    bounds = [0.0] * 6
    volume.GetRASBounds(bounds)
    return [(bounds[axis] + bounds[axis + 1]) / 2 for axis in (0, 2, 4)]
