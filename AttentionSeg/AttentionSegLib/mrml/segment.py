"""Nodes in, nodes out: read, predict, publish."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import slicer

from .publish import PublishedNodes, publish
from .regions import region_from_roi
from .volumes import image_from_volumes

if TYPE_CHECKING:
    from ..inference import Prediction, Predictor
    from ..inference.progress import Cancel, OnProgress


@dataclass(frozen=True, eq=False)
class SegmentedVolume:
    """The prediction for a volume, and the nodes that show it."""

    prediction: Prediction
    nodes: PublishedNodes


def segment_volume(
    predictor: Predictor,
    volume_nodes: Sequence[slicer.vtkMRMLScalarVolumeNode],
    roi_node: slicer.vtkMRMLMarkupsROINode | None = None,
    segmentation_node: slicer.vtkMRMLSegmentationNode | None = None,
    attention: bool | Iterable[str] = True,
    on_progress: OnProgress | None = None,
    cancel: Cancel | None = None,
) -> SegmentedVolume:
    """Segment volumes of the scene and show the result beside the first of them. Blocks; main thread only.

    Args:
        predictor: the loaded model.
        volume_nodes: one per input of the model.
        roi_node: box around the structure, of any orientation; its parent transform counts.
        segmentation_node: where to put the segments; its other segments stay. A new node when left out.
        attention, on_progress, cancel: as of `Predictor`.

    Raises:
        InputError: if a node cannot be used. The scene is unchanged then, as it is after a cancelled run.
        Cancelled: if `cancel` said so.
    """
    image = image_from_volumes(volume_nodes)
    region = None if roi_node is None else region_from_roi(roi_node, volume_nodes[0])
    prediction = predictor(image, region, attention, on_progress=on_progress, cancel=cancel)
    return SegmentedVolume(prediction, publish(prediction, volume_nodes[0], segmentation_node))
