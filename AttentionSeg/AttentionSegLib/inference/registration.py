"""Affine registration of a template to a scan: a search for initial poses, then gradient descent by SimpleITK from the best of them.

Everything is computed in one thread, so that a scan gives the same numbers in every run and on every computer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import SimpleITK

from ..files.itk import quiet
from ..image import Image, box_corners
from .pose_search import Lookup, Pose, best_poses

# RAS and the LPS of ITK differ in the signs of the first two coordinates.
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
# Working spacings in mm: of descent, and of search and first descent.
FINE, COARSE = 2.0, 4.0
# A rim around the template's tissue is compared too, to locate the edge of the tissue.
RIM_MM = 8.0
# Spacing in mm of the template's points that the search compares.
POINTS_MM = 14.0
STARTS = 3
# Quantiles of the intensities above the lowest, to which all are clipped.
PERCENTILES = (1.0, 99.5)
# ITK's smoothing needs this many voxels along every axis.
LEAST_VOXELS = 4
# Share of the whole that the search takes, roughly; the descents after it take about the same time each.
SEARCH, DESCENTS = 0.35, STARTS + 3

OnStep = Callable[[float], None]


@dataclass(frozen=True, eq=False)
class Alignment:
    """The registration of a template to a scan.

    Attributes:
        matrix: affine, 4x4, RAS mm of the template to RAS mm of the scan, fitted to what lies around the points of interest.
        whole: the same, fitted to the whole template.
        values: the scan on the template's grid by `matrix`, [I, J, K] float32, NaN beyond the scan.
        tissue, surrounded: the template's tissue without its holes, and with a rim around it, [I, J, K] bool.
    """

    matrix: np.ndarray
    whole: np.ndarray
    values: np.ndarray
    tissue: np.ndarray
    surrounded: np.ndarray


class Descent(NamedTuple):
    """A gradient descent: factor by which images are shrunk, and their blur in mm; number of steps, from `largest` down to `smallest` mm."""

    shrink: int
    steps: int
    largest: float
    smallest: float


def align(template: Image, scan: Image, points: Sequence[Sequence[float]], radius: float, on_step: OnStep) -> Alignment | None:
    """Register a template to the first channel of a scan: the affine map with the largest correlation in the tissue and a rim around it.

    Args:
        template: one channel, 0 outside the tissue, of about the contrast of the scan.
        scan: in any orientation, turned by up to about 30 degrees about each axis.
        points: in the template, RAS mm.
        radius: in mm; the last step fits only the voxels within it around the points.
        on_step: called after each step with the fraction done, 0..1; an exception that it raises ends the registration.

    Returns:
        The best alignment, however good; None if the scan contains too little of the template to compare.
    """
    fine = _windowed(_coarser(_to_itk(scan), FINE))
    coarse = _coarser(fine, COARSE)
    if min(coarse.GetSize()) < LEAST_VOXELS:
        return None
    tissue = SimpleITK.Cast(_to_itk(template), SimpleITK.sitkFloat32)
    closed = SimpleITK.BinaryMorphologicalClosing(tissue > 0, [3] * 3)
    mask = SimpleITK.BinaryDilate(closed, np.rint(RIM_MM / template.spacing).astype(int).tolist())
    around = _around(mask, template, points, radius)
    starts, score = _starts(tissue, mask, coarse, lambda fraction: on_step(SEARCH * fraction))
    if not starts:
        return None
    for number, start in enumerate(starts):
        _descend(tissue, coarse, mask, start, Descent(shrink=4, steps=60, largest=4.0, smallest=0.2))
        on_step(SEARCH + (1 - SEARCH) * (number + 1) / DESCENTS)
    transform = _as_affine(max(starts, key=score))
    matrices = []
    for number, (where, shrink, steps, largest) in enumerate(((mask, 3, 40, 2.0), (mask, 2, 30, 2.0), (around, 2, 20, 1.0))):
        _descend(tissue, fine, where, transform, Descent(shrink, steps, largest, smallest=0.1))
        matrices.append(LPS @ _matrix(transform) @ LPS)
        on_step(SEARCH + (1 - SEARCH) * (STARTS + number + 1) / DESCENTS)
    values = SimpleITK.Resample(fine, tissue, transform, SimpleITK.sitkLinear, float("nan"), SimpleITK.sitkFloat32)
    return Alignment(matrices[-1], matrices[-2], _voxels(values), _voxels(closed) > 0, _voxels(mask) > 0)


def _starts(
    tissue: SimpleITK.Image, mask: SimpleITK.Image, scan: SimpleITK.Image, on_step: OnStep
) -> tuple[list[SimpleITK.Similarity3DTransform], Callable[[SimpleITK.Transform], float]]:
    """The initial transforms, best first, and the function that scores a transform."""
    inside = np.argwhere(_voxels(mask) > 0)
    # Every other point of a lattice, like the black squares of a chessboard, samples a volume more evenly than all points of a wider one.
    step = np.maximum(np.rint(POINTS_MM / np.cbrt(2) / np.array(tissue.GetSpacing())).astype(int), 1)
    index = inside[(inside % step == step // 2).all(1) & ((inside // step).sum(1) % 2 == 0)]
    points = _apply(_index_to_physical(tissue), index)
    values = _voxels(SimpleITK.SmoothingRecursiveGaussian(tissue, COARSE))[tuple(index.T)]
    center = points.mean(0)
    to_physical = _index_to_physical(scan)
    lookup = Lookup(_voxels(SimpleITK.SmoothingRecursiveGaussian(scan, COARSE)), np.linalg.inv(to_physical))
    corners = _apply(to_physical, box_corners(np.zeros(3), np.array(scan.GetSize()) - 1))
    poses = best_poses(lookup, corners, points - center, values, STARTS, on_step)

    def score(transform: SimpleITK.Transform) -> float:
        return float(lookup.scores(np.zeros((1, 3)), _apply(_matrix(transform), points), values)[0])

    return [_similarity(pose, center) for pose in poses], score


def _descend(fixed: SimpleITK.Image, moving: SimpleITK.Image, mask: SimpleITK.Image, transform: SimpleITK.Transform, descent: Descent) -> None:
    """Optimize a transform in place."""
    method = SimpleITK.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)
    method.SetMetricAsCorrelation()
    method.SetMetricFixedMask(mask)
    method.SetInterpolator(SimpleITK.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(descent.largest, descent.smallest, descent.steps, gradientMagnitudeTolerance=1e-8)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([descent.shrink])
    method.SetSmoothingSigmasPerLevel([float(descent.shrink)])
    method.SetInitialTransform(transform, inPlace=True)
    # If the mask does not overlap the scan, ITK warns and does not change the transform.
    with quiet():
        method.Execute(fixed, moving)


def _around(mask: SimpleITK.Image, template: Image, points: Sequence[Sequence[float]], radius: float) -> SimpleITK.Image:
    """The part of a mask on the template's grid within `radius` of points, RAS mm."""
    index = np.argwhere(_voxels(mask) > 0)
    distances = np.linalg.norm(template.to_ras(index)[:, None] - np.asarray(points, dtype=float), axis=-1)
    near = np.zeros(template.shape, np.uint8)
    near[tuple(index[(distances <= radius).any(1)].T)] = 1
    result = SimpleITK.GetImageFromArray(near.transpose(2, 1, 0))
    result.CopyInformation(mask)
    return result


def _to_itk(image: Image) -> SimpleITK.Image:
    voxels = image.voxels[0]
    if voxels.dtype not in (np.uint8, np.int8, np.uint16, np.int16, np.float32):
        voxels = voxels.astype(np.float32)
    result = SimpleITK.GetImageFromArray(np.ascontiguousarray(voxels.transpose(2, 1, 0)))
    affine = LPS @ image.affine
    result.SetSpacing(image.spacing.tolist())
    result.SetOrigin(affine[:3, 3].tolist())
    result.SetDirection((affine[:3, :3] / image.spacing).ravel().tolist())
    return result


def _voxels(image: SimpleITK.Image) -> np.ndarray:
    """[I, J, K]"""
    return SimpleITK.GetArrayFromImage(image).transpose(2, 1, 0)


def _coarser(image: SimpleITK.Image, spacing: float) -> SimpleITK.Image:
    """Means over blocks of voxels, so that voxels are about `spacing` mm large."""
    factors = [max(1, min(int(spacing / s + 0.25), size // LEAST_VOXELS)) for s, size in zip(image.GetSpacing(), image.GetSize())]
    return SimpleITK.BinShrink(image, factors) if max(factors) > 1 else image


def _windowed(image: SimpleITK.Image) -> SimpleITK.Image:
    """The image clipped to its quantiles and scaled to 0..1, single precision."""
    voxels = SimpleITK.GetArrayViewFromImage(image)
    some = voxels.ravel()[:: max(1, voxels.size // 1_000_000)]
    above = some[some > some.min()]
    low, high = np.percentile(above, PERCENTILES) if above.size else (0.0, 1.0)
    high = high if high > low else low + 1
    return SimpleITK.IntensityWindowing(SimpleITK.Cast(image, SimpleITK.sitkFloat32), float(low), float(high), 0.0, 1.0)


def _similarity(pose: Pose, center: np.ndarray) -> SimpleITK.Similarity3DTransform:
    transform = SimpleITK.Similarity3DTransform()
    transform.SetCenter(center.tolist())
    transform.SetTranslation((pose.place - center).tolist())
    transform.SetMatrix(pose.linear.ravel().tolist(), 1e-6)
    return transform


def _as_affine(transform: SimpleITK.Similarity3DTransform) -> SimpleITK.AffineTransform:
    result = SimpleITK.AffineTransform(3)
    result.SetMatrix(transform.GetMatrix())
    result.SetTranslation(transform.GetTranslation())
    result.SetCenter(transform.GetCenter())
    return result


def _index_to_physical(image: SimpleITK.Image) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
    matrix[:3, 3] = image.GetOrigin()
    return matrix


def _matrix(transform: SimpleITK.Transform) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, 3] = transform.TransformPoint((0.0, 0.0, 0.0))
    for axis, unit in enumerate(np.eye(3).tolist()):
        matrix[:3, axis] = np.array(transform.TransformPoint(unit)) - matrix[:3, 3]
    return matrix


def _apply(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ matrix[:3, :3].T + matrix[:3, 3]
