"""Random spatial deformation of patches, sampled from the whole scan in one interpolation, so that corners are not empty inside the scan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from monai.transforms.utils import create_rotate
from torch import Tensor

from ..image import Numbers
from .augmentation import Strength

# An axis with fewer voxels than the longest one by this factor is coarse: patches are neither rotated out of its slices nor scaled along it.
COARSE = 3
CONTROL_POINTS = 5
# Outside of a volume: 0, or its mirror image.
Beyond = Literal["constant", "reflect"]


@dataclass(frozen=True, eq=False)
class Deformation:
    """Mapping from the voxels of a patch to its scan.

    Attributes:
        matrix: [3, 3], from offsets in the patch to offsets in the scan, both in voxels from the center of the patch.
        shifts: [3, *patch], added to these offsets, in voxels of the scan.
    """

    matrix: np.ndarray
    shifts: Tensor


def draw_deformation(strength: Strength, patch: Sequence[int], spacing: Sequence[float], rng: np.random.Generator) -> Deformation | None:
    """Draw a random deformation; None if none of the changes is drawn.

    Args:
        strength: probabilities and ranges.
        patch: voxels.
        spacing: of the voxels in mm; patches are rotated in mm.
        rng: random numbers.
    """
    free = np.multiply(patch, COARSE) >= max(patch)
    angles, factors, shift = np.zeros(3), np.ones(3), 0.0
    if rng.random() < strength.rotation[0]:
        turns = [free[:axis].all() and free[axis + 1 :].all() for axis in range(3)]
        angles = np.radians(rng.uniform(-strength.rotation[1], strength.rotation[1], 3)) * turns
    if rng.random() < strength.scaling[0]:
        _, smallest, largest = strength.scaling
        factors[free] = rng.uniform(smallest, 1) if rng.random() < 0.5 else rng.uniform(1, largest)
    if rng.random() < strength.elastic[0]:
        shift = strength.elastic[1]
    if not angles.any() and (factors == 1).all() and not shift:
        return None
    rotation = np.asarray(create_rotate(3, angles.tolist()))[:3, :3]
    matrix = rotation * spacing * factors / np.reshape(spacing, (3, 1))
    distance = np.divide(patch, CONTROL_POINTS - 1) * free
    control = rng.uniform(-shift, shift, (3, *[CONTROL_POINTS] * 3)) * distance.reshape(3, 1, 1, 1)
    shifts = F.interpolate(torch.from_numpy(control)[None].float(), tuple(patch), mode="trilinear", align_corners=True)[0]
    return Deformation(matrix, shifts)


def take_patch(
    volume: np.ndarray, start: Numbers, patch: Sequence[int], deformation: Deformation | None, mode: str, beyond: Beyond = "constant"
) -> Tensor:
    """Sample a patch of a volume.

    Args:
        volume: [C, I, J, K], which may be mapped from a file.
        start: the first voxel of the patch without deformation.
        patch: voxels.
        deformation: of the patch about its center.
        mode: `bilinear` or `nearest`.
        beyond: values outside the volume: 0 (`constant`) or its mirror image (`reflect`).

    Returns:
        [C, *patch] float32.
    """
    if deformation is None:
        return _box(volume, np.asarray(start), np.asarray(patch), beyond)
    offsets = torch.meshgrid(*(torch.arange(size) - (size - 1) / 2 for size in patch), indexing="ij")
    middle = np.add(start, np.subtract(patch, 1) / 2)
    points = torch.einsum("ab,bijk->aijk", torch.from_numpy(deformation.matrix).float(), torch.stack(offsets))
    points += deformation.shifts + torch.from_numpy(middle).float().view(3, 1, 1, 1)
    flat = points.flatten(1)
    low = np.floor(flat.amin(1).numpy()).astype(int)
    size = np.ceil(flat.amax(1).numpy()).astype(int) + 2 - low
    # grid_sample expects the last axis first, scaled to -1..1 between the centers of the outer voxels.
    scaled = (points - torch.from_numpy(low).view(3, 1, 1, 1)) * torch.from_numpy(2 / (size - 1)).float().view(3, 1, 1, 1) - 1
    grid = scaled.flip(0).movedim(0, -1)
    return F.grid_sample(_box(volume, low, size, beyond)[None], grid[None], mode=mode, align_corners=True)[0]


def _box(volume: np.ndarray, start: np.ndarray, size: np.ndarray, beyond: Beyond) -> Tensor:
    shape = np.array(volume.shape[1:])
    low, high = np.clip(start, 0, shape), np.clip(start + size, 0, shape)
    part = volume[(slice(None), *(slice(a, b) for a, b in zip(low, high)))].astype(np.float32)
    around = np.stack([low - start, start + size - high], 1)
    return torch.from_numpy(np.pad(part, [(0, 0), *around.tolist()], mode=beyond))
