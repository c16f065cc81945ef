"""Pairs of volume and segmentation, drawn by a person or made by a model."""

from __future__ import annotations

from AttentionSegLib.mrml import image_from_volumes, publish_segmentation
from AttentionSegLib.mrml.provenance import MODEL_ID
from scenes import make_labels, make_prediction, make_volume

NAMES = ["Hippocampus anterior", "Hippocampus posterior"]


def make_pair(scene, name="T1", labels=None, affine=None):
    """A volume and a segmentation with the labels [I, J, K] of two structures, as if a person had drawn them."""
    volume, segmentation = make_result(scene, name, labels, affine)
    inner = segmentation.GetSegmentation()
    for index in range(inner.GetNumberOfSegments()):
        inner.GetNthSegment(index).RemoveTag(MODEL_ID)
    return volume, segmentation


def make_result(scene, name="T1", labels=None, affine=None):
    """The same by a model."""
    volume = make_volume(scene, affine, name=name)
    labels = make_labels() if labels is None else labels
    return volume, publish_segmentation(make_prediction(image_from_volumes([volume]), labels), volume)


def segment(node, name):
    return node.GetSegmentation().GetSegment(node.GetSegmentation().GetSegmentIdBySegmentName(name))
