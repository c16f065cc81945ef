"""Comparison of a result with a reference segmentation, by the metrics of the evaluation. Without Qt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..mrml.comparison import SegmentPair, SegmentPairs, read_segment_pairs
from ..progress import check_cancel
from .task import Task
from .translation import tr as _

if TYPE_CHECKING:
    import slicer

    from ..progress import Cancel, OnProgress


@dataclass(frozen=True)
class ComparedSegment:
    """Metrics of a segment of the result against the segment of the same name in the reference.

    Attributes:
        name: of the segment in the result.
        dice: overlap, 0..1.
        hausdorff_95_mm: 95 % Hausdorff distance; NaN if only one of the two is empty.
        milliliters, reference_milliliters: volume of each on the grid of the comparison.
    """

    name: str
    dice: float
    hausdorff_95_mm: float
    milliliters: float
    reference_milliliters: float


@dataclass(frozen=True)
class Comparison:
    """Result of a comparison.

    Attributes:
        rows: one per name that is in both, in the order of the result.
        only_in_result, only_in_reference: names of the segments that could not be compared.
    """

    rows: tuple[ComparedSegment, ...]
    only_in_result: tuple[str, ...]
    only_in_reference: tuple[str, ...]


def compare_segmentations(
    result: slicer.vtkMRMLSegmentationNode,
    reference: slicer.vtkMRMLSegmentationNode,
    volume: slicer.vtkMRMLScalarVolumeNode | None = None,
) -> Comparison:
    """Compare and wait. Arguments and exceptions are those of `read_segment_pairs`."""
    return measure_pairs(read_segment_pairs(result, reference, volume), lambda *_progress: None, lambda: False)


def start_comparison(
    result: slicer.vtkMRMLSegmentationNode,
    reference: slicer.vtkMRMLSegmentationNode,
    on_change: Callable[[Task], None] | None = None,
) -> Task[Comparison]:
    """Read the segments now and compare them in a thread. The caller polls the task until it ends. Errors are those of `read_segment_pairs`."""
    pairs = read_segment_pairs(result, reference)
    return Task(lambda on_progress, cancel: measure_pairs(pairs, on_progress, cancel), lambda comparison: comparison, on_change, stage=_("Comparing"))


def measure_pairs(found: SegmentPairs, on_progress: OnProgress, cancel: Cancel) -> Comparison:
    """Measure pairs of segments; touches no node. Raises Cancelled between two segments if `cancel` returns True."""
    rows = []
    for number, pair in enumerate(found.pairs):
        check_cancel(cancel, pair.name)
        on_progress(number / len(found.pairs), pair.name, None)
        rows.append(_measured(pair))
    return Comparison(tuple(rows), found.only_in_result, found.only_in_reference)


def _measured(pair: SegmentPair) -> ComparedSegment:
    # Imported here because it takes seconds.
    from ..evaluation.metrics import label_metrics

    result, reference = pair.masks()
    metrics = label_metrics(result, reference, pair.spacing)
    milliliter = float(pair.spacing.prod()) / 1000
    volumes = (int(mask.sum()) * milliliter for mask in (result, reference))
    return ComparedSegment(pair.name, metrics["dice"], metrics["hausdorff_95_mm"], *volumes)
