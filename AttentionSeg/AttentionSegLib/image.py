"""The image that all parts of the library pass around: voxels and their position in the patient."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from .errors import InputError

SHEAR_TOLERANCE = 1e-3
# RAS is the space here and in Slicer, LPS that of ITK, DICOM and NRRD.
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True, eq=False)
class Image:
    """Voxels and their position in the patient.

    Args:
        voxels: array of shape [C, I, J, K].
        affine: 4x4 matrix from voxel indices (I, J, K) to RAS in mm, float64. Column lengths are the spacing.
        name: of the image in messages.

    Raises:
        InputError: if the voxels are not [C, I, J, K], or the affine is not a finite, invertible, shear-free 4x4 matrix.
    """

    voxels: np.ndarray
    affine: np.ndarray
    name: str = "image"

    def __post_init__(self) -> None:
        if self.voxels.ndim != 4:
            msg = f"{self.name} has voxels of shape {self.voxels.shape}; give one 3D volume per channel as [C, I, J, K]."
            raise InputError(msg)
        affine = np.array(self.affine, dtype=np.float64)
        check_affine(affine, self.name)
        affine.setflags(write=False)
        object.__setattr__(self, "affine", affine)

    @property
    def channels(self) -> int:
        return self.voxels.shape[0]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along I, J and K."""
        return tuple(self.voxels.shape[1:])

    @property
    def spacing(self) -> np.ndarray:
        """Voxel size along I, J and K in mm."""
        return np.linalg.norm(self.affine[:3, :3], axis=0)

    @property
    def voxel_volume(self) -> float:
        """Volume of one voxel in mm^3."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    def to_ras(self, ijk: np.ndarray) -> np.ndarray:
        """Voxel indices [..., 3] to RAS mm [..., 3]."""
        return np.asarray(ijk, dtype=np.float64) @ self.affine[:3, :3].T + self.affine[:3, 3]

    def to_ijk(self, ras: np.ndarray) -> np.ndarray:
        """RAS mm [..., 3] to continuous voxel indices [..., 3]."""
        inverse = np.linalg.inv(self.affine)
        return np.asarray(ras, dtype=np.float64) @ inverse[:3, :3].T + inverse[:3, 3]

    def corners(self) -> np.ndarray:
        """The eight outer corners (voxel edges, not centers) in RAS mm, [8, 3]."""
        return self.to_ras(box_corners(np.full(3, -0.5), np.array(self.shape) - 0.5))

    def digest(self) -> str:
        """A checksum of name, voxels and affine. Equal digests mean equal images; equal images may differ in it if their memory layouts differ."""
        order = [axis for axis in np.argsort(self.voxels.strides).tolist() if self.voxels.shape[axis] > 1]
        header = repr((self.name, self.voxels.dtype.str, self.voxels.shape, order, self.affine.tolist()))
        checksum = hashlib.blake2b(header.encode(), digest_size=16)
        checksum.update(self.voxels.ravel(order="K").data)
        return checksum.hexdigest()


def box_corners(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The eight corners [8, 3] of the axis-aligned box from `low` to `high`."""
    ends = np.stack([low, high])
    return np.array([[ends[i, 0], ends[j, 1], ends[k, 2]] for i in (0, 1) for j in (0, 1) for k in (0, 1)])


def check_affine(affine: np.ndarray, name: str) -> None:
    """Raise InputError unless `affine` maps voxels to RAS mm by rotation, reflection and positive spacing alone."""
    if affine.shape != (4, 4):
        msg = f"{name} has an affine of shape {affine.shape}; a 4x4 matrix from voxel indices to RAS mm is needed."
        raise InputError(msg)
    if not np.isfinite(affine).all():
        msg = f"{name} has an affine with NaN or infinite numbers; repair the header of the file."
        raise InputError(msg)
    if not np.allclose(affine[3], (0, 0, 0, 1)):
        msg = f"{name} has an affine whose last row is {affine[3].tolist()}, not 0 0 0 1; repair the header of the file."
        raise InputError(msg)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    if (spacing < 1e-6).any():
        msg = f"{name} has a voxel spacing of {' x '.join(f'{s:g}' for s in spacing)} mm; every axis needs a positive spacing."
        raise InputError(msg)
    directions = affine[:3, :3] / spacing
    if abs(np.linalg.det(directions)) < 1e-3:
        msg = f"{name} has a singular affine (two voxel axes point the same way); repair the header of the file."
        raise InputError(msg)
    cosines = directions.T @ directions - np.eye(3)
    if np.abs(cosines).max() > SHEAR_TOLERANCE:
        degrees = np.degrees(np.arccos(np.clip(np.abs(cosines).max(), 0, 1)))
        msg = f"{name} is sheared (two voxel axes meet at {degrees:.1f} degrees, not 90); resample it to a regular grid first."
        raise InputError(msg)
