"""Segments in 3D keep their volumes."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from AttentionSegLib.mrml.surfaces import has_surfaces, hide_surfaces, show_surfaces, surface_volumes, voxel_volumes
from AttentionSegLib.mrml.voxels import fill_voxels, matrix_to_vtk

SHAPE = (40, 40, 60)
X, Y, Z = np.indices(SHAPE)


def cord(radius):
    """A tube along the last axis, as thick in voxels as a spinal cord in a CT, slightly bent."""
    return np.hypot(X - 20 - 4 * np.sin(Z / 20), Y - 20) <= radius


def ball(radius):
    return np.linalg.norm([X - 20, Y - 20, Z - 30], axis=0) <= radius


def segmentation_of(scene, *masks, spacing=(1.0, 1.0, 3.0)):
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "S")
    node.GetSegmentation().SetSourceRepresentationName("Binary labelmap")
    labels = np.zeros(SHAPE, np.uint8)
    for value, mask in enumerate(masks, start=1):
        labels[mask] = value
    labelmap = slicer.vtkOrientedImageData()
    fill_voxels(labelmap, labels)
    labelmap.SetImageToWorldMatrix(matrix_to_vtk(np.diag([*spacing, 1.0])))
    for value in range(1, len(masks) + 1):
        segment = slicer.vtkSegment()
        segment.SetLabelValue(value)
        segment.AddRepresentation("Binary labelmap", labelmap)
        node.GetSegmentation().AddSegment(segment, f"s{value}")
    return node


def largest_change(node):
    segmentation = node.GetSegmentation()
    found, expected = surface_volumes(segmentation), voxel_volumes(segmentation)
    return max(abs(found[name] / expected[name] - 1) for name in expected if expected[name])


def test_slicers_own_smoothing_loses_a_thin_structure(scene):
    node = segmentation_of(scene, cord(2.5))
    node.CreateClosedSurfaceRepresentation()
    assert largest_change(node) > 0.08


@pytest.mark.parametrize("masks", [[cord(2.5)], [ball(12)], [ball(12) & ~cord(3), cord(3)], [cord(1.5)]])
def test_every_segment_keeps_its_volume(scene, masks):
    node = segmentation_of(scene, *masks)
    show_surfaces(node)
    assert largest_change(node) < 0.05


def test_structures_a_voxel_thick_keep_theirs_too(scene):
    """No smoothing at all loses a tenth and more of them."""
    node = segmentation_of(scene, ball(8) & ~ball(7), cord(0.9) & (Z > 40), spacing=(3.9, 3.9, 3.9))
    node.GetSegmentation().SetConversionParameter("Smoothing factor", "0")
    node.CreateClosedSurfaceRepresentation()
    assert largest_change(node) > 0.1
    show_surfaces(node)
    assert largest_change(node) < 0.05


def test_what_is_thick_stays_smooth(scene):
    node = segmentation_of(scene, ball(12))
    show_surfaces(node)
    assert float(node.GetSegmentation().GetConversionParameter("Smoothing factor")) == 0.5


def test_segments_of_which_nothing_is_left_are_no_obstacle(scene):
    node = segmentation_of(scene, ball(12), np.zeros(SHAPE, bool))
    show_surfaces(node)
    assert has_surfaces(node)
    assert largest_change(node) < 0.05


def test_hidden_again_they_are_not_made_anew_with_every_edit(scene):
    node = segmentation_of(scene, ball(8))
    assert not has_surfaces(node)
    show_surfaces(node)
    hide_surfaces(node)
    assert not has_surfaces(node)
    assert not node.GetSegmentation().ContainsRepresentation("Closed surface")
