"""Reading several scans of one patient as the channels of one image."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from ..image import Image, Note
from ..same_grid import place_on
from .own_files import PICTURE, own_file
from .scan import read_image
from .segments import read_segments

if TYPE_CHECKING:
    import SimpleITK

LEAST_COVERAGE = 0.9


def read_images(paths: Sequence[str | os.PathLike], regularize: bool = False) -> Image:
    """Read scans as channels on the grid of the first one.

    A scan whose voxels lie within 1e-3 mm of the first one's is not resampled; its axes are put in the order of the first. Any other is resampled by
    its position in the patient (linearly, float32); voxels outside it get its smallest value.

    Args:
        paths: the scans.
        regularize: see `read_image`.

    Returns:
        Voxels [C, I, J, K] in the common data type, with the affine and the name of the first scan.

    Raises:
        InputError: if there is no path, a scan cannot be read (see read_image) or is a segmentation of 3D Slicer or a result of AttentionSeg, or one
            covers less than 90 % of the first one's voxels.
    """
    if not paths:
        msg = "No scan was given; give one path per input channel of the model."
        raise InputError(msg)
    first = _read_scan(paths[0], regularize)
    if len(paths) == 1:
        return first
    channels, notes = [first], list(first.notes)
    for path in paths[1:]:
        other = _read_scan(path, regularize)
        channels.append(_on_grid(other, first))
        notes += [Note(note.what, ", ".join(filter(None, (Path(other.name).name, note.detail)))) for note in other.notes]
    outside = None
    if any(one.outside is not None for one in channels):
        outside = np.concatenate([np.zeros(one.voxels.shape, bool) if one.outside is None else one.outside for one in channels])
    said = tuple(modality for one in channels for modality in one.modalities or (None,) * one.channels)
    voxels = np.concatenate([one.voxels for one in channels])
    return replace(first, voxels=voxels, notes=tuple(notes), outside=outside, modalities=said if any(said) else ())


def _read_scan(path: str | os.PathLike, regularize: bool) -> Image:
    segments = read_segments(path)
    if segments:
        names = ", ".join(segment.name for segment in segments)
        msg = f"{path} is a segmentation ({names}) and no scan; give the scan that it was drawn on."
        raise InputError(msg)
    made = own_file(path)
    if made is not None and made.kind != PICTURE:
        msg = f"{path} is {made.title} and no scan; give the scan that it was made from."
        raise InputError(msg)
    return read_image(path, regularize)


def _on_grid(image: Image, grid: Image) -> Image:
    """An image [1, I, J, K] on the grid of another."""
    placement = place_on(image, grid)
    if placement is not None and placement.is_exact and placement.covers(image.shape, grid.shape):
        outside = None if image.outside is None else placement.rearrange(image.outside, grid.shape)
        return replace(image, voxels=placement.rearrange(image.voxels, grid.shape), affine=grid.affine, outside=outside)
    if image.channels > 1:
        msg = f"{image.name} is in colors, and its pixels lie elsewhere than those of {grid.name}; give colors on the same grid."
        raise InputError(msg)
    # Imported here because SimpleITK takes a while to import, and most images have one channel.
    import SimpleITK

    from .itk import array, to_itk

    reference = to_itk(grid)
    moving = to_itk(image)
    coverage = _coverage(moving, reference)
    if coverage < LEAST_COVERAGE:
        msg = (
            f"{image.name} covers only {100 * coverage:.0f} % of the voxels of {grid.name} (at least {100 * LEAST_COVERAGE:.0f} % are needed); "
            "register the scans, or give scans of the same part of the body."
        )
        raise InputError(msg)
    lowest, linear = float(image.voxels.min()), SimpleITK.sitkLinear
    voxels = array(SimpleITK.Resample(moving, reference, SimpleITK.Transform(), linear, lowest, SimpleITK.sitkFloat32))[None]
    outside = None
    if image.outside is not None:
        hidden = to_itk(replace(image, voxels=image.outside.astype(np.float32)))
        outside = array(SimpleITK.Resample(hidden, reference, SimpleITK.Transform(), linear, 1.0, SimpleITK.sitkFloat32))[None] > 0
    return replace(image, voxels=voxels, affine=grid.affine, outside=outside)


def _coverage(moving: SimpleITK.Image, reference: SimpleITK.Image) -> float:
    """Share of the voxels of `reference` that lie in `moving`."""
    import SimpleITK

    ones = SimpleITK.Image(moving.GetSize(), SimpleITK.sitkUInt8) + 1
    ones.CopyInformation(moving)
    inside = SimpleITK.Resample(ones, reference, SimpleITK.Transform(), SimpleITK.sitkNearestNeighbor, 0.0)
    return float(SimpleITK.GetArrayViewFromImage(inside).mean())
