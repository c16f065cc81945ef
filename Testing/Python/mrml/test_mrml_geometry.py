"""Voxels and geometry are exact in every orientation and under every kind of parent transform."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import vtk
from AttentionSegLib.mrml import image_from_volumes, publish
from scenes import AFFINES, PARENTS, SHAPE, affine_of_segment, make_labels, make_prediction, make_volume, put_under, to_world, voxels_of


@pytest.fixture(params=AFFINES)
def affine(request):
    return AFFINES[request.param]


@pytest.fixture(params=PARENTS)
def published(request, scene, affine):
    volume = make_volume(scene, affine)
    put_under(volume, PARENTS[request.param](scene))
    return volume, publish(make_prediction(image_from_volumes([volume])), volume)


def test_image_has_the_voxels_and_the_local_geometry_of_the_volume(scene, affine):
    volume = make_volume(scene, affine)
    put_under(volume, PARENTS["nested"](scene))
    image = image_from_volumes([volume])
    assert np.array_equal(image.voxels[0], slicer.util.arrayFromVolume(volume).transpose(2, 1, 0))
    np.testing.assert_allclose(image.affine, affine, atol=1e-6)


def test_every_output_lies_exactly_on_its_input(published, affine):
    volume, nodes = published
    labels = make_labels()
    for value in (1, 2):
        segment_id = f"hippocampus-t1_{value}"
        assert np.count_nonzero(voxels_of(nodes.segmentation, segment_id) != (labels == value)) == 0
        as_slicer_shows = slicer.util.arrayFromSegmentBinaryLabelmap(nodes.segmentation, segment_id, volume)
        assert np.count_nonzero(as_slicer_shows.transpose(2, 1, 0) != (labels == value)) == 0
        np.testing.assert_allclose(affine_of_segment(nodes.segmentation, segment_id), affine, atol=1e-6)
    voxel = affine @ (SHAPE[0] - 1, 2, 3, 1)
    expected = to_world(volume, voxel[:3])
    for node in (nodes.segmentation, nodes.uncertainty, *nodes.attention.values()):
        np.testing.assert_allclose(to_world(node, voxel[:3]), expected, atol=1e-6)


def test_reference_geometry_is_that_of_the_input(published, affine):
    geometry = slicer.vtkOrientedImageData()
    text = published[1].segmentation.GetSegmentation().GetConversionParameter("Reference image geometry")
    assert slicer.vtkSegmentationConverter.DeserializeImageGeometry(text, geometry, False)
    matrix = vtk.vtkMatrix4x4()
    geometry.GetImageToWorldMatrix(matrix)
    np.testing.assert_allclose(slicer.util.arrayFromVTKMatrix(matrix), affine, atol=1e-6)
    assert geometry.GetDimensions() == SHAPE


def test_brightest_voxel_of_a_coarse_map_is_where_it_belongs(published, affine):
    volume, nodes = published
    gate = nodes.attention["gate_2"]
    array = slicer.util.arrayFromVolume(gate)
    k, j, i = np.unravel_index(array.argmax(), array.shape)
    to_ras = vtk.vtkMatrix4x4()
    gate.GetIJKToRASMatrix(to_ras)
    in_gate = to_ras.MultiplyPoint((i, j, k, 1))
    in_volume = affine @ (2 * i + 0.5, 2 * j + 0.5, 2 * k + 0.5, 1)
    np.testing.assert_allclose(to_world(gate, in_gate[:3]), to_world(volume, in_volume[:3]), atol=1e-6)
