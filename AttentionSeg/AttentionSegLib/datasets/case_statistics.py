"""Statistics of one labeled scan: geometry, intensities, labels."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

from ..boxes import bounding_box, label_boxes
from ..image import Image
from ..inference.fit import look_of

POSITIVE, NEGATIVE = "RAS", "LPI"
# Number of voxels of a channel, evenly spread, that percentiles are computed from.
SAMPLED = 1_000_000
# Number of labeled voxels per case, evenly spread, that the statistics over all cases are computed from.
FOREGROUND_SAMPLED = 5000
FULL_CONNECTIVITY = np.ones((3, 3, 3), bool)


@dataclass(frozen=True)
class IntensityStatistics:
    """Statistics of one channel, in the unit of the scan.

    `share_at_minimum` is the fraction of voxels with exactly the lowest intensity; `look` the estimated unit or range (see `inference.fit`).
    """

    minimum: float
    percentile_0_5: float
    median: float
    percentile_99_5: float
    maximum: float
    share_at_minimum: float
    look: str = ""


@dataclass(frozen=True)
class LabelStatistics:
    """Statistics of one label of a case.

    Attributes:
        voxels: number of voxels, at least 1.
        box_mm: size of its bounding box, along right, anterior and superior.
        center_mm: its center of mass relative to the center of the scan, RAS.
        components: number of 26-connected components.
        hole_voxels: number of background voxels that it encloses.
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
    """Statistics of one case; triples are along right, anterior and superior, by the voxel axis nearest to each.

    Attributes:
        id, role: of the case.
        shape: voxels.
        spacing_mm: of the voxels.
        orientation: of the axes in the file, such as LPS.
        oblique_degrees: largest angle between a voxel axis and the nearest axis of the patient.
        intensities: one per channel.
        labels: by value, those that occur in the case.
        labels_box_mm: size of the bounding box of all labels; None without labels.
        fingerprint: checksum of the voxels of the scan.
        spacing_known: False for a 2D image file without spacing, whose pixels are assumed to be 1 mm wide.
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
        right, anterior, superior = (n * s for n, s in zip(self.shape, self.spacing_mm))
        return right, anterior, superior


def measure_case(case_id: str, role: str, image: Image, labels: np.ndarray) -> CaseStatistics:
    """Measure a case.

    Args:
        case_id, role: of the case.
        image: the scan.
        labels: label values [I, J, K], 0 for background.
    """
    order, orientation, oblique = _orientation(image)
    everything = bounding_box(labels)
    right, anterior, superior = (image.shape[axis] for axis in order)
    return CaseStatistics(
        case_id,
        role,
        (right, anterior, superior),
        _rounded(image.spacing[order]),
        orientation,
        oblique,
        tuple(_intensities(voxels) for voxels in image.voxels),
        {value: _label(image, labels, value, window, order) for value, window in label_boxes(labels).items()},
        None if everything is None else _box(everything, image, order),
        hashlib.sha256(np.ascontiguousarray(image.voxels).data).hexdigest(),
        image.spacing_known,
    )


def foreground_intensities(image: Image, labels: np.ndarray) -> np.ndarray:
    """Intensities of labeled voxels, at most `FOREGROUND_SAMPLED`, evenly spread: [C, N] float64."""
    found = np.flatnonzero(labels)
    chosen = found[np.linspace(0, len(found) - 1, min(len(found), FOREGROUND_SAMPLED)).astype(int)]
    return image.voxels[(slice(None), *np.unravel_index(chosen, labels.shape))].astype(np.float64)


def _orientation(image: Image) -> tuple[list[int], str, float]:
    """The voxel axes nearest to right, anterior and superior; the direction letters of the voxel axes; the largest angle between both."""
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
    at_minimum = float((voxels == minimum).mean())
    return IntensityStatistics(float(minimum), low, middle, high, float(voxels.max()), at_minimum, look_of(voxels))


def _label(image: Image, labels: np.ndarray, value: int, window: tuple[slice, ...], order: Sequence[int]) -> LabelStatistics:
    part = labels[window]
    mask = part == value
    center = image.to_ras(np.array([side.start for side in window]) + ndimage.center_of_mass(mask))
    middle = image.to_ras((np.array(image.shape) - 1) / 2)
    # 6-connected background with a margin, as in the filling of holes: the component of the margin is outside the label, the others are holes.
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


def _rounded(numbers: np.ndarray) -> tuple[float, float, float]:
    """Three numbers rounded to 1e-4 mm, because headers store float32."""
    right, anterior, superior = (round(float(number), 4) for number in numbers)
    return right, anterior, superior
