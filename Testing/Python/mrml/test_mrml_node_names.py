"""Nodes get names of their own, and go with all that belongs to them."""

from __future__ import annotations

import pytest
import vtk
from AttentionSegLib.mrml.node_names import free_name, remove_node
from AttentionSegLib.mrml.probe_mark import ProbeMark
from scenes import make_volume, nodes_of


def test_a_name_is_free_until_a_node_has_it(scene):
    assert free_name(scene, "T1 gate_2") == "T1 gate_2"
    node = make_volume(scene, name="T1 gate_2")
    assert free_name(scene, "T1 gate_2") != "T1 gate_2"
    assert free_name(scene, "T1 gate_2", leaving=[node]) == "T1 gate_2"


@pytest.fixture
def removed(scene):
    """Every node that the scene was told to remove, with whether it was in the scene then; displays go with their nodes, as in the application."""
    told, going = [], []

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def about_to(_scene, _event, node):
        told.append(node.GetScene() is scene)
        if node.IsA("vtkMRMLDisplayableNode"):
            going.extend(node.GetNthDisplayNode(index) for index in range(node.GetNumberOfDisplayNodes()))

    def done(_scene, _event):
        while going:
            scene.RemoveNode(going.pop())

    tags = [scene.AddObserver(scene.NodeAboutToBeRemovedEvent, about_to), scene.AddObserver(scene.NodeRemovedEvent, done)]
    yield told
    for tag in tags:
        scene.RemoveObserver(tag)


def test_a_volume_goes_with_its_display_and_none_is_removed_twice(scene, removed):
    before = nodes_of(scene)
    node = make_volume(scene)
    node.AddDefaultStorageNode()
    remove_node(node)
    assert nodes_of(scene) == before
    assert all(removed)


def test_the_mark_of_the_probe_too(scene, removed):
    before = nodes_of(scene)
    mark = ProbeMark(scene)
    mark.move((1, 2, 3))
    mark.remove()
    mark.remove()
    assert nodes_of(scene) == before
    assert removed
    assert all(removed)
