"""Reading of DICOM Segmentation objects as layers with named segments."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset

from ..errors import InputError
from ..image import LPS_TO_RAS, Image, check_affine
from .dicom_header import reading
from .listed_segment import Segment

SEGMENTATION_STORAGE = "1.2.840.10008.5.1.4.1.1.66.4"
# Tolerance of a frame's position, as a share of the distance between slices.
BESIDE = 0.1


def is_segmentation(path: Path) -> bool:
    """Whether a DICOM file is a Segmentation object. InputError if it is damaged."""
    with reading(path):
        return (
            str(pydicom.dcmread(path, specific_tags=["SOPClassUID"], stop_before_pixels=True, force=True).get("SOPClassUID")) == SEGMENTATION_STORAGE
        )


def read_dicom_segments(path: Path) -> tuple[Segment, ...]:
    """The segments of a Segmentation object, each in a layer of its own; empty for any other DICOM file. InputError if it is damaged."""
    with reading(path):
        header = pydicom.dcmread(path, specific_tags=["SOPClassUID", "SegmentSequence"], stop_before_pixels=True, force=True)
        if str(header.get("SOPClassUID")) != SEGMENTATION_STORAGE:
            return ()
        return tuple(Segment(str(item.get("SegmentLabel") or ""), 1, layer) for layer, item in enumerate(header.SegmentSequence))


def read_dicom_layers(path: Path) -> Image:
    """The segments of a Segmentation object as layers [L, I, J, K] uint8 of 0 and 1, from the first to the last slice that has a frame.

    Raises:
        InputError: if it is damaged, has no frames, is of the type LABELMAP, or its frames are no parallel slices of equal distance.
    """
    with reading(path):
        dataset = pydicom.dcmread(path, force=True)
        if dataset.get("SegmentationType") not in ("BINARY", "FRACTIONAL") or not dataset.get("PerFrameFunctionalGroupsSequence"):
            msg = f"{path} is a DICOM segmentation of a kind that is not supported or without frames; export it as .seg.nrrd."
            raise InputError(msg)
        frames = np.reshape(dataset.pixel_array, (-1, dataset.Rows, dataset.Columns))
        threshold = 1.0 if dataset.SegmentationType == "BINARY" else float(dataset.get("MaximumFractionalValue", 1)) / 2
        layer_of = {int(item.SegmentNumber): layer for layer, item in enumerate(dataset.SegmentSequence)}
        per_frame = dataset.PerFrameFunctionalGroupsSequence
        layer = [layer_of[int(frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber)] for frame in per_frame]
        slices, affine = _placed(dataset, path)
    check_affine(affine, str(path))
    voxels = np.zeros((len(layer_of), dataset.Columns, dataset.Rows, max(slices) + 1), np.uint8)
    for pixels, number, k in zip(frames, layer, slices):
        voxels[number, :, :, k] |= (pixels >= threshold).T
    return Image(voxels, affine, str(path))


def _placed(dataset: Dataset, path: Path) -> tuple[list[int], np.ndarray]:
    """The slice of each frame, and the matrix from column, row and slice to RAS mm."""
    shared = (dataset.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]

    def group(frame: Dataset, name: str) -> Dataset:
        return (frame.get(name) or shared[name].value)[0]

    frames = dataset.PerFrameFunctionalGroupsSequence
    directions = [np.array(group(frame, "PlaneOrientationSequence").ImageOrientationPatient, float).reshape(2, 3) for frame in frames]
    positions = np.array([group(frame, "PlanePositionSequence").ImagePositionPatient for frame in frames], float)
    measures = group(frames[0], "PixelMeasuresSequence")
    normal = np.cross(*directions[0])
    places = positions @ normal
    gaps = np.diff(np.unique(places.round(3)))
    step = float(measures.get("SpacingBetweenSlices") or (gaps.min() if gaps.size else measures.get("SliceThickness") or 1))
    slices = np.rint((places - places.min()) / step)
    beside = positions - positions[places.argmin()] - slices[:, None] * step * normal
    if np.abs(directions - directions[0]).max() > 1e-3 or np.abs(beside).max() > BESIDE * step:
        msg = f"The frames of {path} are no parallel slices of equal distance; export the segmentation as .seg.nrrd."
        raise InputError(msg)
    row_spacing, column_spacing = map(float, measures.PixelSpacing)
    affine = np.eye(4)
    affine[:3, :3] = np.stack([directions[0][0] * column_spacing, directions[0][1] * row_spacing, normal * step], axis=1)
    affine[:3, 3] = positions[places.argmin()]
    return slices.astype(int).tolist(), LPS_TO_RAS @ affine
