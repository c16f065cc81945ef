"""What the panel chooses for the user, and the model that it loads meanwhile."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from AttentionSegLib.models.channels import COLORS
from doubles import Application, InstallationDouble, make_scan
from scenes import make_volume
from tiny_models import AS_IT_IS, guided, save_guided


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

    def test_the_model_of_single_slices_and_of_colors(self, app, scene, red, monkeypatch, tmp_path):
        network = {"name": "guided-attention", "arguments": {**guided(2)["arguments"]}}
        gray, *inputs = [{"name": name, "modality": "OT", "normalization": AS_IT_IS} for name in ("OT", *COLORS)]
        save_guided(tmp_path / "coronal", network, id="coronal", slices="coronal", patch_size=[16, 1, 16], inputs=[gray])
        save_guided(tmp_path / "photographs", network, id="photographs", slices="axial", patch_size=[16, 16, 1], inputs=inputs)
        monkeypatch.setenv("ATTENTIONSEG_MODELS", str(tmp_path))
        app.presenter.refresh_models()

        self.show(app, red, make_scan(scene, "Slice", shape=(20, 1, 22)))
        shown = app.view.shown
        assert (shown.model.id, shown.inputs[0][0], shown.reason) == ("coronal", "Image", "")
        assert shown.misfits["hippocampus-mr-attention-unet"] == "for volumes, and Slice is a single slice"
        assert shown.misfits["photographs"] == "for images in colors, and Slice is gray"

        self.show(app, red, make_scan(scene, "Axial", shape=(20, 22, 1)))
        assert app.view.shown.misfits["coronal"] == "for coronal slices, and Axial is a single axial one"
        app.presenter.choose_model("coronal")
        assert app.view.shown.reason.startswith("Axial (20 x 22 x 1 voxels) is a single axial slice, and the model coronal takes coronal ones")
        app.presenter.choose_model("brain-mr-attention-unet")
        assert app.view.shown.inputs[0][0] == "MR"
        assert "takes volumes; give the scan with all of its slices" in app.view.shown.reason

        photograph = scene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", "Photograph")
        slicer.util.updateVolumeFromArray(photograph, np.random.default_rng(3).integers(0, 255, (1, 22, 20, 3)).astype(np.uint8))
        app.presenter.choose_input(0, photograph)
        assert app.view.shown.misfits["coronal"] == "for gray images, and Photograph is in colors"
        app.presenter.choose_model("photographs")
        assert (app.view.shown.inputs[0][0], app.view.shown.reason) == ("color image", "")

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
