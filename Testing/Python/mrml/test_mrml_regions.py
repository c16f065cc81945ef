"""The box on the screen is the region that the engine gets."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from AttentionSegLib.errors import InputError
from AttentionSegLib.image import Image
from AttentionSegLib.mrml import region_from_roi
from AttentionSegLib.mrml.regions import edit_region, place_region, retire_region
from AttentionSegLib.mrml.segment import read_scan
from AttentionSegLib.region import Region
from scenes import AFFINES, PARENTS, SHAPE, linear_transform, make_volume, put_under, rigid, rotation, thin_plate_transform, to_world

CENTER, SIZE = (4.0, -7.0, 12.0), (30.0, 20.0, 10.0)


def make_roi(scene, directions=None):
    roi = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "R")
    roi.SetSize(*SIZE)
    matrix = np.eye(4)
    matrix[:3, :3] = np.eye(3) if directions is None else directions
    matrix[:3, 3] = CENTER
    roi.SetAndObserveObjectToNodeMatrix(slicer.util.vtkMatrixFromArray(matrix))
    return roi


def assert_same_box_in_the_world(region, volume, roi, directions=None):
    box = Region(CENTER, SIZE, np.eye(3) if directions is None else directions)
    expected = np.array([to_world(roi, corner) for corner in box.corners()])
    found = np.array([to_world(volume, corner) for corner in region.corners()])
    for corner in expected:
        assert np.linalg.norm(found - corner, axis=1).min() < 1e-6


def test_an_upright_box(scene, volume):
    region = region_from_roi(make_roi(scene), volume)
    np.testing.assert_allclose(region.center, CENTER)
    np.testing.assert_allclose(region.size, SIZE)
    np.testing.assert_allclose(region.axes, np.eye(3))


def test_a_rotated_box(scene, volume):
    directions = rotation(20, -35, 60)
    region = region_from_roi(make_roi(scene, directions), volume)
    assert_same_box_in_the_world(region, volume, make_roi(scene, directions), directions)
    np.testing.assert_allclose(region.axes, directions, atol=1e-9)


@pytest.mark.parametrize("roi_moves", [False, True])
@pytest.mark.parametrize("volume_moves", [False, True])
def test_boxes_and_volumes_under_nested_rigid_transforms(scene, volume, roi_moves, volume_moves):
    directions = rotation(20, -35, 60)
    roi = make_roi(scene, directions)
    if roi_moves:
        put_under(roi, linear_transform(scene, rigid(5, 6, 7, (8, 9, 10)), linear_transform(scene, rigid(-50, 0, 20, (-30, 0, 4)))))
    if volume_moves:
        put_under(volume, linear_transform(scene, rigid(70, 0, -10, (1, 2, 3)), linear_transform(scene, rigid(0, 15, 0, (0, -60, 0)))))
    assert_same_box_in_the_world(region_from_roi(roi, volume), volume, roi, directions)


@pytest.mark.parametrize("scales", [(2, 2, 2), (2, 0.5, 3), (-1, 1, 1)])
def test_scaling_and_mirroring_transforms(scene, volume, scales):
    roi = make_roi(scene)
    put_under(roi, linear_transform(scene, np.diag([*scales, 1.0])))
    region = region_from_roi(roi, volume)
    np.testing.assert_allclose(region.size, np.abs(scales) * np.array(SIZE), atol=1e-9)
    assert_same_box_in_the_world(region, volume, roi)


def test_a_sheared_box_is_the_one_that_slicer_shows(scene, volume):
    roi = make_roi(scene)
    shear = np.eye(4)
    shear[0, 1] = 0.6
    put_under(roi, linear_transform(scene, shear))
    region = region_from_roi(roi, volume)
    shown = slicer.util.arrayFromVTKMatrix(roi.GetObjectToWorldMatrix())
    half = np.array(SIZE) / 2
    corners = Region((0, 0, 0), SIZE).corners()
    np.testing.assert_allclose(np.sort(region.corners(), axis=0), np.sort(corners @ shown[:3, :3].T + shown[:3, 3], axis=0), atol=1e-6)
    assert region.contains(shown @ (*(0.99 * half), 1) @ np.eye(4)[:, :3])


class TestUnusable:
    def test_no_region(self, volume):
        with pytest.raises(InputError, match="No region"):
            region_from_roi(None, volume)

    def test_not_drawn_yet(self, scene, volume):
        with pytest.raises(InputError, match="R has no size yet"):
            region_from_roi(scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "R"), volume)

    @pytest.mark.parametrize("which", ["roi", "volume", "both"])
    def test_a_non_linear_transform(self, scene, volume, which):
        roi = make_roi(scene)
        transform = thin_plate_transform(scene)
        for node in {"roi": [roi], "volume": [volume], "both": [roi, volume]}[which]:
            put_under(node, transform)
        with pytest.raises(InputError, match="region R or the volume T1 is under a transform that is not linear"):
            region_from_roi(roi, volume)

    def test_a_shearing_transform_of_the_volume(self, scene, volume):
        shear = np.eye(4)
        shear[0, 1] = 0.6
        put_under(volume, linear_transform(scene, shear))
        with pytest.raises(InputError, match="transform of T1 shears the region R"):
            region_from_roi(make_roi(scene), volume)


class TestOutside:
    """A region that holds no voxel is refused with the numbers that Slicer shows: of the world, parent transforms applied."""

    def test_in_the_numbers_that_slicer_shows(self, scene):
        volume = make_volume(scene, AFFINES["RAS"])
        put_under(volume, linear_transform(scene, rigid(0, 0, 90, (100, 0, 0))))
        roi = make_roi(scene)
        put_under(roi, linear_transform(scene, rigid(0, 0, 0, (500, 0, 0))))
        with pytest.raises(InputError) as caught:
            read_scan([volume], roi)
        bounds = [0.0] * 6
        volume.GetRASBounds(bounds)
        assert str(caught.value) == (
            "The region R around (504, -7, 12) holds no voxel of T1, which spans R 81..88, A -32..-16, S 5..21 mm; move the region into the volume."
        )
        assert [round(end) for end in bounds] == [81, 88, -32, -16, 5, 21]

    @pytest.mark.parametrize("parent", ["alone", "linear", "nested"])
    def test_a_region_around_the_volume_is_none(self, scene, parent):
        volume, roi = make_volume(scene), make_roi(scene)
        put_under(volume, PARENTS[parent](scene))
        middle = Image(np.zeros((1, *SHAPE)), AFFINES["oblique"]).corners().mean(0)
        roi.SetCenterWorld(*to_world(volume, middle))
        assert read_scan([volume], roi).region is not None


class TestRetired:
    def test_it_is_an_outline_that_cannot_be_dragged_and_the_same_box(self, scene, volume):
        roi = place_region(volume, CENTER, SIZE, "R")
        display = roi.GetDisplayNode()
        retire_region(roi)
        assert not display.GetFillVisibility()
        assert not display.GetHandlesInteractive()
        assert display.GetOutlineVisibility()
        np.testing.assert_allclose(region_from_roi(roi, volume).size, SIZE)
        edit_region(roi)
        assert display.GetFillVisibility()
        assert display.GetHandlesInteractive()

    def test_one_that_is_not_displayed_is_no_obstacle(self, scene):
        roi = make_roi(scene)
        retire_region(roi)
        edit_region(roi)
        assert roi.GetDisplayNode() is None
