"""Where the hippocampi are in a head: known in MNI152 space, found by affine registration in any other scan."""

from __future__ import annotations

import numpy as np
import SimpleITK
from AttentionSegLib.image import Image
from AttentionSegLib.region import Region

# Centers of the hippocampi in MNI152 space, RAS mm.
CENTERS = {"right": (26.0, -24.0, -13.0), "left": (-26.0, -24.0, -13.0)}
LPS = np.array([-1.0, -1.0, 1.0])


def mni152_head() -> Image:
    """The MNI152 T1 template at 1 mm that comes with the package nilearn."""
    from nilearn.datasets import load_mni152_template

    template = load_mni152_template(resolution=1)
    return Image(np.asarray(template.dataobj, dtype=np.float32)[None], template.affine, "MNI152 T1")


def regions_in_template(size: tuple[float, float, float]) -> dict[str, Region]:
    """A region per side in MNI152 space."""
    return {side: Region(center, size) for side, center in CENTERS.items()}


def regions_in(scan: Image, size: tuple[float, float, float]) -> dict[str, Region]:
    """A region per side in a T1-weighted head, by affine registration of the MNI152 head to it (mutual information; about half a minute)."""
    template, head = (_coarse(image) for image in (mni152_head(), scan))
    starts = [SimpleITK.CenteredTransformInitializerFilter.GEOMETRY, SimpleITK.CenteredTransformInitializerFilter.MOMENTS]
    rigid = [_rigid(template, head, start) for start in starts]
    found = _affine(template, head, min(rigid, key=lambda result: result[1])[0])
    regions = {}
    for side, center in CENTERS.items():
        point = np.array(found.TransformPoint((np.array(center) * LPS).tolist())) * LPS
        regions[side] = Region(tuple(point), size)
    return regions


def _coarse(image: Image, spacing: float = 2.0) -> SimpleITK.Image:
    result = SimpleITK.GetImageFromArray(image.voxels[0].transpose(2, 1, 0).astype(np.float32))
    result.SetSpacing(image.spacing.tolist())
    result.SetOrigin((image.affine[:3, 3] * LPS).tolist())
    result.SetDirection((LPS[:, None] * image.affine[:3, :3] / image.spacing).ravel().tolist())
    steps = [max(1, round(spacing / s)) for s in image.spacing]
    return SimpleITK.BinShrink(result, steps)


def _rigid(fixed: SimpleITK.Image, moving: SimpleITK.Image, start: int) -> tuple[SimpleITK.Transform, float]:
    """The rigid transform from fixed to moving points, and the metric reached (lower is better)."""
    transform = SimpleITK.Euler3DTransform(SimpleITK.CenteredTransformInitializer(fixed, moving, SimpleITK.Euler3DTransform(), start))
    method = _method((4, 2))
    method.SetInitialTransform(transform, inPlace=True)
    method.Execute(fixed, moving)
    return transform, method.GetMetricValue()


def _affine(fixed: SimpleITK.Image, moving: SimpleITK.Image, rigid: SimpleITK.Transform) -> SimpleITK.Transform:
    transform = SimpleITK.AffineTransform(3)
    transform.SetCenter(fixed.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in fixed.GetSize()]))
    method = _method((2,))
    method.SetMovingInitialTransform(rigid)
    method.SetInitialTransform(transform, inPlace=True)
    method.Execute(fixed, moving)
    return SimpleITK.CompositeTransform([rigid, transform])


def _method(shrink: tuple[int, ...]) -> SimpleITK.ImageRegistrationMethod:
    method = SimpleITK.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(32)
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentage(0.3)
    method.SetInterpolator(SimpleITK.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(1.0, 1e-3, 100, gradientMagnitudeTolerance=1e-6)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel(shrink)
    method.SetSmoothingSigmasPerLevel(shrink)
    return method
