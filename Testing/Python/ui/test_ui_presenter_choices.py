"""What the panel chooses for the user, and what the button says before a run."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from AttentionSegLib.ui import choices
from doubles import Application, InstallationDouble, make_scan
from heads import head
from scenes import make_volume


@pytest.fixture
def app(scene):
    return Application(scene)


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


class TestChosenForTheUser:
    """A volume is loaded, the panel is opened: the button can be pressed."""

    @pytest.fixture
    def red(self, scene):
        view = scene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
        view.SetLayoutName("Red")
        return view

    def show(self, app, view, volume):
        view.SetBackgroundVolumeID(volume.GetID())
        app.presenter.follow_views()
        return volume

    def test_the_volume_that_is_shown(self, app, scene, red):
        make_scan(scene, "Other")
        shown = self.show(app, red, make_scan(scene))
        assert app.view.shown.inputs[0][1] is shown
        assert app.view.shown.reason == ""

    def test_the_only_volume_where_none_is_shown(self, app, scene):
        volume = make_scan(scene)
        app.presenter.refresh()
        assert app.view.shown.inputs[0][1] is volume
        make_scan(scene, "Other")
        app.presenter.refresh()
        assert app.view.shown.inputs[0][1] is None

    def test_another_shown_volume_takes_its_place_until_the_user_chooses(self, app, scene, red):
        first, second, third = (make_scan(scene, name) for name in ("A", "B", "C"))
        self.show(app, red, first)
        self.show(app, red, second)
        assert app.view.shown.inputs[0][1] is second
        app.presenter.choose_input(0, third)
        self.show(app, red, first)
        assert app.view.shown.inputs[0][1] is third

    def test_a_map_of_our_own_is_no_scan(self, app, scene, red):
        volume = self.show(app, red, make_scan(scene))
        result = app.run()
        red.SetBackgroundVolumeID(result.uncertainty.GetID())
        app.presenter.refresh()
        assert app.view.shown.inputs[0][1] is volume
        maps = {node.GetID() for node in (result.uncertainty, *result.attention.values())}
        assert set(app.view.shown.hidden) == maps
        app.presenter.node_leaves(volume)
        scene.RemoveNode(volume)
        app.presenter.refresh()
        assert app.view.shown.inputs[0][1] is None
        assert "Choose a volume" in app.view.shown.reason

    def test_a_deleted_volume_that_was_chosen_makes_room_for_the_shown_one(self, app, scene, red):
        shown, chosen = make_scan(scene, "Shown"), make_scan(scene, "Chosen")
        self.show(app, red, shown)
        app.presenter.choose_input(0, chosen)
        app.presenter.node_leaves(chosen)
        scene.RemoveNode(chosen)
        assert app.view.shown.inputs[0][1] is shown

    def test_the_model_that_fits(self, app, scene, red, monkeypatch):
        monkeypatch.delenv("ATTENTIONSEG_MODELS")
        app.presenter.refresh_models()
        ct = make_scan(scene, "CT", shape=(150, 150, 150))
        slicer.util.arrayFromVolume(ct)[0] = -1000
        slicer.util.arrayFromVolumeModified(ct)
        self.show(app, red, ct)
        assert app.view.shown.model.id == "head-neck-ct-attention-unet"
        assert app.view.shown.misfits["hippocampus-mr-attention-unet"] == "for MR, and CT looks like CT"
        self.show(app, red, make_volume(scene, np.eye(4), np.random.default_rng(3).normal(100, 30, (40, 50, 40)), "Crop"))
        assert app.view.shown.model.id == "hippocampus-mr-attention-unet"
        self.show(app, red, make_scan(scene, "Head", shape=(150, 150, 150)))
        assert app.view.shown.model.id == "brain-mr-attention-unet"
        assert [model.id for model in app.view.shown.models][-1].startswith("head-neck")
        assert app.view.shown.misfits["head-neck-ct-attention-unet"] == "for CT, and Head has no air below -500 HU"

    def test_a_model_that_the_user_chose_stays(self, app, scene, red):
        app.presenter.choose_model("head-neck-ct-attention-unet")
        self.show(app, red, make_scan(scene))
        assert app.view.shown.model.id == "head-neck-ct-attention-unet"


class TestWarm:
    def loads(self, monkeypatch):
        from AttentionSegLib.models import weights

        loads = []
        original = weights.load_model
        monkeypatch.setattr("AttentionSegLib.inference.predictor.load_model", lambda folder: loads.append(folder) or original(folder))
        return loads

    def test_the_chosen_model_is_loaded_while_nothing_else_goes_on(self, app, monkeypatch):
        loads = self.loads(monkeypatch)
        app.choose()
        app.when_idle[-1]()
        app.wait()
        assert [folder.name for folder in loads] == ["tiny-unet"]
        app.run()
        app.when_idle[-1]()
        app.wait()
        assert len(loads) == 1

    def test_nothing_is_loaded_that_nobody_could_run(self, app, monkeypatch):
        loads = self.loads(monkeypatch)
        app.presenter.choose_model("tiny-unet")
        app.when_idle[-1]()
        app.wait()
        assert loads == []

    def test_packages_are_not_installed_for_it(self, scene, monkeypatch):
        app = Application(scene, InstallationDouble(["monai"]))
        app.choose()
        app.when_idle[-1]()
        assert app.polls == []
        assert app.view.questions == []


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
