"""Segmentation of several volume nodes and sequences, one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import slicer

from ..errors import InputError
from .publish import PublishedNodes, publish
from .sequences import FrameSegmentations, frame_image
from .volumes import image_from_volumes

if TYPE_CHECKING:
    from ..inference import Predictor
    from ..progress import Cancel, OnProgress


@dataclass(frozen=True, eq=False)
class SegmentedNodes:
    """Results by the ids of the input nodes.

    Attributes:
        volumes: the nodes added for each volume.
        sequences: for each sequence of volumes one of segmentations, with the same index values. Each browser of the volumes shows the frames of
            both together, in a segmentation named `<sequence> segmentation`.
        failed: why a node could not be segmented; nothing was added for it.
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
        nodes: scalar volumes, and sequences of them. A node that cannot be segmented is listed in `failed`, and the run continues.
        attention: maps to add for each volume: all, none, or those named. Sequences get segmentations only.
        on_progress: called with (fraction of all 0..1, `T1 (2 of 5)`, None).
        cancel: called between patches; finished results stay in the scene.

    Raises:
        Cancelled: if `cancel` returned True.
    """
    done = SegmentedNodes()
    for number, node in enumerate(nodes):
        report = partial(_report, on_progress, number, len(nodes), node.GetName())
        try:
            if node.IsA("vtkMRMLSequenceNode"):
                done.sequences[node.GetID()] = _segment_sequence(predictor, node, report, cancel)
            else:
                image = image_from_volumes([node])
                done.volumes[node.GetID()] = publish(predictor(image, attention=attention, on_progress=report, cancel=cancel), node)
        except InputError as error:
            done.failed[node.GetID()] = str(error)
    return done


def _segment_sequence(
    predictor: Predictor, volumes: slicer.vtkMRMLSequenceNode, on_progress: OnProgress, cancel: Cancel | None
) -> slicer.vtkMRMLSequenceNode:
    found, frames = FrameSegmentations(volumes), volumes.GetNumberOfDataNodes()
    for frame in range(frames):
        report = partial(_report_frame, on_progress, frame, frames)
        found.add(predictor(frame_image(volumes, frame), attention=False, on_progress=report, cancel=cancel), frame)
    return found.publish()


def _report(on_progress: OnProgress | None, number: int, nodes: int, name: str, fraction: float, _stage: str, _seconds_left: float | None) -> None:
    if on_progress is not None:
        on_progress((number + fraction) / nodes, f"{name} ({number + 1} of {nodes})", None)


def _report_frame(on_progress: OnProgress, frame: int, frames: int, fraction: float, stage: str, seconds_left: float | None) -> None:
    on_progress((frame + fraction) / frames, stage, seconds_left)
