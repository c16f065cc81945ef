"""The image that all parts of the library pass around: voxels and their position in the patient."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from typing import NamedTuple, Union

import numpy as np

from .errors import InputError

# Lengths along the axes, or sizes.
Numbers = Union[Sequence[float], np.ndarray]

SHEAR_TOLERANCE = 1e-3
REPAIR = "repair the header of the file"
# RAS is the space here and in Slicer, LPS that of ITK, DICOM and NRRD.
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


class Note(NamedTuple):
    """A tolerated deviation of a file: its kind, worded the same for every file, its size in this file, whether it is told of all files or none."""

    what: str
    detail: str = ""
    of_all: bool = False


NO_SPACING = Note("The size of the pixels is not known and was assumed to be 1 mm")
# The convention of ITK and Slicer.
NO_ORIENTATION = Note("The header states no orientation, so the axes were assumed to point to the left, posterior and superior")


@dataclass(frozen=True, eq=False)
class Image:
    """Voxels and their position in the patient.

    Args:
        voxels: array of shape [C, I, J, K].
        affine: 4x4 matrix from voxel indices (I, J, K) to RAS in mm, float64. Column lengths are the spacing.
        name: of the image in messages.
        notes: what was tolerated or assumed when the image was read.
        spacing_known: False if the file does not state the voxel size, as for a photograph; the affine then has 1 mm.
        outside: bool [C, I, J, K], voxels without data, such as masked ones, which are treated like those beyond the image; None if there are none.
        modalities: of each channel by its DICOM header; None for a channel without one, and empty if all are without.

    Raises:
        InputError: if the voxels are not [C, I, J, K], or the affine is not a finite, invertible, shear-free 4x4 matrix.
    """

    voxels: np.ndarray
    affine: np.ndarray
    name: str = "image"
    notes: tuple[Note, ...] = ()
    spacing_known: bool = True
    outside: np.ndarray | None = None
    modalities: tuple[str | None, ...] = ()

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
    def nearest_axes(self) -> list[int]:
        """The voxel axes nearest to right, anterior and superior, each a different one."""
        cosines = np.abs(self.affine[:3, :3] / self.spacing)
        return list(max(permutations(range(3)), key=lambda order: cosines[range(3), order].sum()))

    @property
    def is_slice(self) -> bool:
        """Whether it is one voxel thick along an axis."""
        return min(self.shape) == 1

    @property
    def voxel_volume(self) -> float:
        """Volume of one voxel in mm^3."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    @property
    def remarks(self) -> list[str]:
        """The notes as sentences."""
        return [f"{self.name}: {note.what}{f' ({note.detail})' if note.detail else ''}." for note in self.notes]

    @property
    def pixel_area(self) -> float:
        """Area of one pixel of a slice in mm^2."""
        thin = self.shape.index(1)
        return float(np.delete(self.spacing, thin).prod())

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


def without_nan(image: Image) -> Image:
    """The image with NaN, as written around masked scans, replaced by the lowest number of its channel and marked as `outside`.

    An image with a channel of NaN only is not changed.
    """
    outside = np.isnan(image.voxels) if image.voxels.dtype.kind == "f" else None
    if outside is None or not outside.any() or outside.all(axis=(1, 2, 3)).any():
        return image
    lowest = np.nanmin(image.voxels, axis=(1, 2, 3), keepdims=True)
    share = f"{np.count_nonzero(outside)} voxels, {100 * outside.mean():.3g} %"
    note = Note("Voxels that are not numbers (NaN) are treated as outside of the scan", share)
    return replace(image, voxels=np.where(outside, lowest, image.voxels), notes=(*image.notes, note), outside=outside)


def box_corners(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The eight corners [8, 3] of the axis-aligned box from `low` to `high`."""
    ends = np.stack([low, high])
    return np.array([[ends[i, 0], ends[j, 1], ends[k, 2]] for i in (0, 1) for j in (0, 1) for k in (0, 1)])


def check_affine(affine: np.ndarray, name: str) -> None:
    """Raise InputError unless `affine` maps voxels to RAS mm by rotation, reflection and positive spacing alone."""
    fault = affine_fault(affine)
    if fault is not None:
        msg = f"{name} {fault[0]}; {fault[1]}."
        raise InputError(msg)


def affine_fault(affine: np.ndarray) -> tuple[str, str] | None:
    """The fault of an affine (see `check_affine`), as the rest of a sentence, and what to do; None if it has none."""
    if affine.shape != (4, 4):
        return f"has an affine of shape {affine.shape}", "a 4x4 matrix from voxel indices to RAS mm is needed"
    if not np.isfinite(affine).all():
        return "has an affine with NaN or infinite numbers", REPAIR
    if not np.allclose(affine[3], (0, 0, 0, 1)):
        return f"has an affine whose last row is {affine[3].tolist()}, not 0 0 0 1", REPAIR
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    if (spacing < 1e-6).any():
        return f"has a voxel spacing of {' x '.join(f'{s:g}' for s in spacing)} mm", "every axis needs a positive spacing"
    directions = affine[:3, :3] / spacing
    if abs(np.linalg.det(directions)) < 1e-3:
        return "has a singular affine (two voxel axes point the same way)", REPAIR
    cosines = np.abs(directions.T @ directions - np.eye(3)).max()
    if cosines > SHEAR_TOLERANCE:
        degrees = np.degrees(np.arccos(np.clip(cosines, 0, 1)))
        return f"is sheared (two voxel axes meet at {degrees:.1f} degrees, not 90)", "resample it to a regular grid first"
    return None
