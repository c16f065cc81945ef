"""Sequences of volumes: the frame that a volume shows, frames as images, and a segmentation for every frame."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import slicer

from ..errors import InputError
from .node_names import free_name
from .segmentations import publish_segmentation
from .volumes import image_from_volumes

if TYPE_CHECKING:
    from ..image import Image
    from ..inference.prediction import Prediction

# Index value of the frame that a segmentation was made from.
FRAME_ATTRIBUTE = "AttentionSeg.Frame"


@dataclass(frozen=True, eq=False)
class ShownFrame:
    """The frame of a sequence that a volume shows now.

    Attributes:
        sequence: of all frames.
        browser: that selects the frame.
        number: counted from 0.
        value: of the sequence's index, such as a time.
    """

    sequence: slicer.vtkMRMLSequenceNode
    browser: slicer.vtkMRMLSequenceBrowserNode
    number: int
    value: str

    @property
    def count(self) -> int:
        """Number of frames of the sequence."""
        return self.sequence.GetNumberOfDataNodes()


def shown_frame(volume_node: slicer.vtkMRMLScalarVolumeNode | None) -> ShownFrame | None:
    """The frame that a volume shows; None if it belongs to no sequence."""
    if volume_node is None or volume_node.GetScene() is None:
        return None
    for browser in _browsers(volume_node.GetScene()):
        sequence = browser.GetSequenceNode(volume_node)
        if sequence is not None and sequence.GetNumberOfDataNodes():
            value = browser.GetMasterSequenceNode().GetNthIndexValue(max(browser.GetSelectedItemNumber(), 0))
            return ShownFrame(sequence, browser, max(sequence.GetItemNumberFromIndexValue(value, False), 0), value)
    return None


def frame_hint(volume_node: slicer.vtkMRMLScalarVolumeNode | None, segmentation_node: slicer.vtkMRMLSegmentationNode | None) -> str:
    """One sentence if a volume shows another frame than the one its segmentation was made from; else empty."""
    frame = shown_frame(volume_node)
    value = None if segmentation_node is None else segmentation_node.GetAttribute(FRAME_ATTRIBUTE)
    if volume_node is None or frame is None or value is None or value == frame.value:
        return ""
    segmented = frame.sequence.GetItemNumberFromIndexValue(value, True)
    of = f"frame {segmented + 1}" if segmented >= 0 else "another frame"
    return f"{volume_node.GetName()} shows frame {frame.number + 1} of {frame.count}; the result is that of {of}."


def frame_image(sequence: slicer.vtkMRMLSequenceNode, number: int) -> Image:
    """A frame, counted from 0, as an image in the frame's own RAS. Raises InputError if it cannot be used (see `image_from_volumes`)."""
    check_sequence(sequence)
    image = image_from_volumes([sequence.GetNthDataNode(number)])
    return replace(image, name=f"{sequence.GetName()} frame {number + 1}")


def check_sequence(sequence: slicer.vtkMRMLSequenceNode) -> None:
    """Raise InputError unless every frame is a scalar volume."""
    frames = [sequence.GetNthDataNode(number) for number in range(sequence.GetNumberOfDataNodes())]
    if not frames or not all(frame.IsA("vtkMRMLScalarVolumeNode") for frame in frames):
        msg = f"{sequence.GetName()} is not a sequence of scalar volumes; choose one that is."
        raise InputError(msg)


class FrameSegmentations:
    """Segmentations of the frames of a sequence, kept outside the scene until `publish` adds all of them.

    Args:
        volumes: the sequence of volumes, in a scene.
    """

    def __init__(self, volumes: slicer.vtkMRMLSequenceNode) -> None:
        check_sequence(volumes)
        self._volumes = volumes
        self._segmentations = slicer.vtkMRMLSequenceNode()
        self._segmentations.SetIndexName(volumes.GetIndexName())
        self._segmentations.SetIndexUnit(volumes.GetIndexUnit())
        self._segmentations.SetIndexType(volumes.GetIndexType())

    def add(self, prediction: Prediction, number: int) -> None:
        """Keep the labels of a frame, counted from 0. Errors are those of `publish_segmentation`."""
        # Nodes in the user's scene would flicker in selectors and views.
        scene = slicer.vtkMRMLScene()
        volume = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", self._volumes.GetName())
        volume.CopyContent(self._volumes.GetNthDataNode(number), False)
        self._segmentations.SetDataNodeAtValue(publish_segmentation(prediction, volume), self._volumes.GetNthIndexValue(number))
        scene.Clear(1)

    def publish(self) -> slicer.vtkMRMLSequenceNode:
        """Add the sequence to the scene and to every browser of the volumes, so that a segmentation follows the shown frame.

        Raises:
            InputError: if the volumes are no longer in a scene.
        """
        scene = self._volumes.GetScene()
        if scene is None:
            msg = f"{self._volumes.GetName()} is no longer in the scene, so there is nothing to add the result to; load it and segment it again."
            raise InputError(msg)
        self._segmentations.SetName(free_name(scene, f"{self._volumes.GetName()} segmentation sequence"))
        scene.AddNode(self._segmentations)
        for browser in _browsers(scene):
            if browser.IsSynchronizedSequenceNode(self._volumes, True):
                self._follow(browser)
        return self._segmentations

    def _follow(self, browser: slicer.vtkMRMLSequenceBrowserNode) -> None:
        browser.AddSynchronizedSequenceNode(self._segmentations)
        shown, volume = browser.GetProxyNode(self._segmentations), browser.GetProxyNode(self._volumes)
        if shown is not None and volume is not None:
            # Slicer names it like the sequence, and two nodes of one name are hard to tell apart.
            shown.SetName(free_name(shown.GetScene(), f"{self._volumes.GetName()} segmentation"))
            shown.SetAndObserveTransformNodeID(volume.GetTransformNodeID())


def _browsers(scene: slicer.vtkMRMLScene) -> list[slicer.vtkMRMLSequenceBrowserNode]:
    return slicer.util.getNodesByClass("vtkMRMLSequenceBrowserNode", scene)
