"""Pairs of segments of two segmentation nodes, as masks on one grid, to compare."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import slicer

from ..errors import InputError
from ..image import box_corners
from ..written_names import folded
from .segment_voxels import SegmentVoxels, image_affine, in_space_of, moved, segment_voxels, shift
from .segmentations import BINARY_LABELMAP, REFERENCE_GEOMETRY
from .transforms import local_affine, transform_between

MOST_NAMES = 12


@dataclass(frozen=True, eq=False)
class SegmentPair:
    """A segment and its reference of the same name, copied from the scene; usable in any thread.

    Attributes:
        name: of the segment in the result.
        result, reference: their voxels, in one space.
        grid: 4x4 matrix from indices to RAS mm of that space, for the grid on which both are compared.
    """

    name: str
    result: SegmentVoxels
    reference: SegmentVoxels
    grid: np.ndarray

    @property
    def spacing(self) -> np.ndarray:
        """Voxel size of the grid in mm, [3]."""
        return np.linalg.norm(self.grid[:3, :3], axis=0)

    def masks(self) -> tuple[np.ndarray, np.ndarray]:
        """Both segments on the part of the grid that contains them, bool [I, J, K]; segments on another grid are sampled at the nearest voxel."""
        corners = [part.corners() for part in (self.result, self.reference) if not part.empty]
        if not corners:
            return np.zeros((1, 1, 1), bool), np.zeros((1, 1, 1), bool)
        indices = moved(np.linalg.inv(self.grid), np.concatenate(corners))
        first, last = np.floor(indices.min(0)).astype(int), np.ceil(indices.max(0)).astype(int)
        grid, shape = self.grid @ shift(first), last - first + 1
        return self.result.on_grid(grid, shape), self.reference.on_grid(grid, shape)


@dataclass(frozen=True, eq=False)
class SegmentPairs:
    """Input of a comparison.

    Attributes:
        pairs: segments that are in both, in the order of the result.
        only_in_result, only_in_reference: names of the others.
    """

    pairs: tuple[SegmentPair, ...]
    only_in_result: tuple[str, ...]
    only_in_reference: tuple[str, ...]


def read_segment_pairs(
    result: slicer.vtkMRMLSegmentationNode,
    reference: slicer.vtkMRMLSegmentationNode,
    volume: slicer.vtkMRMLScalarVolumeNode | None = None,
) -> SegmentPairs:
    """Copy the segments of two segmentations from the scene. Main thread only.

    Segments are matched by name, ignoring case and surrounding blanks. They are compared on the grid of the volume or, without one, on the voxels of
    the result (of the reference if a segment of the result is empty); the grid extends beyond its image, so that no segment is cut off. Parent
    transforms are applied. Each pair is compared on its own, so segments of one segmentation may overlap.

    Args:
        result, reference: segmentations made of voxels.
        volume: whose grid to compare on.

    Raises:
        InputError: if one is not a segmentation or not made of voxels, both are the same node, no name is in both, a common name occurs twice in
            one, the volume has no voxels, or the two are at different positions.
    """
    for node, what in ((result, "result"), (reference, "reference")):
        _check(node, what)
    if result is reference:
        msg = f"{result.GetName()} was given both as the result and as the reference; choose another segmentation as the reference."
        raise InputError(msg)
    if volume is not None and volume.GetImageData() is None:
        msg = f"{volume.GetName()} has no voxels, so there is no grid to compare on; choose another volume or none."
        raise InputError(msg)
    own, other = _by_key(result), _by_key(reference)
    common = [key for key in own if key in other]
    if not common:
        msg = (
            f"{result.GetName()} has the segments {_listed(own)}, and {reference.GetName()} has {_listed(other)}: no name is in both; "
            "give the same name to those that are the same structure."
        )
        raise InputError(msg)
    for node, segments in ((result, own), (reference, other)):
        for key in common:
            if len(segments[key]) > 1:
                name = segments[key][0].GetName().strip()
                msg = f"{node.GetName()} has {len(segments[key])} segments of the name '{name}'; rename all but one of them."
                raise InputError(msg)
    _check_place(result, reference)
    pairs = tuple(_pair(result, own[key][0], reference, other[key][0], volume) for key in common)
    return SegmentPairs(pairs, _names(own, common), _names(other, common))


def _check(node: slicer.vtkMRMLSegmentationNode | None, what: str) -> None:
    if node is None or not node.IsA("vtkMRMLSegmentationNode"):
        msg = f"The {what} is no segmentation; choose a segmentation for it."
        raise InputError(msg)
    inner = node.GetSegmentation()
    if inner.GetNumberOfSegments() == 0:
        msg = f"{node.GetName()} has no segments; choose a segmentation that has some as the {what}."
        raise InputError(msg)
    if not inner.ContainsRepresentation(BINARY_LABELMAP):
        msg = f"{node.GetName()} is not made of voxels; convert it to a binary labelmap in the module Segmentations."
        raise InputError(msg)


def _by_key(node: slicer.vtkMRMLSegmentationNode) -> dict[str, list[slicer.vtkSegment]]:
    inner = node.GetSegmentation()
    found: dict[str, list[slicer.vtkSegment]] = {}
    for index in range(inner.GetNumberOfSegments()):
        segment = inner.GetNthSegment(index)
        found.setdefault(folded(segment.GetName()), []).append(segment)
    return found


def _names(segments: dict[str, list[slicer.vtkSegment]], common: Iterable[str]) -> tuple[str, ...]:
    return tuple(segment.GetName().strip() for key, same in segments.items() if key not in common for segment in same)


def _listed(segments: dict[str, list[slicer.vtkSegment]]) -> str:
    # Quoted, because names of structures contain commas.
    names = [f"'{name}'" for name in _names(segments, ())]
    return ", ".join(names[:MOST_NAMES]) + (f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else "")


def _pair(
    result: slicer.vtkMRMLSegmentationNode,
    segment: slicer.vtkSegment,
    reference: slicer.vtkMRMLSegmentationNode,
    other: slicer.vtkSegment,
    volume: slicer.vtkMRMLScalarVolumeNode | None,
) -> SegmentPair:
    found, true = segment_voxels(segment), segment_voxels(other)
    space, grid = result, found.affine
    if volume is not None:
        space, grid = volume, local_affine(volume)
    elif found.empty:
        space, grid = reference, true.affine
    found, true = (in_space_of(part, node, space, grid) for part, node in ((found, result), (true, reference)))
    return SegmentPair(segment.GetName().strip(), found, true, grid)


def _check_place(result: slicer.vtkMRMLSegmentationNode, reference: slicer.vtkMRMLSegmentationNode) -> None:
    """Raise InputError if the images that two segmentations were drawn on do not overlap in world space."""
    place, other = _place(result), _place(reference)
    if place is None or other is None:
        return
    (low, high), (other_low, other_high) = place, other
    if (low > other_high).any() or (other_low > high).any():
        first, second = (", ".join(f"{axis} {a:.0f}..{b:.0f}" for axis, a, b in zip("RAS", *ends)) for ends in (place, other))
        msg = (
            f"{result.GetName()} ({first} mm) and {reference.GetName()} ({second} mm) are in different places; "
            "choose a segmentation of the same scan as the reference, or align the two by a transform."
        )
        raise InputError(msg)


def _place(node: slicer.vtkMRMLSegmentationNode) -> tuple[np.ndarray, np.ndarray] | None:
    """World bounds (RAS mm) of the image that a segmentation was drawn on and of its voxels; None if it has neither."""
    inner, images = node.GetSegmentation(), []
    geometry = inner.GetConversionParameter(REFERENCE_GEOMETRY)
    if geometry:
        image = slicer.vtkOrientedImageData()
        slicer.vtkSegmentationConverter.DeserializeImageGeometry(geometry, image, False)
        images.append(image)
    images += [inner.GetNthSegment(index).GetRepresentation(BINARY_LABELMAP) for index in range(inner.GetNumberOfSegments())]
    transform, corners = transform_between(node, None), []
    for image in images:
        ends = np.array((-1,) * 6 if image is None else image.GetExtent()).reshape(3, 2).T
        if (ends[0] <= ends[1]).all() and image is not None:
            corners += [transform.TransformPoint(*point) for point in moved(image_affine(image), box_corners(ends[0] - 0.5, ends[1] + 0.5))]
    return (np.min(corners, axis=0), np.max(corners, axis=0)) if corners else None
