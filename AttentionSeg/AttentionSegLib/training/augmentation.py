"""Data augmentation: strengths of all random changes of a patch, and those of its intensities."""

from __future__ import annotations

from dataclasses import dataclass

from monai import transforms as mt

UPSAMPLING = {2: "bilinear", 3: "trilinear"}


@dataclass(frozen=True)
class Strength:
    """Probabilities (the first number of each) and ranges of the random changes of a patch.

    Attributes:
        rotation: largest angle about each axis, in degrees.
        scaling: smallest and largest factor on the extent of a patch along each axis.
        elastic: largest shift of a control point, as a fraction of the distance between two.
        noise: largest standard deviation of Gaussian noise.
        blur: smallest and largest sigma of a Gaussian, in voxels.
        brightness: largest relative change of all intensities by a factor.
        shift: largest offset of all intensities, positive or negative.
        contrast: largest relative change of the distance of intensities from their mean.
        bias_field: largest coefficient of a smooth field that multiplies intensities.
        low_resolution: smallest factor on the number of voxels along each axis, before the patch is resampled to its size.
        gamma: smallest and largest exponent of the intensities, scaled to 0..1.
    """

    rotation: tuple[float, float]
    scaling: tuple[float, float, float]
    elastic: tuple[float, float]
    noise: tuple[float, float]
    blur: tuple[float, float, float]
    brightness: tuple[float, float]
    shift: tuple[float, float]
    contrast: tuple[float, float]
    bias_field: tuple[float, float]
    low_resolution: tuple[float, float]
    gamma: tuple[float, float, float]


STRENGTHS = {
    "light": Strength(
        rotation=(0.2, 15),
        scaling=(0.2, 0.85, 1.2),
        elastic=(0, 0),
        noise=(0.1, 0.1),
        blur=(0.1, 0.5, 1.0),
        brightness=(0.15, 0.15),
        shift=(0, 0),
        contrast=(0.15, 0.15),
        bias_field=(0, 0),
        low_resolution=(0, 1),
        gamma=(0.15, 0.8, 1.25),
    ),
    # Isensee et al. 2021, nnU-Net, with mild elastic deformation and bias fields.
    "default": Strength(
        rotation=(0.2, 30),
        scaling=(0.2, 0.7, 1.4),
        elastic=(0.1, 0.1),
        noise=(0.1, 0.3),
        blur=(0.2, 0.5, 1.0),
        brightness=(0.15, 0.25),
        shift=(0, 0),
        contrast=(0.15, 0.25),
        bias_field=(0.1, 0.2),
        low_resolution=(0.25, 0.5),
        gamma=(0.3, 0.7, 1.5),
    ),
    # For few scans, or scans of many kinds: every patch is rotated and scaled.
    "strong": Strength(
        rotation=(1, 15),
        scaling=(1, 0.85, 1.15),
        elastic=(0.2, 0.1),
        noise=(0.3, 0.15),
        blur=(0.2, 0.4, 1.0),
        brightness=(0.5, 0.2),
        shift=(0.5, 0.2),
        contrast=(0.15, 0.25),
        bias_field=(0.15, 0.2),
        low_resolution=(0.15, 0.5),
        gamma=(0.3, 0.7, 1.5),
    ),
}


def intensity_changes(strength: Strength, spatial_dims: int = 3) -> mt.Compose:
    """The intensity changes for a patch [C, *S] in 2D or 3D; seeded by `set_random_state`."""
    by, sigma = strength, strength.blur[1:]
    return mt.Compose(
        [
            mt.RandGaussianNoise(by.noise[0], std=by.noise[1]),
            mt.RandGaussianSmooth(sigma, sigma, sigma, by.blur[0]),
            mt.RandScaleIntensity(by.brightness[1], by.brightness[0]),
            mt.RandShiftIntensity(by.shift[1], prob=by.shift[0]),
            mt.RandScaleIntensityFixedMean(by.contrast[0], by.contrast[1], preserve_range=True),
            mt.RandBiasField(coeff_range=(-by.bias_field[1], by.bias_field[1]), prob=by.bias_field[0]),
            # Plain "nearest" would shift the image by up to a voxel relative to its label.
            mt.RandSimulateLowResolution(by.low_resolution[0], "nearest-exact", UPSAMPLING[spatial_dims], (by.low_resolution[1], 1)),
            mt.RandAdjustContrast(by.gamma[0], by.gamma[1:], retain_stats=True),
        ]
    )
