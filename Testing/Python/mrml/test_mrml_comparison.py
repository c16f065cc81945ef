"""Segments of two segmentations on one grid: where both are in the world, whatever grid, transform and name they have."""

from __future__ import annotations

import numpy as np
import pytest
from AttentionSegLib.errors import InputError
from AttentionSegLib.mrml.comparison import read_segment_pairs
from scenes import AFFINES, PARENTS, linear_transform, make_volume, put_under, rigid, to_world
from segment_scenes import add_segment, make_segmentation

SHAPE = (14, 12, 10)
NESTED = rigid(10, 20, 30, (5, -6, 7)), rigid(-40, 3, 9, (50, 0, -20))


def blob(seed=0, shape=SHAPE):
    """A lump that touches no face of its grid."""
    draw = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*(np.linspace(-1, 1, count) for count in shape), indexing="ij"), -1)
    return np.linalg.norm((grid - draw.uniform(-0.2, 0.2, 3)) / draw.uniform(0.4, 0.7, 3), axis=-1) < 1


def only_pair(result, reference, volume=None):
    found = read_segment_pairs(result, reference, volume)
    assert len(found.pairs) == 1
    return found.pairs[0]


def voxels_in_common(pair):
    """How many voxels are in the result, in the reference and in both."""
    result, reference = pair.masks()
    return int(result.sum()), int(reference.sum()), int((result & reference).sum())


class TestPlace:
    @pytest.mark.parametrize("affine", AFFINES)
    def test_the_same_voxels_are_the_same(self, scene, affine):
        mask = blob()
        result, reference = (make_segmentation(scene, {"A": mask}, AFFINES[affine], name) for name in "RS")
        pair = only_pair(result, reference)
        assert voxels_in_common(pair) == (mask.sum(),) * 3
        np.testing.assert_allclose(pair.spacing, np.linalg.norm(AFFINES[affine][:3, :3], axis=0))

    @pytest.mark.parametrize("parent", PARENTS)
    def test_under_one_transform(self, scene, parent):
        masks = blob(1), blob(2)
        result, reference = (make_segmentation(scene, {"A": mask}, AFFINES["oblique"]) for mask in masks)
        transform = PARENTS[parent](scene)
        for node in (result, reference):
            put_under(node, transform)
        pair = only_pair(result, reference)
        assert voxels_in_common(pair) == (masks[0].sum(), masks[1].sum(), (masks[0] & masks[1]).sum())

    @pytest.mark.parametrize("moved", ["result", "reference"])
    def test_one_under_nested_turns_and_the_other_where_that_brings_it(self, scene, moved):
        """One segmentation stands under two transforms, the other has both in its own affine: they are the same in the world."""
        masks = {"result": blob(1), "reference": blob(2)}
        world = NESTED[1] @ NESTED[0]
        affine = AFFINES["left-handed"]
        nodes = {name: make_segmentation(scene, {"A": mask}, affine if name == moved else world @ affine, name) for name, mask in masks.items()}
        put_under(nodes[moved], linear_transform(scene, NESTED[0], linear_transform(scene, NESTED[1])))
        pair = only_pair(nodes["result"], nodes["reference"])
        both = masks["result"] & masks["reference"]
        assert voxels_in_common(pair) == (masks["result"].sum(), masks["reference"].sum(), both.sum())

    @pytest.mark.parametrize("parent", ["grid", "thin plate in linear"])
    def test_a_bent_reference_is_sampled_where_it_is_in_the_world(self, scene, parent):
        """Voxel by voxel of the result's grid: through the world into the reference, and there the nearest voxel."""
        affine, mask = AFFINES["oblique"], blob(3)
        result, reference = (make_segmentation(scene, {"A": mask}, affine, name) for name in "RS")
        put_under(reference, PARENTS[parent](scene))
        put_under(result, linear_transform(scene, rigid(-40, 3, 9, (50, 0, -20))) if parent.endswith("linear") else None)
        pair = only_pair(result, reference)
        expected, close, margin = 0, 0, 4
        to_indices = np.linalg.inv(affine)
        for index in np.ndindex(*(count + 2 * margin for count in SHAPE)):
            world = to_world(result, affine[:3, :3] @ (np.array(index) - margin) + affine[:3, 3])
            own = [0.0] * 3
            reference.TransformPointFromWorld(world.tolist(), own)
            where = to_indices[:3, :3] @ own + to_indices[:3, 3]
            close += bool((np.abs(where % 1 - 0.5) < 1e-3).any())
            nearest = np.floor(where + 0.5).astype(int)
            expected += bool((nearest >= 0).all() and (nearest < SHAPE).all() and mask[tuple(nearest)])
        assert abs(voxels_in_common(pair)[1] - expected) <= close
        assert expected > 50

    def test_a_finer_reference_is_taken_at_the_voxels_of_the_result(self, scene):
        coarse = blob(4)
        affine = AFFINES["PIR"]
        half = affine @ np.diag([0.5, 0.5, 0.5, 1])
        half[:3, 3] = affine[:3, 3] - 0.25 * affine[:3, :3].sum(axis=1)
        fine = coarse.repeat(2, 0).repeat(2, 1).repeat(2, 2)
        result, reference = make_segmentation(scene, {"A": coarse}, affine), make_segmentation(scene, {"A": fine}, half)
        assert voxels_in_common(only_pair(result, reference)) == (coarse.sum(),) * 3
        assert voxels_in_common(only_pair(reference, result)) == (fine.sum(),) * 3

    def test_on_the_grid_of_a_volume(self, scene):
        mask, affine = blob(5), AFFINES["oblique"]
        result, reference = (make_segmentation(scene, {"A": mask}, affine, name) for name in "RS")
        volume = make_volume(scene, affine @ np.diag([1, 1, 0.5, 1]))
        for node in (result, volume):
            put_under(node, linear_transform(scene, NESTED[0]))
        put_under(reference, result.GetParentTransformNode())
        pair = only_pair(result, reference, volume)
        np.testing.assert_allclose(pair.spacing, volume.GetSpacing())
        assert voxels_in_common(pair)[0] == pytest.approx(2 * mask.sum(), rel=0.05)

    def test_nothing_is_cut_off_at_the_edge_of_the_image(self, scene):
        """A reference of a larger scan reaches beyond the scan of the result."""
        large = np.ones((30, 8, 8), bool)
        small, affine = large[:10], AFFINES["RAS"]
        result, reference = make_segmentation(scene, {"A": small}, affine), make_segmentation(scene, {"A": large}, affine)
        for volume in (None, make_volume(scene, affine, np.zeros(small.shape, np.float32))):
            assert voxels_in_common(only_pair(result, reference, volume)) == (small.sum(), large.sum(), small.sum())


class TestSegments:
    def test_are_matched_by_name_whatever_its_case_and_blanks(self, scene):
        result = make_segmentation(scene, {"Left": blob(1), " Right ": blob(2), "Stem": blob(3)}, AFFINES["RAS"])
        reference = make_segmentation(scene, {"RIGHT": blob(4), "left ": blob(5), "Cord": blob(6)}, AFFINES["RAS"])
        found = read_segment_pairs(result, reference)
        assert [pair.name for pair in found.pairs] == ["Left", "Right"]
        assert [voxels_in_common(pair)[:2] for pair in found.pairs] == [(blob(1).sum(), blob(5).sum()), (blob(2).sum(), blob(4).sum())]
        assert (found.only_in_result, found.only_in_reference) == (("Stem",), ("Cord",))

    def test_that_overlap_keep_all_their_voxels(self, scene):
        """In layers of their own, as Slicer stores them, and in a result that has one layer."""
        inner, outer = blob(1), np.ones(SHAPE, bool)
        reference = make_segmentation(scene, {"Whole": outer, "Part": inner}, AFFINES["RAS"])
        result = make_segmentation(scene, {"Whole": outer & ~inner, "Part": inner}, AFFINES["RAS"], "Result")
        result.GetSegmentation().CollapseBinaryLabelmaps(False)
        assert result.GetSegmentation().GetNumberOfLayers() == 1
        found = [voxels_in_common(pair) for pair in read_segment_pairs(result, reference).pairs]
        assert found == [((outer & ~inner).sum(), outer.sum(), (outer & ~inner).sum()), (inner.sum(),) * 3]

    @pytest.mark.parametrize("empty", ["result", "reference", "both"])
    def test_that_are_empty(self, scene, empty):
        mask = blob()
        masks = {name: mask & (empty not in (name, "both")) for name in ("result", "reference")}
        nodes = [make_segmentation(scene, {"A": found}, AFFINES["oblique"], name) for name, found in masks.items()]
        assert voxels_in_common(only_pair(*nodes)) == (masks["result"].sum(), masks["reference"].sum(), 0)

    def test_without_a_labelmap_are_empty(self, scene):
        reference = make_segmentation(scene, {"A": blob(), "B": blob()}, AFFINES["RAS"])
        result = make_segmentation(scene, {"A": blob()}, AFFINES["RAS"], "Result")
        result.GetSegmentation().AddEmptySegment("b", "B")
        assert voxels_in_common(read_segment_pairs(result, reference).pairs[1])[0] == 0


class TestUnusable:
    @pytest.fixture
    def result(self, scene):
        return make_segmentation(scene, {"Left": blob(), "Right": blob(1)}, AFFINES["RAS"], "Result")

    def refused(self, *nodes):
        with pytest.raises(InputError) as caught:
            read_segment_pairs(*nodes)
        return str(caught.value)

    def test_no_name_in_both(self, scene, result):
        text = self.refused(result, make_segmentation(scene, {"Stem": blob(), "Cord": blob()}, AFFINES["RAS"]))
        assert text.startswith("Result has the segments 'Left', 'Right', and Reference has 'Stem', 'Cord': no name is in both;")

    def test_a_name_twice(self, scene, result):
        reference = make_segmentation(scene, {"Left": blob(), " left": blob(1)}, AFFINES["RAS"])
        assert self.refused(result, reference) == "Reference has 2 segments of the name 'Left'; rename all but one of them."

    def test_a_name_twice_that_is_not_compared_is_no_fault(self, scene, result):
        reference = make_segmentation(scene, {"Left": blob(), "Cyst": blob(1)}, AFFINES["RAS"])
        add_segment(reference, "cyst", blob(2), AFFINES["RAS"])
        assert read_segment_pairs(result, reference).only_in_reference == ("Cyst", "cyst")

    def test_different_places(self, scene, result):
        """The transform counts: the same voxels, half a meter away."""
        reference = make_segmentation(scene, {"Left": blob()}, AFFINES["RAS"])
        assert len(read_segment_pairs(result, reference).pairs) == 1
        put_under(reference, linear_transform(scene, rigid(0, 0, 0, (500, 0, 0))))
        text = self.refused(result, reference)
        assert text.startswith("Result (R -32..-11, A 12..21, S 5..27 mm) and Reference (R 468..489, A 12..21, S 5..27 mm) are in different places;")

    def test_a_structure_found_elsewhere_in_the_same_scan_is_compared(self, scene):
        low, high = np.zeros((2, 40, 8, 8), bool)
        low[2:5, 2:5, 2:5], high[30:35, 2:5, 2:5] = True, True
        nodes = [make_segmentation(scene, {"A": mask[part]}, affine, name) for name, mask, part, affine in self.halves(low, high)]
        volume = make_volume(scene, AFFINES["RAS"], np.zeros(low.shape, np.float32))
        for node in nodes:
            node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
        assert voxels_in_common(only_pair(*nodes)) == (27, 45, 0)

    def halves(self, low, high):
        moved = AFFINES["RAS"].copy()
        moved[:3, 3] += 30 * moved[:3, 0]
        return ("Result", low, slice(0, 10), AFFINES["RAS"]), ("Reference", high, slice(30, 40), moved)

    def test_the_result_itself(self, result):
        assert self.refused(result, result).startswith("Result was given both as the result and as the reference;")

    def test_no_segmentation(self, scene, result):
        assert self.refused(result, None) == "The reference is no segmentation; choose a segmentation for it."
        assert self.refused(make_volume(scene), result) == "The result is no segmentation; choose a segmentation for it."

    def test_no_segments(self, scene, result):
        empty = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Empty")
        assert self.refused(result, empty) == "Empty has no segments; choose a segmentation that has some as the reference."

    def test_surfaces(self, scene, result):
        reference = make_segmentation(scene, {"Left": blob()}, AFFINES["RAS"])
        reference.CreateClosedSurfaceRepresentation()
        reference.GetSegmentation().SetSourceRepresentationName("Closed surface")
        reference.GetSegmentation().RemoveRepresentation("Binary labelmap")
        assert self.refused(result, reference) == "Reference is not made of voxels; convert it to a binary labelmap in the module Segmentations."

    def test_a_volume_without_voxels(self, scene, result):
        volume = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Blank")
        reference = make_segmentation(scene, {"Left": blob()}, AFFINES["RAS"])
        assert self.refused(result, reference, volume).startswith("Blank has no voxels")
