"""What is measured of one labelled scan."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

from ..boxes import bounding_box, label_boxes
from ..image import Image

POSITIVE, NEGATIVE = "RAS", "LPI"
# Voxels of a channel, evenly spread, that percentiles are taken of.
SAMPLED = 1_000_000
# Labelled voxels of a case, evenly spread, that enter the statistics of all.
FOREGROUND_SAMPLED = 5000
FULL_CONNECTIVITY = np.ones((3, 3, 3), bool)


@dataclass(frozen=True)
class IntensityStatistics:
    """Of one channel of a case, in the unit of the scan; `share_at_minimum` is the share of voxels that have exactly the lowest intensity."""

    minimum: float
    percentile_0_5: float
    median: float
    percentile_99_5: float
    maximum: float
    share_at_minimum: float


@dataclass(frozen=True)
class LabelStatistics:
    """Of one label of a case.

    Attributes:
        voxels: how many there are, at least 1.
        box_mm: size of the smallest box around it, along right, anterior and superior.
        center_mm: its center of mass seen from the center of the scan, RAS.
        components: 26-connected parts.
        hole_voxels: background that it encloses.
        at_edge: whether it reaches the edge of the scan.
    """

    voxels: int
    box_mm: tuple[float, float, float]
    center_mm: tuple[float, float, float]
    components: int
    hole_voxels: int
    at_edge: bool


@dataclass(frozen=True)
class CaseStatistics:
    """Of one case; triples go along right, anterior and superior, by the voxel axis nearest to each.

    Attributes:
        id, role: of the case.
        shape: voxels.
        spacing_mm: of the voxels.
        orientation: where the axes point in the file, such as LPS.
        oblique_degrees: largest angle between an axis and the one of the patient nearest to it.
        intensities: one per channel.
        labels: by value, those that the case has.
        labels_box_mm: size of the smallest box around all labels; None without labels.
        fingerprint: check sum of the voxels of the scan.
        spacing_known: False for a picture, whose pixels are taken to be 1 mm wide.
    """

    id: str
    role: str
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    orientation: str
    oblique_degrees: float
    intensities: tuple[IntensityStatistics, ...]
    labels: dict[int, LabelStatistics]
    labels_box_mm: tuple[float, float, float] | None
    fingerprint: str
    spacing_known: bool = True

    @property
    def extent_mm(self) -> tuple[float, float, float]:
        return tuple(n * s for n, s in zip(self.shape, self.spacing_mm))


def measure_case(case_id: str, role: str, image: Image, labels: np.ndarray) -> CaseStatistics:
    """Measure a case.

    Args:
        case_id, role: of the case.
        image: the scan.
        labels: label values [I, J, K], 0 where there is no label.
    """
    order, orientation, oblique = _orientation(image)
    everything = bounding_box(labels)
    return CaseStatistics(
        case_id,
        role,
        tuple(image.shape[axis] for axis in order),
        _rounded(image.spacing[order]),
        orientation,
        oblique,
        tuple(_intensities(voxels) for voxels in image.voxels),
        {value: _label(image, labels, value, window, order) for value, window in label_boxes(labels).items()},
        None if everything is None else _box(everything, image, order),
        hashlib.sha256(np.ascontiguousarray(image.voxels)).hexdigest(),
        image.spacing_known,
    )


def foreground_intensities(image: Image, labels: np.ndarray) -> np.ndarray:
    """Intensities of labelled voxels, at most `FOREGROUND_SAMPLED`, evenly spread. [C, N] float64"""
    found = np.flatnonzero(labels)
    chosen = found[np.linspace(0, len(found) - 1, min(len(found), FOREGROUND_SAMPLED)).astype(int)]
    return image.voxels[(slice(None), *np.unravel_index(chosen, labels.shape))].astype(np.float64)


def _orientation(image: Image) -> tuple[list[int], str, float]:
    """The voxel axes nearest to right, anterior and superior; where each voxel axis points; the largest angle between these."""
    directions = image.affine[:3, :3] / image.spacing
    _, order = linear_sum_assignment(-np.abs(directions))
    along = directions[np.arange(3), order]
    letters = {axis: (POSITIVE if cosine > 0 else NEGATIVE)[ras] for ras, (axis, cosine) in enumerate(zip(order, along))}
    oblique = float(np.degrees(np.arccos(np.clip(np.abs(along).min(), 0, 1))))
    return order.tolist(), "".join(letters[axis] for axis in range(3)), round(oblique, 2)


def _intensities(voxels: np.ndarray) -> IntensityStatistics:
    sample = voxels.ravel(order="K")[:: max(1, voxels.size // SAMPLED)]
    low, middle, high = np.percentile(sample, (0.5, 50, 99.5)).tolist()
    minimum = voxels.min()
    return IntensityStatistics(float(minimum), low, middle, high, float(voxels.max()), float((voxels == minimum).mean()))


def _label(image: Image, labels: np.ndarray, value: int, window: tuple[slice, ...], order: Sequence[int]) -> LabelStatistics:
    part = labels[window]
    mask = part == value
    center = image.to_ras([side.start + c for side, c in zip(window, ndimage.center_of_mass(mask))])
    middle = image.to_ras((np.array(image.shape) - 1) / 2)
    # What is not the label, with a margin: the part that the margin belongs to lies around it, the others within. 6-connected, as holes are filled.
    beside, _ = ndimage.label(np.pad(~mask, 1, constant_values=True))
    enclosed = beside[1:-1, 1:-1, 1:-1] > 1
    return LabelStatistics(
        int(mask.sum()),
        _box(window, image, order),
        _rounded(center - middle),
        ndimage.label(mask, FULL_CONNECTIVITY)[1],
        int((enclosed & (part == 0)).sum()),
        any(size > 1 and (side.start == 0 or side.stop == size) for side, size in zip(window, image.shape)),
    )


def _box(window: tuple[slice, ...], image: Image, order: Sequence[int]) -> tuple[float, float, float]:
    size = np.array([side.stop - side.start for side in window]) * image.spacing
    return _rounded(size[order])


def _rounded(numbers: np.ndarray) -> tuple[float, ...]:
    """To 1e-4 mm: headers hold float32."""
    return tuple(round(float(number), 4) for number in numbers)
