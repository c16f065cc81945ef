"""Maps become volumes that lie over the scan as a heat map."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from AttentionSegLib.image import Image
from AttentionSegLib.mrml import image_from_volumes
from AttentionSegLib.mrml.attention_volumes import is_own_map, publish_map
from AttentionSegLib.ui.shown_attention import listed_maps
from scenes import AFFINES, make_prediction, make_volume
from vtk.util.numpy_support import vtk_to_numpy


@pytest.fixture
def card(volume):
    return make_prediction(image_from_volumes([volume])).card


def a_map(values, affine=None):
    return Image(np.asarray(values, np.float32).reshape(1, 4, 3, 2), AFFINES["PIR"] if affine is None else affine)


RAMP = np.linspace(0, 0.8, 24)


def test_a_map_keeps_its_values_grid_and_type(volume, card):
    node = publish_map(a_map(RAMP), "gate_2", card, volume)
    assert node.GetName() == "T1 gate_2"
    array = slicer.util.arrayFromVolume(node)
    assert array.dtype == np.float32
    assert np.array_equal(array.transpose(2, 1, 0).ravel(), RAMP.astype(np.float32))
    np.testing.assert_allclose(image_from_volumes([node]).affine, AFFINES["PIR"], atol=1e-6)


def test_says_which_model_made_it(volume, card):
    node = publish_map(a_map(RAMP), "gate_2", card, volume)
    assert node.GetAttribute("AttentionSeg.ModelId") == "hippocampus-t1"
    assert node.GetAttribute("AttentionSeg.ModelVersion") == "1.0.0"
    assert node.GetAttribute("AttentionSeg.WeightsSHA256") == "0" * 64


@pytest.mark.parametrize(("name", "title"), [("photo.png", "(4 x 4 pixels)"), ("slice.nrrd", "(4 x 4 x 1 mm)")])
def test_a_map_of_a_picture_is_listed_in_pixels(scene, card, name, title):
    picture = make_volume(scene, np.diag([-1.0, -1, 1, 1]), np.ones((7, 5, 1), np.uint8))
    picture.AddDefaultStorageNode(name)
    node = publish_map(Image(np.ones((1, 2, 2, 1), np.float32), np.diag([-4.0, -4, 1, 1])), "gate_3", card, picture)
    (entry,) = listed_maps([node], {})
    assert entry.title.endswith(title)


def test_maps_are_told_from_scans(scene, volume, card):
    assert is_own_map(publish_map(a_map(RAMP), "uncertainty", card, volume))
    assert not is_own_map(volume)


def test_two_maps_never_share_a_name(volume, card):
    names = [publish_map(a_map(RAMP), "gate_2", card, volume).GetName() for _ in range(3)]
    assert names[0] == "T1 gate_2"
    assert len(set(names)) == 3


class TestDisplay:
    def test_maps_of_0_to_1_share_one_window(self, volume, card):
        for values in (RAMP, RAMP / 10, np.zeros(24)):
            display = publish_map(a_map(values), "gate_2", card, volume).GetDisplayNode()
            assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == (0, 1)
            assert not display.GetAutoWindowLevel()

    def test_a_single_outlier_does_not_darken_larger_maps(self, volume, card):
        values = np.full((1, 20, 20, 20), 3, np.float32)
        values[0, 1, 2, 3] = 1e6
        display = publish_map(Image(values, AFFINES["RAS"]), "gate_2", card, volume).GetDisplayNode()
        assert display.GetWindowLevelMin() == 0
        assert display.GetWindowLevelMax() == pytest.approx(3)
        assert display.GetUpperThreshold() >= 1e6

    def test_attention_that_sinks_into_a_few_voxels_leaves_the_rest_to_be_seen(self, volume, card):
        values = np.full((1, 20, 20, 20), 0.5, np.float32)
        values[0, 5:11] = 6
        values[0, :1, :, :5] = 300
        shown = shown_rgba(publish_map(Image(values, AFFINES["RAS"]), "position_scale1_step1", card, volume)).astype(int).sum(-1)
        assert shown[0, 0, 0] >= shown[7, 7, 7] > shown[15, 15, 15] + 100

    def test_attention_that_is_everywhere_alike_stays_dark(self, volume, card):
        values = np.random.default_rng(2).normal(1, 0.05, (1, 9, 9, 9)).astype(np.float32)
        display = publish_map(Image(values, AFFINES["RAS"]), "position_scale1_step1", card, volume).GetDisplayNode()
        assert display.GetWindowLevelMax() == 4

    def test_zero_is_clear_and_the_largest_value_is_opaque(self, volume, card):
        shown = shown_rgba(publish_map(a_map(RAMP), "gate_2", card, volume))
        assert shown[0, 0, 0, 3] == 0
        assert (shown.reshape(-1, 4)[1:, 3] == 255).all()
        assert shown[-1, -1, -1, :3].astype(int).sum() > shown[1, 0, 0, :3].astype(int).sum()

    def test_is_smooth(self, volume, card):
        assert publish_map(a_map(RAMP), "gate_2", card, volume).GetDisplayNode().GetInterpolate()


class TestColors:
    def test_one_table_per_scene_where_slicers_is_absent(self, scene, volume, card):
        before = scene.GetNumberOfNodesByClass("vtkMRMLColorTableNode")
        nodes = [publish_map(a_map(RAMP), name, card, volume) for name in ("gate_2", "gate_3")]
        tables = {node.GetDisplayNode().GetColorNodeID() for node in nodes}
        assert len(tables) == 1
        assert scene.GetNumberOfNodesByClass("vtkMRMLColorTableNode") == before + 1

    def test_brighter_means_more(self, volume, card):
        table = publish_map(a_map(RAMP), "gate_2", card, volume).GetDisplayNode().GetColorNode()
        luminance = []
        for index in range(table.GetNumberOfColors()):
            color = [0.0] * 4
            assert table.GetColor(index, color)
            luminance.append(np.dot(color[:3], (0.2126, 0.7152, 0.0722)))
        assert len(luminance) == 256
        assert (np.diff(luminance) > 0).all()

    def test_slicers_inferno_is_used_where_it_is_there(self, scene, volume, card):
        inferno = slicer.vtkMRMLColorTableNode()
        inferno.SetTypeToUser()
        inferno.SetNumberOfColors(2)
        inferno.SetSingletonTag("FileInferno.txt")
        scene.AddNode(inferno)
        assert inferno.GetID() == "vtkMRMLColorTableNodeFileInferno.txt"
        assert publish_map(a_map(RAMP), "gate_2", card, volume).GetDisplayNode().GetColorNode() is inferno


def shown_rgba(node) -> np.ndarray:
    """What the display pipeline makes of the voxels: [I, J, K, 4]."""
    display = node.GetDisplayNode()
    display.SetInputImageDataConnection(node.GetImageDataConnection())
    display.GetImageDataConnection().GetProducer().Update()
    image = display.GetOutputImageData()
    return vtk_to_numpy(image.GetPointData().GetScalars()).ravel().reshape((4, *image.GetDimensions()), order="F").transpose(1, 2, 3, 0)
