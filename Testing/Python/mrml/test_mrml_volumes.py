"""Scalar volume nodes become images."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import vtk
from AttentionSegLib.errors import InputError
from AttentionSegLib.mrml import image_from_volumes
from AttentionSegLib.mrml.scans import is_scan
from scenes import AFFINES, PARENTS, SHAPE, affine_of, linear_transform, make_volume, put_under, rigid, thin_plate_transform


def linear_field(parent, shape, affine, gradient=(0.5, -1.25, 2.0)):
    """Values that rise linearly along the world's axes: linear interpolation gets them back exactly, wherever it samples."""
    indices = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    ras = indices @ affine[:3, :3].T + affine[:3, 3]
    to_world = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(parent, None, to_world)
    world = np.array([to_world.TransformPoint(point) for point in ras.reshape(-1, 3)])
    return (world @ np.array(gradient)).reshape(shape)


def larger_grid():
    """Geometry and shape of a volume that holds that of "RAS" with room to spare."""
    affine = affine_of(np.eye(3), np.array([1.0, 1.25, 1.5]))
    affine[:3, 3] -= 12
    return affine, (45, 30, 30)


class TestOneVolume:
    @pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "f4", "f8"])
    def test_keeps_every_scalar_type(self, scene, dtype):
        kind = np.dtype(dtype)
        limits = np.iinfo(kind) if kind.kind in "iu" else np.finfo(kind)
        voxels = np.linspace(limits.min / 4, limits.max / 4, np.prod(SHAPE)).astype(kind).reshape(SHAPE)
        image = image_from_volumes([make_volume(scene, voxels=voxels)])
        assert image.voxels.dtype == kind
        assert np.array_equal(image.voxels[0], voxels)

    def test_is_a_copy(self, scene):
        volume = make_volume(scene)
        image = image_from_volumes([volume])
        before = image.voxels.copy()
        slicer.util.arrayFromVolume(volume)[:] = 0
        volume.SetSpacing(9, 9, 9)
        assert np.array_equal(image.voxels, before)
        np.testing.assert_allclose(image.affine, AFFINES["oblique"], atol=1e-6)

    def test_is_called_as_the_node(self, scene):
        assert image_from_volumes([make_volume(scene, name="Köpfchen T1")]).name == "Köpfchen T1"

    def test_first_voxel_of_a_cropped_image_need_not_have_index_zero(self, scene):
        volume = make_volume(scene, AFFINES["oblique"])
        clip = vtk.vtkExtractVOI()
        clip.SetInputData(volume.GetImageData())
        clip.SetVOI(3, 9, 2, 6, 1, 5)
        clip.Update()
        whole = image_from_volumes([volume])
        volume.SetAndObserveImageData(clip.GetOutput())
        assert volume.GetImageData().GetExtent() == (3, 9, 2, 6, 1, 5)
        image = image_from_volumes([volume])
        assert np.array_equal(image.voxels, whole.voxels[:, 3:10, 2:7, 1:6])
        np.testing.assert_allclose(image.to_ras([0, 0, 0]), whole.to_ras([3, 2, 1]), atol=1e-6)


class TestSeveralVolumes:
    def test_same_grid_is_copied_exactly(self, scene):
        nodes = [make_volume(scene, voxels=np.full(SHAPE, value, np.float32), name=f"MR {value}") for value in (0.1, 0.2, 0.3)]
        nodes[1].SetOrigin(*(np.array(nodes[1].GetOrigin()) + 5e-5))
        image = image_from_volumes(nodes)
        assert image.voxels.shape == (3, *SHAPE)
        assert np.array_equal(image.voxels[:, 0, 0, 0], np.float32([0.1, 0.2, 0.3]))

    def test_type_holds_every_channel(self, scene):
        nodes = [make_volume(scene, voxels=np.full(SHAPE, value)) for value in (np.uint8(200), np.int16(-1000))]
        image = image_from_volumes(nodes)
        assert image.voxels[:, 0, 0, 0].tolist() == [200, -1000]

    def test_voxels_at_the_same_places_in_another_order_are_copied_exactly(self, scene):
        affine, shape = larger_grid()
        first, other = (np.random.default_rng(seed).integers(0, 900, shape).astype(np.int16) for seed in (0, 1))
        turned = affine @ np.array([[0, -1.0, 0, shape[0] - 1], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
        nodes = [make_volume(scene, affine, first), make_volume(scene, turned, other.transpose(1, 0, 2)[:, ::-1])]
        np.testing.assert_array_equal(image_from_volumes(nodes).voxels, [first, other])

    def test_voxels_without_a_number_are_outside(self, scene):
        voxels = np.random.default_rng(0).uniform(1, 9, (5, 6, 7)).astype(np.float32)
        voxels[:2] = np.nan
        image = image_from_volumes([make_volume(scene, None, voxels)])
        np.testing.assert_array_equal(image.outside[0], np.isnan(voxels))
        assert "NaN" in image.remarks[0]

    @pytest.mark.parametrize("parent", PARENTS)
    def test_same_grid_under_the_same_parent_is_copied_exactly(self, scene, parent):
        transform = PARENTS[parent](scene)
        nodes = [make_volume(scene), make_volume(scene)]
        for node in nodes:
            put_under(node, transform)
        image = image_from_volumes(nodes)
        assert image.voxels.dtype == np.int16
        assert np.array_equal(image.voxels[0], image.voxels[1])

    @pytest.mark.parametrize("dtype", ["f4", "f8"])
    def test_another_grid_is_sampled_where_the_first_ones_voxels_are(self, scene, dtype):
        affine, shape = larger_grid()
        first = make_volume(scene, AFFINES["RAS"])
        other = make_volume(scene, affine, linear_field(None, shape, affine).astype(dtype))
        image = image_from_volumes([first, other])
        np.testing.assert_allclose(image.voxels[1], linear_field(None, SHAPE, AFFINES["RAS"]), atol=1e-4)
        np.testing.assert_allclose(image.affine, AFFINES["RAS"], atol=1e-6)

    def test_values_between_whole_numbers_are_not_rounded(self, scene):
        affine = AFFINES["RAS"].copy()
        affine[:3, 3] += affine[:3, 0] / 2
        stripes = np.zeros(SHAPE, np.int16)
        stripes[::2] = 1
        image = image_from_volumes([make_volume(scene, AFFINES["RAS"]), make_volume(scene, affine, stripes)])
        assert (image.voxels[1, 1:] == 0.5).all()

    def test_equal_grids_under_different_parents_are_sampled_in_the_world(self, scene):
        affine, shape = larger_grid()
        parents = [linear_transform(scene, rigid(0, 0, 8, (1, 2, 3))), linear_transform(scene, rigid(5, -4, 0, (0, 2, 0)))]
        first, other = make_volume(scene, AFFINES["RAS"]), make_volume(scene, affine, linear_field(parents[1], shape, affine).astype("f4"))
        put_under(first, parents[0])
        put_under(other, parents[1])
        image = image_from_volumes([first, other])
        np.testing.assert_allclose(image.voxels[1], linear_field(parents[0], SHAPE, AFFINES["RAS"]), atol=1e-3)

    def test_first_volume_under_a_non_linear_parent(self, scene):
        affine, shape = larger_grid()
        parent = thin_plate_transform(scene, linear_transform(scene, rigid(0, 0, 8, (1, 2, 3))))
        first, other = make_volume(scene, AFFINES["RAS"]), make_volume(scene, affine, linear_field(None, shape, affine).astype("f4"))
        put_under(first, parent)
        image = image_from_volumes([first, other])
        np.testing.assert_allclose(image.voxels[1], linear_field(parent, SHAPE, AFFINES["RAS"]), atol=1e-3)

    def test_where_the_other_has_no_voxels_it_counts_as_its_smallest_value(self, scene):
        first = make_volume(scene, AFFINES["RAS"], np.zeros((20, 10, 10), np.int16))
        shorter = np.full((19, 10, 10), 40, np.int16)
        shorter[0, 0, 0] = -1000
        image = image_from_volumes([first, make_volume(scene, AFFINES["RAS"], shorter)])
        assert (image.voxels[1, 19] == -1000).all()
        assert (image.voxels[1, 1:19] == 40).all()

    def test_too_little_in_common_is_said_with_names_and_share(self, scene):
        first = make_volume(scene, AFFINES["RAS"], np.zeros((20, 10, 10), np.int16), name="CT")
        other = make_volume(scene, AFFINES["RAS"], np.zeros((15, 10, 10), np.int16), name="PET")
        with pytest.raises(InputError, match="PET covers only 75 % of CT"):
            image_from_volumes([first, other])

    def test_a_transform_can_move_the_other_away(self, scene):
        nodes = [make_volume(scene, name="CT"), make_volume(scene, name="PET")]
        put_under(nodes[1], linear_transform(scene, rigid(0, 0, 0, (500, 0, 0))))
        with pytest.raises(InputError, match="PET covers only 0 % of CT"):
            image_from_volumes(nodes)


class TestUnusable:
    def test_no_volume(self, scene):
        with pytest.raises(InputError, match="No volume"):
            image_from_volumes([])

    def test_an_input_not_chosen(self, scene):
        with pytest.raises(InputError, match="Input 2 is not a scalar volume"):
            image_from_volumes([make_volume(scene), None])

    def test_another_kind_of_node(self, scene):
        with pytest.raises(InputError, match="Input 1 is not a scalar volume"):
            image_from_volumes([scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "S")])

    def test_a_label_map(self, scene):
        node = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "Labels")
        slicer.util.updateVolumeFromArray(node, np.ones((4, 4, 4), np.uint8))
        with pytest.raises(InputError, match="Labels is a label map, which holds numbers of structures and no intensities; choose the scan"):
            image_from_volumes([node])

    @pytest.mark.parametrize("image_data", [None, vtk.vtkImageData()])
    def test_a_volume_without_voxels(self, scene, image_data):
        volume = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Empty")
        volume.SetAndObserveImageData(image_data)
        with pytest.raises(InputError, match="Empty has no voxels"):
            image_from_volumes([volume])

    def test_a_color_image(self, scene):
        volume = scene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", "Photo")
        slicer.util.updateVolumeFromArray(volume, np.zeros((4, 4, 4, 3), np.uint8))
        with pytest.raises(InputError, match="Photo has 3 values per voxel"):
            image_from_volumes([volume])

    def test_a_sheared_volume(self, scene):
        affine = AFFINES["RAS"].copy()
        affine[0, 1] = 0.5
        with pytest.raises(InputError, match="T1 is sheared"):
            image_from_volumes([make_volume(scene, affine)])


class TestSingleSlices:
    def test_gray(self, scene):
        voxels = np.random.default_rng(1).integers(0, 255, (7, 5, 1)).astype(np.uint8)
        image = image_from_volumes([make_volume(scene, AFFINES["RAS"], voxels)])
        np.testing.assert_array_equal(image.voxels[0], voxels)
        assert image.is_slice
        assert image.spacing_known

    def test_colors_are_three_channels(self, scene):
        voxels = np.random.default_rng(2).integers(0, 255, (7, 5, 1, 3)).astype(np.uint8)
        node = scene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", "photo")
        slicer.util.updateVolumeFromArray(node, voxels.transpose(2, 1, 0, 3))
        np.testing.assert_array_equal(image_from_volumes([node]).voxels, voxels.transpose(3, 0, 1, 2))
        assert is_scan(node)

    @pytest.mark.parametrize(("spacing", "known"), [((1, 1, 1), False), ((0.2, 0.2, 1), True)])
    def test_the_spacing_of_a_picture_is_what_the_user_gave_it(self, scene, spacing, known):
        node = make_volume(scene, np.diag([-1.0, -1, 1, 1]), np.ones((7, 5, 1), np.uint8))
        node.AddDefaultStorageNode("photo.png")
        node.SetSpacing(spacing)
        assert image_from_volumes([node]).spacing_known == known
