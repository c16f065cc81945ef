"""Many nodes at once: each gets its results, a bad one its reason, and a sequence a segmentation for every frame."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from AttentionSegLib.errors import Cancelled
from AttentionSegLib.inference import Predictor
from AttentionSegLib.mrml.segment_nodes import segment_nodes
from AttentionSegLib.mrml.volumes import image_from_volumes
from scenes import SHAPE, linear_transform, make_volume, put_under, rigid
from sequence_scenes import make_sequence, noise
from tiny_models import intensity_model

SEGMENT = "hippocampus-t1_2"


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(intensity_model(), "cpu", "torch")


def node_ids(scene) -> set[str]:
    return {scene.GetNthNode(index).GetID() for index in range(scene.GetNumberOfNodes())}


def test_volumes_get_their_results_and_a_bad_one_its_reason(scene, predictor):
    good, bad = make_volume(scene, voxels=noise(0)), make_volume(scene, voxels=np.zeros(SHAPE, np.float32), name="Blank")
    steps = []
    done = segment_nodes(predictor, [bad, good], attention=["gate_3"], on_progress=lambda *step: steps.append(step))
    assert list(done.failed) == [bad.GetID()]
    assert "Blank has the same intensity (0) everywhere" in done.failed[bad.GetID()]
    nodes = done.volumes[good.GetID()]
    assert list(nodes.attention) == ["gate_3"]
    found = slicer.util.arrayFromSegmentBinaryLabelmap(nodes.segmentation, SEGMENT, good)
    expected = predictor(image_from_volumes([good])).labels.voxels[0].transpose(2, 1, 0)
    np.testing.assert_array_equal(found, expected == 2)
    fractions = [fraction for fraction, _, _ in steps]
    assert fractions == sorted(fractions)
    assert (fractions[-1], steps[-1][1]) == (1.0, "T1 (2 of 2)")


def test_a_sequence_gets_a_segmentation_for_every_frame(scene, predictor):
    sequence, browser = make_sequence(scene, 3)
    before, added = node_ids(scene), []
    segmentations = segment_nodes(predictor, [sequence], on_progress=lambda *_: added.extend(node_ids(scene) - before)).sequences[sequence.GetID()]
    assert not added
    shown = browser.GetProxyNode(segmentations)
    new = [scene.GetNodeByID(node_id) for node_id in node_ids(scene) - before]
    assert {node for node in new if not node.IsA("vtkMRMLDisplayNode") and not node.IsA("vtkMRMLStorageNode")} == {segmentations, shown}
    assert (segmentations.GetName(), shown.GetName()) == ("Beats segmentation sequence", "Beats segmentation")
    assert (segmentations.GetIndexName(), segmentations.GetIndexUnit()) == ("time", "s")
    assert [segmentations.GetNthIndexValue(n) for n in range(3)] == ["0", "0.5", "1"]
    assert browser.IsSynchronizedSequenceNode(segmentations)
    for frame in range(3):
        volume = make_volume(scene, voxels=noise(frame))
        expected = predictor(image_from_volumes([volume])).labels.voxels[0].transpose(2, 1, 0)
        shown = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
        shown.CopyContent(segmentations.GetNthDataNode(frame))
        found = slicer.util.arrayFromSegmentBinaryLabelmap(shown, SEGMENT, volume)
        np.testing.assert_array_equal(found, expected == 2)


def test_the_segmentation_that_follows_the_frame_lies_on_the_volume_that_does(scene, predictor):
    """Under the volume's parent transform, at every frame."""
    sequence, browser = make_sequence(scene, 2)
    volume = browser.GetProxyNode(sequence)
    put_under(volume, linear_transform(scene, rigid(10, 20, 30, (5, -6, 7))))
    shown = browser.GetProxyNode(segment_nodes(predictor, [sequence]).sequences[sequence.GetID()])
    for frame in (1, 0):
        browser.SetSelectedItemNumber(frame)
        assert shown.GetTransformNodeID() == volume.GetTransformNodeID()
        found = slicer.util.arrayFromSegmentBinaryLabelmap(shown, SEGMENT, volume)
        expected = predictor(image_from_volumes([make_volume(scene, voxels=noise(frame))])).labels.voxels[0].transpose(2, 1, 0)
        np.testing.assert_array_equal(found, expected == 2)


def test_a_second_run_has_names_of_its_own(scene, predictor):
    sequence, browser = make_sequence(scene, 2)
    found = [segment_nodes(predictor, [sequence]).sequences[sequence.GetID()] for _ in range(2)]
    names = [node.GetName() for part in found for node in (part, browser.GetProxyNode(part))]
    assert len(set(names)) == 4


def test_a_label_map_is_refused(scene, predictor):
    labels = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "Labels")
    slicer.util.updateVolumeFromArray(labels, np.ones(SHAPE, np.uint8))
    assert segment_nodes(predictor, [labels]).failed[labels.GetID()].startswith("Labels is a label map,")


def test_cancelled_in_a_sequence_it_leaves_no_part_of_one(scene, predictor):
    sequence, _ = make_sequence(scene, 2)
    before, answers = node_ids(scene), iter([False] * 6)
    with pytest.raises(Cancelled):
        segment_nodes(predictor, [sequence], cancel=lambda: next(answers, True))
    assert node_ids(scene) == before


def test_a_sequence_of_something_else(scene, predictor):
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "Points")
    assert "Points is not a sequence of scalar volumes" in segment_nodes(predictor, [sequence]).failed[sequence.GetID()]
