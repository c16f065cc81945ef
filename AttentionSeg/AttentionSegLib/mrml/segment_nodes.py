"""Many volumes of the scene, and sequences of volumes, one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import slicer

from ..errors import InputError
from .publish import PublishedNodes, publish
from .segmentations import publish_segmentation
from .volumes import image_from_volumes

if TYPE_CHECKING:
    from ..inference import Predictor
    from ..inference.progress import Cancel, OnProgress


@dataclass(frozen=True, eq=False)
class SegmentedNodes:
    """What became of the nodes, by their ids.

    Attributes:
        volumes: what was put into the scene beside each volume.
        sequences: for each sequence of volumes one of segmentations, with the same index values.
        failed: why a node could not be segmented; for it, nothing was added.
    """

    volumes: dict[str, PublishedNodes] = field(default_factory=dict)
    sequences: dict[str, slicer.vtkMRMLSequenceNode] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def segment_nodes(
    predictor: Predictor,
    nodes: Sequence[slicer.vtkMRMLScalarVolumeNode | slicer.vtkMRMLSequenceNode],
    attention: bool | Iterable[str] = True,
    on_progress: OnProgress | None = None,
    cancel: Cancel | None = None,
) -> SegmentedNodes:
    """Segment volumes, and every frame of sequences of volumes, by a model of one input. Blocks; main thread only.

    Args:
        predictor: the loaded model.
        nodes: scalar volumes, and sequences of them. A node that cannot be segmented is noted, and the others are segmented all the same.
        attention: maps to show beside each volume: all, none, or those named. Sequences get segmentations alone.
        on_progress: called with (fraction of all 0..1, `T1 (2 of 5)`, None).
        cancel: asked between patches; what is done stays in the scene.

    Raises:
        Cancelled: if `cancel` said so.
    """
    done = SegmentedNodes()
    for number, node in enumerate(nodes):
        told = partial(_tell, on_progress, number, len(nodes), node.GetName())
        try:
            if node.IsA("vtkMRMLSequenceNode"):
                done.sequences[node.GetID()] = _segment_sequence(predictor, node, told, cancel)
            else:
                image = image_from_volumes([node])
                done.volumes[node.GetID()] = publish(predictor(image, attention=attention, on_progress=told, cancel=cancel), node)
        except InputError as error:
            done.failed[node.GetID()] = str(error)
    return done


def _segment_sequence(
    predictor: Predictor, volumes: slicer.vtkMRMLSequenceNode, on_progress: OnProgress, cancel: Cancel | None
) -> slicer.vtkMRMLSequenceNode:
    scene, frames = volumes.GetScene(), volumes.GetNumberOfDataNodes()
    if frames == 0 or not volumes.GetNthDataNode(0).IsA("vtkMRMLScalarVolumeNode"):
        msg = f"{volumes.GetName()} is not a sequence of scalar volumes; choose one that is."
        raise InputError(msg)
    segmentations = scene.AddNewNodeByClass("vtkMRMLSequenceNode", f"{volumes.GetName()} segmentation")
    segmentations.SetIndexName(volumes.GetIndexName())
    segmentations.SetIndexUnit(volumes.GetIndexUnit())
    segmentations.SetIndexType(volumes.GetIndexType())
    try:
        for frame in range(frames):
            told = partial(_tell_frame, on_progress, frame, frames)
            _segment_frame(predictor, volumes, segmentations, frame, told, cancel)
    except BaseException:
        scene.RemoveNode(segmentations)
        raise
    for browser in slicer.util.getNodesByClass("vtkMRMLSequenceBrowserNode", scene):
        if browser.IsSynchronizedSequenceNode(volumes, True):
            browser.AddSynchronizedSequenceNode(segmentations)
    return segmentations


def _segment_frame(
    predictor: Predictor,
    volumes: slicer.vtkMRMLSequenceNode,
    segmentations: slicer.vtkMRMLSequenceNode,
    frame: int,
    on_progress: OnProgress,
    cancel: Cancel | None,
) -> None:
    """One frame by way of a volume and a segmentation that stand in the scene for its time."""
    scene, nodes = volumes.GetScene(), []
    try:
        volume = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", f"{volumes.GetName()} frame {frame + 1}")
        nodes.append(volume)
        volume.CopyContent(volumes.GetNthDataNode(frame))
        prediction = predictor(image_from_volumes([volume]), attention=False, on_progress=on_progress, cancel=cancel)
        nodes.append(publish_segmentation(prediction, volume, None))
        segmentations.SetDataNodeAtValue(nodes[-1], volumes.GetNthIndexValue(frame))
    finally:
        for node in reversed(nodes):
            for display in [node.GetNthDisplayNode(number) for number in range(node.GetNumberOfDisplayNodes())]:
                scene.RemoveNode(display)
            scene.RemoveNode(node)


def _tell(on_progress: OnProgress | None, number: int, nodes: int, name: str, fraction: float, _stage: str, _seconds_left: float | None) -> None:
    if on_progress is not None:
        on_progress((number + fraction) / nodes, f"{name} ({number + 1} of {nodes})", None)


def _tell_frame(on_progress: OnProgress, frame: int, frames: int, fraction: float, stage: str, seconds_left: float | None) -> None:
    on_progress((frame + fraction) / frames, stage, seconds_left)
