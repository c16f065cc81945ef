"""What counts as a scan, and which one the user looks at."""

from __future__ import annotations

import numpy as np
import pytest
from AttentionSegLib.mrml.attention_volumes import MAP_ATTRIBUTE
from AttentionSegLib.mrml.scans import is_scan, own_maps, shown_scan
from scenes import AFFINES, make_volume


@pytest.fixture
def volumes(scene):
    return [make_volume(scene, AFFINES["RAS"], np.zeros((4, 4, 4), np.int16), name) for name in ("A", "B", "C")]


def view(scene, name, volume):
    added = scene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
    added.SetLayoutName(name)
    added.SetBackgroundVolumeID(volume.GetID())
    return added


def test_maps_label_maps_and_hidden_volumes_are_no_scans(scene, volumes):
    own, hidden, scan = volumes
    own.SetAttribute(MAP_ATTRIBUTE, "gate_2")
    hidden.SetHideFromEditors(True)
    assert [is_scan(node) for node in (own, hidden, scan)] == [False, False, True]
    assert not is_scan(scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode"))
    assert not is_scan(scene.AddNewNodeByClass("vtkMRMLVectorVolumeNode"))
    assert not is_scan(None)
    assert own_maps(scene) == [own]
    assert shown_scan(scene) is scan


def test_the_red_view_comes_before_others(scene, volumes):
    view(scene, "Green", volumes[0])
    assert shown_scan(scene) is volumes[0]
    view(scene, "Red", volumes[1])
    assert shown_scan(scene) is volumes[1]


def test_the_view_under_the_cursor_comes_first(scene, volumes):
    view(scene, "Red", volumes[0])
    view(scene, "Green", volumes[1])
    green = scene.AddNewNodeByClass("vtkMRMLSliceNode")
    green.SetLayoutName("Green")
    crosshair = scene.AddNewNodeByClass("vtkMRMLCrosshairNode")
    crosshair.SetCursorPositionXYZ([1.0, 2.0, 3.0], green)
    assert shown_scan(scene) is volumes[1]


def test_a_volume_that_is_about_to_go_does_not_count(scene, volumes):
    view(scene, "Red", volumes[0])
    view(scene, "Yellow", volumes[2])
    assert shown_scan(scene, leaving=volumes[0]) is volumes[2]


def test_several_volumes_and_none_shown(scene, volumes):
    assert shown_scan(scene) is None
