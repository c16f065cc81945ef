"""Which frame of a sequence is shown, and whether the result is of that one."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from AttentionSegLib.errors import InputError
from AttentionSegLib.inference import Predictor
from AttentionSegLib.mrml.segment import segment_volume
from AttentionSegLib.mrml.sequences import FrameSegmentations, frame_hint, frame_image, shown_frame
from scenes import AFFINES, make_volume
from sequence_scenes import make_sequence, noise
from tiny_models import intensity_model


def test_a_volume_of_its_own_shows_no_frame(scene):
    assert shown_frame(make_volume(scene)) is None
    assert shown_frame(None) is None


def test_the_volume_of_a_browser_shows_one(scene):
    sequence, browser = make_sequence(scene, 3)
    volume = browser.GetProxyNode(sequence)
    browser.SetSelectedItemNumber(2)
    frame = shown_frame(volume)
    assert (frame.sequence, frame.browser, frame.number, frame.value, frame.count) == (sequence, browser, 2, "1", 3)


def test_a_frame_as_an_image(scene):
    sequence, _browser = make_sequence(scene, 3)
    image = frame_image(sequence, 1)
    np.testing.assert_array_equal(image.voxels[0], noise(1))
    np.testing.assert_allclose(image.affine, AFFINES["oblique"])
    assert image.name == "Beats frame 2"


def test_another_frame_than_that_of_the_result_is_told(scene):
    sequence, browser = make_sequence(scene, 3)
    volume = browser.GetProxyNode(sequence)
    browser.SetSelectedItemNumber(1)
    predictor = Predictor(intensity_model(), "cpu", "torch")
    result = segment_volume(predictor, [volume], attention=False)
    assert frame_hint(volume, result.segmentation) == ""
    browser.SetSelectedItemNumber(2)
    assert frame_hint(volume, result.segmentation) == "Beats shows frame 3 of 3; the result is that of frame 2."
    segment_volume(predictor, [volume], segmentation_node=result.segmentation, attention=False)
    assert frame_hint(volume, result.segmentation) == ""
    assert frame_hint(volume, None) == ""
    segment_volume(predictor, [make_volume(scene, voxels=noise(0))], segmentation_node=result.segmentation, attention=False)
    assert frame_hint(volume, result.segmentation) == ""


def test_a_sequence_that_is_gone_gets_nothing(scene):
    sequence, _browser = make_sequence(scene, 1)
    found = FrameSegmentations(sequence)
    scene.RemoveNode(sequence)
    with pytest.raises(InputError, match="Beats is no longer in the scene"):
        found.publish()


def test_a_sequence_of_something_else(scene):
    with pytest.raises(InputError, match="Points is not a sequence of scalar volumes"):
        frame_image(scene.AddNewNodeByClass("vtkMRMLSequenceNode", "Points"), 0)
    sequence, _browser = make_sequence(scene, 1)
    sequence.SetDataNodeAtValue(slicer.vtkMRMLMarkupsFiducialNode(), "7")
    with pytest.raises(InputError, match="Beats is not a sequence of scalar volumes"):
        FrameSegmentations(sequence)
