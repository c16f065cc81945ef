"""Segmentation of volume nodes in three steps: read, predict, publish."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import slicer
import vtk

from ..image import Image
from ..reporting import Measurement, measure
from ..reporting.telling_map import most_telling_map
from .publish import PublishedNodes, publish, voxels_of_maps
from .regions import check_region, region_from_roi
from .sequences import FRAME_ATTRIBUTE, ShownFrame, shown_frame
from .volumes import image_from_volumes, volume_state

if TYPE_CHECKING:
    from ..inference import Prediction, Predictor
    from ..progress import Cancel, OnProgress
    from ..region import Region


@dataclass(frozen=True, eq=False)
class ScanSource:
    """What was segmented, without its voxels: the volumes, one per input, and their states (see `volume_state`)."""

    volumes: tuple[slicer.vtkMRMLScalarVolumeNode, ...]
    states: tuple[tuple, ...]


@dataclass(frozen=True, eq=False)
class Scan:
    """Input of a run, copied from the scene; `predict` may use it in any thread."""

    image: Image
    region: Region | None
    volume: slicer.vtkMRMLScalarVolumeNode
    segmentation: slicer.vtkMRMLSegmentationNode | None
    frame: ShownFrame | None
    source: ScanSource


@dataclass(frozen=True, eq=False)
class SegmentedVolume:
    """The prediction for a volume, and the nodes that show it.

    Attributes:
        prediction: of the engine.
        statistics: one `Measurement` per label of the model: voxels, mL, mean uncertainty.
        volume: the input (its first channel).
        nodes: that were added to the scene.
        source: what was segmented.
        predictor: the model that was used.
        telling: the attention map of highest contrast, by name (see `most_telling_map`).
    """

    prediction: Prediction
    statistics: tuple[Measurement, ...]
    volume: slicer.vtkMRMLScalarVolumeNode
    nodes: PublishedNodes
    source: ScanSource
    predictor: Predictor
    telling: str | None

    @property
    def segmentation(self) -> slicer.vtkMRMLSegmentationNode:
        return self.nodes.segmentation

    @property
    def attention(self) -> dict[str, slicer.vtkMRMLScalarVolumeNode]:
        """Volume of each attention map by the map's name."""
        return self.nodes.attention

    @property
    def can_explain(self) -> bool:
        """Whether the network has layers at which a label can be explained."""
        return bool(getattr(self.predictor.model.network, "explained_layers", {}))

    @property
    def uncertainty(self) -> slicer.vtkMRMLScalarVolumeNode:
        return self.nodes.uncertainty


def read_scan(
    volume_nodes: Sequence[slicer.vtkMRMLScalarVolumeNode],
    roi_node: slicer.vtkMRMLMarkupsROINode | None = None,
    segmentation_node: slicer.vtkMRMLSegmentationNode | None = None,
) -> Scan:
    """Copy the input of a run from the scene. Main thread only; arguments and errors are those of `segment_volume`."""
    image = image_from_volumes(volume_nodes)
    region = None if roi_node is None else region_from_roi(roi_node, volume_nodes[0])
    if region is not None:
        check_region(region, image, roi_node, volume_nodes[0])
    source = ScanSource(tuple(volume_nodes), tuple(map(volume_state, volume_nodes)))
    return Scan(image, region, volume_nodes[0], segmentation_node, shown_frame(volume_nodes[0]), source)


def predict(
    predictor: Predictor,
    scan: Scan,
    on_progress: OnProgress | None = None,
    cancel: Cancel | None = None,
    **changes: Any,
) -> tuple[Prediction, tuple[Measurement, ...], str | None, dict[str, vtk.vtkImageData]]:
    """Segment a scan, measure the result, and copy its maps for the scene: all that `publish_scan` needs and that would block the application.

    Touches no node; any thread. Arguments and exceptions are those of `Predictor`.
    """
    prediction = predictor(scan.image, scan.region, on_progress=on_progress, cancel=cancel, **changes)
    return prediction, tuple(measure(prediction)), most_telling_map(prediction), voxels_of_maps(prediction)


def publish_scan(
    scan: Scan,
    predictor: Predictor,
    prediction: Prediction,
    statistics: tuple[Measurement, ...],
    telling: str | None,
    voxels: dict[str, vtk.vtkImageData] | None = None,
) -> SegmentedVolume:
    """Add a prediction for a scan of `read_scan` to the scene. Main thread only; errors are those of `publish`, and leave the scene unchanged."""
    nodes = publish(prediction, scan.volume, scan.segmentation, scan.region, voxels)
    nodes.segmentation.SetAttribute(FRAME_ATTRIBUTE, None if scan.frame is None else scan.frame.value)
    return SegmentedVolume(prediction, statistics, scan.volume, nodes, scan.source, predictor, telling)


def segment_volume(
    predictor: Predictor,
    volume_nodes: Sequence[slicer.vtkMRMLScalarVolumeNode],
    roi_node: slicer.vtkMRMLMarkupsROINode | None = None,
    segmentation_node: slicer.vtkMRMLSegmentationNode | None = None,
    *,
    on_progress: OnProgress | None = None,
    cancel: Cancel | None = None,
    **changes: Any,
) -> SegmentedVolume:
    """Segment volumes of the scene and add the result beside the first of them. Blocks; main thread only.

    Args:
        predictor: the loaded model.
        volume_nodes: one per input of the model.
        roi_node: box around the structure, of any orientation; its parent transform is applied.
        segmentation_node: node to add the segments to; its other segments stay. A new node when left out.
        on_progress, cancel, changes: see `Predictor`.

    Raises:
        InputError: if a node cannot be used. The scene is unchanged then, as after a cancelled run.
        Cancelled: if `cancel` returned True.
    """
    scan = read_scan(volume_nodes, roi_node, segmentation_node)
    return publish_scan(scan, predictor, *predict(predictor, scan, on_progress, cancel, **changes))
