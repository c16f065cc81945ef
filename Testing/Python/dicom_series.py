"""DICOM files as scanners write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, EnhancedMRImageStorage, ExplicitVRLittleEndian, generate_uid

AXIAL = ((1, 0, 0), (0, 1, 0))
OBLIQUE = ((0.9, 0.3, np.sqrt(0.1)), (-0.31622777, 0.94868330, 0.0))
SPACING = (0.8, 1.7)


def directions_of(name: str) -> np.ndarray:
    """Directions of columns and rows, LPS: [2, 3], exactly perpendicular."""
    first, second = np.array(OBLIQUE if name == "oblique" else AXIAL, dtype=float)
    first /= np.linalg.norm(first)
    second -= (second @ first) * first
    return np.stack([first, second / np.linalg.norm(second)])


def positions_of(count: int, directions: np.ndarray, gap: float = 2.5, start: tuple[float, float, float] = (-40.5, 12.25, 7.125)) -> np.ndarray:
    """Positions [count, 3] of the first pixels, LPS mm, along the slice normal."""
    return np.array(start) + np.arange(count)[:, None] * gap * np.cross(*directions)


def affine_of(positions: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """What the standard says where the pixels are (PS3.3 C.7.6.2.1.1), in RAS."""
    row_spacing, column_spacing = SPACING
    affine = np.eye(4)
    affine[:3, 0] = directions[0] * column_spacing
    affine[:3, 1] = directions[1] * row_spacing
    affine[:3, 2] = (positions[-1] - positions[0]) / (len(positions) - 1)
    affine[:3, 3] = positions[0]
    return np.diag([-1, -1, 1, 1]) @ affine


def write_slice(path: Path, pixels: np.ndarray, position: np.ndarray, directions: np.ndarray, **attributes: Any) -> None:
    """One slice [rows, columns]. `attributes` replaces or, with None, removes attributes."""
    dataset = _image(CTImageStorage, pixels)
    dataset.ImagePositionPatient = _decimals(position)
    dataset.ImageOrientationPatient = _decimals(directions.ravel())
    dataset.PixelSpacing = list(SPACING)
    _save(dataset, path, attributes)


def write_series(folder: Path, voxels: np.ndarray, positions: np.ndarray, directions: np.ndarray, **attributes: Any) -> list[Path]:
    """A series of voxels [columns, rows, slices] under shuffled file names, in the order of the slices."""
    folder.mkdir(parents=True, exist_ok=True)
    names = np.random.default_rng(4).permutation(voxels.shape[2])
    attributes = {"SeriesInstanceUID": generate_uid(), **attributes}
    paths = [folder / f"IM{name:04d}" for name in names]
    for k, path in enumerate(paths):
        write_slice(path, voxels[:, :, k].T, positions[k], directions, **attributes)
    return paths


def write_enhanced(path: Path, voxels: np.ndarray, positions: np.ndarray, directions: np.ndarray, slopes: list[float] | None = None) -> None:
    """A multi-frame file of voxels [columns, rows, frames], with the position of each frame in its functional group."""
    dataset = _image(EnhancedMRImageStorage, voxels.T)
    dataset.NumberOfFrames = voxels.shape[2]
    measures, plane, shared = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing = list(SPACING)
    plane.ImageOrientationPatient = _decimals(directions.ravel())
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = Sequence([measures]), Sequence([plane])
    frames = []
    for k, position in enumerate(positions):
        frame, place, values = Dataset(), Dataset(), Dataset()
        place.ImagePositionPatient = _decimals(position)
        frame.PlanePositionSequence = Sequence([place])
        if slopes is not None:
            values.RescaleSlope, values.RescaleIntercept, values.RescaleType = slopes[k], 0, "US"
            frame.PixelValueTransformationSequence = Sequence([values])
        frames.append(frame)
    dataset.SharedFunctionalGroupsSequence = Sequence([shared])
    dataset.PerFrameFunctionalGroupsSequence = Sequence(frames)
    _save(dataset, path, {})


def _image(sop_class: str, pixels: np.ndarray) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, generate_uid()
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = generate_uid(), generate_uid()
    dataset.Modality, dataset.PatientName, dataset.PatientID = "CT", "Secret^Patient", "Secret"
    dataset.Rows, dataset.Columns = pixels.shape[-2:]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 8 * pixels.dtype.itemsize
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.PixelData = np.ascontiguousarray(pixels).tobytes()
    return dataset


def _save(dataset: Dataset, path: Path, attributes: dict[str, Any]) -> None:
    for keyword, value in attributes.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    FileDataset(path, dataset, preamble=bytes(128), file_meta=meta, is_implicit_VR=False, is_little_endian=True).save_as(path)


def _decimals(numbers: np.ndarray) -> list[str]:
    return [f"{number:.10f}" for number in numbers]
