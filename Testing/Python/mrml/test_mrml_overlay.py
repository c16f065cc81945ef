"""A map over the slices and in 3D."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from AttentionSegLib.mrml import image_from_volumes, publish
from AttentionSegLib.mrml.heat_map import heat_map
from AttentionSegLib.mrml.overlay import Look, apply_look, hide_in_3d, hide_overlay, is_in_3d, show_in_3d, show_overlay, shown_overlay
from scenes import make_prediction, make_volume


@pytest.fixture
def views(scene):
    return [scene.AddNewNodeByClass("vtkMRMLSliceCompositeNode") for _ in range(3)]


@pytest.fixture
def maps(scene):
    volume = make_volume(scene)
    nodes = publish(make_prediction(image_from_volumes([volume])), volume)
    return [*nodes.attention.values(), nodes.uncertainty]


@pytest.fixture
def rendering_logic(scene):
    logic = slicer.vtkSlicerVolumeRenderingLogic()
    logic.SetMRMLScene(scene)
    return logic


def test_every_slice_view_shows_it(views, maps):
    show_overlay(maps[0], Look(opacity=0.7))
    assert {view.GetForegroundVolumeID() for view in views} == {maps[0].GetID()}
    assert {view.GetForegroundOpacity() for view in views} == {0.7}
    assert shown_overlay(maps[0].GetScene(), maps) is maps[0]


def test_hiding_leaves_a_foreground_of_the_users_alone(scene, views, maps):
    other = make_volume(scene, name="PET")
    show_overlay(maps[0], Look())
    views[1].SetForegroundVolumeID(other.GetID())
    hide_overlay(scene, maps)
    assert [view.GetForegroundVolumeID() for view in views] == [None, other.GetID(), None]
    assert shown_overlay(scene, maps) is None


def test_the_threshold_is_a_share_of_the_window(maps):
    display = maps[0].GetDisplayNode()
    display.SetWindowLevelMinMax(0, 4)
    apply_look(maps[0], Look(threshold=0.25))
    assert display.GetLowerThreshold() == 1
    assert display.GetApplyThreshold()


def test_colors(scene, maps):
    other = slicer.vtkMRMLColorTableNode()
    other.SetTypeToRainbow()
    scene.AddNode(other)
    apply_look(maps[0], Look(colors=other))
    assert maps[0].GetDisplayNode().GetColorNode() is other
    apply_look(maps[0], Look())
    assert maps[0].GetDisplayNode().GetColorNode() is other


class TestIn3D:
    def test_is_clear_below_the_threshold_and_colored_as_the_slices(self, scene, maps, rendering_logic):
        apply_look(maps[0], Look(threshold=0.3, colors=heat_map(scene)))
        show_in_3d(maps[0], rendering_logic)
        assert is_in_3d(maps[0])
        properties = rendering_of(maps[0]).GetVolumePropertyNode()
        opacity = properties.GetScalarOpacity()
        assert opacity.GetValue(0.29) == 0
        assert opacity.GetValue(0.9) > opacity.GetValue(0.5) > 0
        top = [0.0] * 3
        maps[0].GetDisplayNode().GetColorNode().GetLookupTable().GetColor(255, top)
        np.testing.assert_allclose(properties.GetColor().GetColor(1.0), top, atol=0.02)

    def test_follows_the_threshold(self, maps, rendering_logic):
        show_in_3d(maps[0], rendering_logic)
        apply_look(maps[0], Look(threshold=0.6))
        opacity = rendering_of(maps[0]).GetVolumePropertyNode().GetScalarOpacity()
        assert opacity.GetValue(0.55) == 0
        assert opacity.GetValue(0.9) > 0

    def test_hidden_and_shown_again_it_is_one_rendering(self, maps, rendering_logic):
        show_in_3d(maps[0], rendering_logic)
        hide_in_3d(maps[0])
        assert not is_in_3d(maps[0])
        show_in_3d(maps[0], rendering_logic)
        assert is_in_3d(maps[0])
        assert maps[0].GetNumberOfDisplayNodes() == 2

    def test_the_slices_keep_their_display(self, maps, rendering_logic):
        before = maps[0].GetDisplayNode()
        show_in_3d(maps[0], rendering_logic)
        assert maps[0].GetDisplayNode() is before


def rendering_of(node):
    return node.GetNthDisplayNode(1)
