"""Why a label is there: the explanation of a result as a map beside it, in three steps: read, explain, publish."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import slicer

from ..errors import InputError
from ..image import Image
from ..map_kinds import why_at, why_map
from .attention_volumes import MAP_ATTRIBUTE
from .publish import mark_explained, publish_beside
from .segment import SegmentedVolume
from .transforms import transform_between
from .volumes import image_from_volumes, volume_state

if TYPE_CHECKING:
    from ..progress import Cancel, OnProgress


@dataclass(frozen=True, eq=False)
class Question:
    """A label of a result, and the scan as it was segmented, copied from the scene.

    Attributes:
        result: with the label.
        label: its name.
        image: the scan.
        name: id of the map.
        at: a place in the own RAS of the volume, mm; None for the whole segment.
    """

    result: SegmentedVolume
    label: str
    image: Image
    name: str
    at: tuple[float, ...] | None


def read_question(result: SegmentedVolume, label: str, position: Sequence[float] | None = None) -> Question:
    """Copy what is needed from the scene. Main thread only.

    Args:
        result: of a run.
        label: name of one of its labels.
        position: world RAS mm, for the explanation at one voxel; the whole segment when left out.

    Raises:
        InputError: if a volume was removed or has changed since it was segmented.
    """
    source = result.source
    for node, state in zip(source.volumes, source.states):
        if node.GetScene() is None:
            msg = f"{node.GetName()} was deleted, so its result cannot be explained; load it and segment it again."
            raise InputError(msg)
        if volume_state(node) != state:
            msg = f"{node.GetName()} has changed since it was segmented; segment it again to ask why."
            raise InputError(msg)
    at = None if position is None else tuple(transform_between(None, result.volume).TransformPoint(*position))
    return Question(result, label, image_from_volumes(source.volumes), why_map(label, position), at)


def explain(question: Question, on_progress: OnProgress | None = None, cancel: Cancel | None = None) -> Image:
    """Compute the map. Touches no node; any thread. Errors are those of `explain_result`."""
    # Imported here because torch takes seconds to import.
    from ..inference.result_explanation import explain_result

    result = question.result
    return explain_result(
        result.predictor,
        result.prediction,
        question.image,
        question.label,
        question.at,
        on_progress=on_progress,
        cancel=cancel,
    )


def publish_explanation(question: Question, image: Image, maps: Sequence[slicer.vtkMRMLScalarVolumeNode] = ()) -> slicer.vtkMRMLScalarVolumeNode:
    """Add the map to the scene, beside the other maps of its result. Main thread only.

    Args:
        question: that was answered.
        image: from `explain`.
        maps: earlier ones of the result, in its scene: that of the same segment, or at another voxel for the same label, is replaced.
    """
    before = next((node for node in maps if _is_replaced(node.GetAttribute(MAP_ATTRIBUTE) or "", question)), None)
    result = question.result
    node = publish_beside(result.nodes, result.volume, image, question.name, result.prediction.card, before)
    mark_explained(node, question.name, result.prediction.options)
    return node


def _is_replaced(name: str, question: Question) -> bool:
    return name == question.name if question.at is None else name.startswith(why_at(question.label))
