"""Both sides of a volume in the scene by one call, with segments, maps and statistics of their own."""

from __future__ import annotations

import heads
import numpy as np
import pytest
import slicer
import vtk
from AttentionSegLib.inference import Predictor
from AttentionSegLib.mrml.probe_volume import ProbeVolume
from AttentionSegLib.mrml.segment import segment_volume
from AttentionSegLib.mrml.segment_nodes import segment_nodes
from scenes import make_volume

NAMES = [f"Hippocampus {part}, {side}" for side in ("right", "left") for part in ("anterior", "posterior")]


@pytest.fixture(scope="module")
def predictor(tmp_path_factory) -> Predictor:
    return Predictor(heads.intensity_finder(tmp_path_factory.mktemp("model")), "cpu")


@pytest.fixture(scope="module")
def head():
    return heads.head((4, 3, -6))


@pytest.fixture
def volume(scene, head):
    return make_volume(scene, head[0].affine, head[0].voxels[0])


def term_of(segment) -> list[str]:
    value = vtk.reference("")
    assert segment.GetTag(segment.GetTerminologyEntryTagName(), value)
    return str(value).split("~")


def test_segments_have_the_names_and_terms_of_their_sides(predictor, volume):
    result = segment_volume(predictor, [volume], probabilities=True)
    segmentation = result.segmentation.GetSegmentation()
    segments = [segmentation.GetNthSegment(number) for number in range(segmentation.GetNumberOfSegments())]
    assert [segment.GetName() for segment in segments] == NAMES
    assert [term_of(segment)[3] for segment in segments] == 2 * ["SCT^24028007^Right"] + 2 * ["SCT^7771000^Left"]
    assert [one.name for one in result.statistics] == NAMES
    assert list(result.nodes.probabilities) == NAMES
    for number, segment_id in enumerate(segmentation.GetSegmentIDs(), 1):
        shown = slicer.util.arrayFromSegmentBinaryLabelmap(result.segmentation, segment_id, volume)
        np.testing.assert_array_equal(shown.transpose(2, 1, 0) > 0, result.prediction.labels.voxels[0] == number)


def test_each_map_is_one_volume_that_reaches_over_both_sides(predictor, volume, head):
    result = segment_volume(predictor, [volume])
    for name, node in result.attention.items():
        heat = result.prediction.attention[name]
        np.testing.assert_allclose(slicer.util.arrayFromVTKMatrix(slicer.util.vtkMatrixFromArray(heat.affine)), heat.affine)
        bounds = [0.0] * 6
        node.GetRASBounds(bounds)
        low, high = np.array(bounds).reshape(3, 2).T
        for center in head[1].values():
            assert ((center > low) & (center < high)).all()


def test_a_run_on_a_node_of_several_needs_no_region(scene, predictor, volume):
    done = segment_nodes(predictor, [volume], attention=False)
    assert done.failed == {}
    assert done.volumes[volume.GetID()].segmentation.GetSegmentation().GetNumberOfSegments() == 4


def test_the_probe_follows_the_crosshair_into_either_side(scene, volume, tmp_path):
    result = segment_volume(Predictor(heads.guided_finder(tmp_path), "cpu"), [volume])
    probe = ProbeVolume(result)
    regions = result.prediction.regions
    assert probe.move(regions["right"].center)
    first = probe.node.GetImageData()
    origin = np.array(probe.node.GetOrigin())
    assert probe.move(regions["left"].center)
    assert probe.node.GetImageData() is first
    assert np.linalg.norm(np.array(probe.node.GetOrigin()) - origin) > 20
    assert not probe.move(np.mean([region.center for region in regions.values()], axis=0))
