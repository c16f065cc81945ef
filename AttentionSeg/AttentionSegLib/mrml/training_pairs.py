"""Training pairs of a volume and its segmentation: read from the scene, and written to files."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Union

import numpy as np
import slicer
import vtk

from ..errors import InputError
from ..files import write_map
from ..files.nrrd import write_nrrd
from ..files.requirements import MOST_LABELS
from ..image import Image
from ..same_grid import place_on
from ..writing import atomic_path
from ..written_names import folded
from .attention_volumes import is_own_map
from .provenance import is_result
from .resampling import sample_labelmap
from .segmentations import BINARY_LABELMAP
from .transforms import local_affine
from .volumes import image_from_volumes
from .voxels import matrix_to_vtk, view_voxels

# The name that 3D Slicer's color tables give to values without one.
NO_NAME = "(none)"
TISSUE = {"scheme": "SCT", "value": "85756007", "meaning": "Tissue"}

Labels = Union[slicer.vtkMRMLSegmentationNode, slicer.vtkMRMLLabelMapVolumeNode]
Pair = tuple[slicer.vtkMRMLScalarVolumeNode, Labels]


@dataclass(frozen=True, eq=False)
class TrainingPairs:
    """Input of a training, copied from the scene; `write_pairs` may use it in any thread.

    Attributes:
        scans: image [1, I, J, K] and label values [1, I, J, K] uint8 of each case, by its id.
        labels: entries of a card: value, name, color and terminology of each segment.
    """

    scans: dict[str, tuple[Image, Image]]
    labels: list[dict[str, Any]]

    @property
    def label_names(self) -> dict[int, str]:
        return {label["value"]: label["name"] for label in self.labels}


def scene_pairs(scene: slicer.vtkMRMLScene, results: bool = False) -> list[Pair]:
    """All segmentations and label maps of a scene with their volumes.

    The volume is the one that the geometry is from, else the one whose name is the beginning of the segmentation's name, else, for a label map, the
    only one with voxels at the same positions. Segmentations without a volume are left out, and so are attention maps and the like as volumes.

    Args:
        scene: to search.
        results: whether to include segmentations made entirely by models.
    """
    volumes = [
        node
        for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode", scene)
        # Training on color images is supported from files only.
        if not node.IsA("vtkMRMLLabelMapVolumeNode") and not node.IsA("vtkMRMLVectorVolumeNode") and not is_own_map(node)
    ]
    segmentations = [node for node in slicer.util.getNodesByClass("vtkMRMLSegmentationNode", scene) if results or not is_result(node)]
    label_maps = [node for node in slicer.util.getNodesByClass("vtkMRMLLabelMapVolumeNode", scene) if node.GetImageData() is not None]
    found = ((_volume_of(node, volumes), node) for node in [*segmentations, *label_maps])
    return [(volume, node) for volume, node in found if volume is not None]


def segment_names(segmentation: Labels) -> list[str]:
    """The names of the segments or labels, in the order of the label values that they get."""
    return sorted(segment.GetName().strip() for segment in _by_name(segmentation).values())


def read_pairs(pairs: Sequence[Pair]) -> TrainingPairs:
    """Copy the input of a training from the scene. Main thread only; errors are those of `reading_pairs`."""
    reading = reading_pairs(pairs)
    while True:
        try:
            next(reading)
        except StopIteration as end:
            return end.value


def reading_pairs(pairs: Sequence[Pair]) -> Generator[None, None, TrainingPairs]:
    """Copy the input of a training from the scene, one pair per step, so that the application can respond in between. Main thread only.

    Labels get the values 1, 2, ... in the order of the segments' names; colors and terms are those of the first segmentation. Segments are sampled at
    the centers of the volume's voxels, through the parent transforms of both nodes.

    Raises:
        InputError: naming the pair whose segments have other names than those of the first, share a name, overlap, are not made of voxels or are too
            many, or whose volume cannot be used (see `image_from_volumes`).
    """
    names = [_names(*pair) for pair in pairs]
    for pair, own in zip(pairs, names):
        if set(map(folded, own)) != set(map(folded, names[0])):
            msg = (
                f"{_named(*pair)} has the segments {', '.join(own)}, and {_named(*pairs[0])} has {', '.join(names[0])}; "
                "give both the same names, or take one of them out."
            )
            raise InputError(msg)
    scans = {}
    for number, (volume, segmentation) in enumerate(pairs, start=1):
        image = image_from_volumes([volume])
        case_id = f"{number:0{len(str(len(pairs)))}}_{re.sub(r'[^A-Za-z0-9._-]+', '_', image.name)}"
        scans[case_id] = (image, Image(_labels(image, volume, segmentation, names[0])[np.newaxis], image.affine, segmentation.GetName()))
        yield
    segments = _by_name(pairs[0][1])
    return TrainingPairs(scans, [_entry(value, segments[folded(name)]) for value, name in enumerate(names[0], start=1)])


def write_pairs(pairs: TrainingPairs, folder: Path) -> tuple[Path, Path]:
    """Write `images/<id>.nrrd` and `labels/<id>.nrrd`, and return these two folders. Touches no node. Raises OutputError if writing fails."""
    images, labels = folder / "images", folder / "labels"
    for place in (images, labels):
        place.mkdir()
    for case_id, (image, label) in pairs.scans.items():
        write_map(image, images / f"{case_id}.nrrd")
        with atomic_path(labels / f"{case_id}.nrrd") as temporary:
            write_nrrd(temporary, label.voxels[0], label.affine, {})
    return images, labels


def _volume_of(labels: Labels, volumes: Sequence[slicer.vtkMRMLScalarVolumeNode]) -> slicer.vtkMRMLScalarVolumeNode | None:
    is_label_map = labels.IsA("vtkMRMLLabelMapVolumeNode")
    reference = None if is_label_map else labels.GetNodeReference(labels.GetReferenceImageGeometryReferenceRole())
    if reference in volumes:
        return reference
    begun = [volume for volume in volumes if re.match(re.escape(volume.GetName()) + r"(?![A-Za-z0-9])", labels.GetName())]
    if begun or not is_label_map:
        return max(begun, key=lambda volume: len(volume.GetName()), default=None)
    same = [volume for volume in volumes if _is_on_grid(labels, volume)]
    return same[0] if len(same) == 1 else None


def _is_on_grid(label_map: slicer.vtkMRMLLabelMapVolumeNode, volume: slicer.vtkMRMLScalarVolumeNode) -> bool:
    if volume.GetImageData() is None or volume.GetParentTransformNode() is not label_map.GetParentTransformNode():
        return False
    both = [Image(view_voxels(node.GetImageData())[np.newaxis], local_affine(node), node.GetName()) for node in (label_map, volume)]
    placement = place_on(*both)
    return both[0].shape == both[1].shape and placement is not None and placement.is_near


def _segmentation_of(labels: Labels) -> slicer.vtkSegmentation:
    """The segments of a node. A label map has one per value, with the name and color of its color table, as in 3D Slicer's conversion."""
    if not labels.IsA("vtkMRMLLabelMapVolumeNode"):
        return labels.GetSegmentation()
    layer = slicer.vtkOrientedImageData()
    layer.ShallowCopy(labels.GetImageData())
    layer.SetImageToWorldMatrix(matrix_to_vtk(local_affine(labels)))
    colors = labels.GetDisplayNode().GetColorNode() if labels.GetDisplayNode() is not None else None
    segmentation = slicer.vtkSegmentation()
    segmentation.SetSourceRepresentationName(BINARY_LABELMAP)
    for value in np.unique(view_voxels(labels.GetImageData())).tolist():
        if value > 0:
            segmentation.AddSegment(_segment_of_value(int(value), layer, colors))
    return segmentation


def _segment_of_value(value: int, layer: slicer.vtkOrientedImageData, colors: slicer.vtkMRMLColorNode | None) -> slicer.vtkSegment:
    segment, color = slicer.vtkSegment(), [0.0] * 4
    named = colors.GetColorName(value) if colors is not None else ""
    segment.SetName(f"Label {value}" if named in (None, "", NO_NAME) else named)
    if colors is not None and colors.GetColor(value, color):
        segment.SetColor(*color[:3])
    segment.SetLabelValue(value)
    segment.AddRepresentation(BINARY_LABELMAP, layer)
    return segment


def _by_name(labels: Labels) -> dict[str, slicer.vtkSegment]:
    inner = _segmentation_of(labels)
    segments = [inner.GetNthSegment(index) for index in range(inner.GetNumberOfSegments())]
    return {folded(segment.GetName()): segment for segment in segments}


def _names(volume: slicer.vtkMRMLScalarVolumeNode, segmentation: Labels) -> list[str]:
    """The names of the segments in alphabetical order."""
    inner = _segmentation_of(segmentation)
    counts = Counter(folded(inner.GetNthSegment(index).GetName()) for index in range(inner.GetNumberOfSegments()))
    twice = [name for name, count in counts.items() if count > 1]
    wrong = None
    if not counts:
        wrong = "has no segments; draw some, or take it out"
    elif twice:
        wrong = f"has two segments of the name '{_by_name(segmentation)[twice[0]].GetName()}'; rename one of them"
    elif len(counts) > MOST_LABELS:
        wrong = f"has {len(counts)} segments, and a network can learn {MOST_LABELS}; remove some"
    elif not inner.ContainsRepresentation(BINARY_LABELMAP):
        wrong = "is not made of voxels; convert it to a binary labelmap in the module Segmentations"
    if wrong:
        msg = f"{_named(volume, segmentation)} {wrong}."
        raise InputError(msg)
    return segment_names(segmentation)


def _labels(image: Image, volume: slicer.vtkMRMLScalarVolumeNode, segmentation: Labels, names: Sequence[str]) -> np.ndarray:
    """Label values [I, J, K] uint8 on the grid of an image."""
    segments, labels = _by_name(segmentation), np.zeros(image.shape, np.uint8)
    layers: dict[slicer.vtkOrientedImageData, list[int]] = {}
    for value, name in enumerate(names, start=1):
        layers.setdefault(segments[folded(name)].GetRepresentation(BINARY_LABELMAP), []).append(value)
    for labelmap, values in layers.items():
        if labelmap.GetNumberOfPoints() == 0:
            continue
        layer = sample_labelmap(image, volume, segmentation, labelmap)
        for value in values:
            name = names[value - 1]
            mask = layer == segments[folded(name)].GetLabelValue()
            other = labels[mask].max(initial=0)
            if other:
                msg = (
                    f"{_named(volume, segmentation)} has voxels that belong to both '{names[other - 1]}' and '{name}', and a network learns one "
                    "label for each; remove the overlap in the Segment Editor."
                )
                raise InputError(msg)
            labels[mask] = value
    return labels


def _entry(value: int, segment: slicer.vtkSegment) -> dict[str, Any]:
    color = [round(255 * part) for part in segment.GetColor()]
    return {"value": value, "name": segment.GetName().strip(), "color": color, "terminology": _terminology(segment)}


def _terminology(segment: slicer.vtkSegment) -> dict[str, dict[str, str]]:
    """The terms in the segment's tag `TerminologyEntry`; those of `Tissue` if it has none."""
    text = vtk.mutable("")
    segment.GetTag(segment.GetTerminologyEntryTagName(), text)
    parts = [part.split("^") for part in str(text).split("~")[1:4]]
    codes = {
        key: dict(zip(("scheme", "value", "meaning"), part))
        for key, part in zip(("category", "type", "modifier"), parts)
        if len(part) == 3 and all(part)
    }
    return codes if {"category", "type"} <= codes.keys() else {"category": TISSUE, "type": TISSUE}


def _named(volume: slicer.vtkMRMLScalarVolumeNode, segmentation: Labels) -> str:
    return f"{segmentation.GetName()} of {volume.GetName()}"
