"""The header of a NIfTI-1 file, and the affine in it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from ..errors import InputError
from ..image import NO_ORIENTATION, Note, affine_fault, check_affine

_BYTE_ORDERS: tuple[Literal["<", ">"], ...] = ("<", ">")

HEADER = np.dtype(
    [
        ("sizeof_hdr", "i4"),
        ("unused", "S35"),
        ("dim_info", "u1"),
        ("dim", "i2", 8),
        ("intent", "f4", 3),
        ("intent_code", "i2"),
        ("datatype", "i2"),
        ("bitpix", "i2"),
        ("slice_start", "i2"),
        ("pixdim", "f4", 8),
        ("vox_offset", "f4"),
        ("scl_slope", "f4"),
        ("scl_inter", "f4"),
        ("slice_end", "i2"),
        ("slice_code", "u1"),
        ("xyzt_units", "u1"),
        ("calibration", "f4", 4),
        ("limits", "i4", 2),
        ("descrip", "S80"),
        ("aux_file", "S24"),
        ("qform_code", "i2"),
        ("sform_code", "i2"),
        ("quatern", "f4", 3),
        ("qoffset", "f4", 3),
        ("srow", "f4", (3, 4)),
        ("intent_name", "S16"),
        ("magic", "S4"),
    ]
)
DESCRIPTION = "AttentionSeg"
# Bytes of the header of NIfTI-2.
SECOND_VERSION = 540
MAGIC, PAIR_MAGIC = b"n+1", b"ni1"
MILLIMETERS = 2
MM_PER_UNIT = {1: 1000.0, MILLIMETERS: 1.0, 3: 0.001}
# For a rotation by 180 degrees, float32 stores the real part of the quaternion with about this error.
HALF_TURN = 3 * float(np.finfo(np.float32).eps)


def parse_header(data: bytes, path: Path, magic: bytes = MAGIC) -> np.void:
    """Read the first 348 bytes of a file, of either byte order.

    Raises:
        InputError: if they are not the header of a NIfTI-1 image with this `magic`, which differs between single files and pairs.
    """
    candidates = [np.frombuffer(data, HEADER.newbyteorder(order))[0] for order in _BYTE_ORDERS] if len(data) == HEADER.itemsize else []
    for header in candidates:
        sound = 1 <= header["dim"][0] <= 7 and np.isfinite(header["vox_offset"])
        if header["sizeof_hdr"] == HEADER.itemsize and header["magic"] == magic and sound:
            return header
    second = any(header["sizeof_hdr"] == SECOND_VERSION for header in candidates)
    wrong = "is NIfTI-2, which is not read" if second else "is not a NIfTI-1 file, or its header is damaged"
    msg = f"{path} {wrong}; export it again as .nii or .nii.gz (NIfTI-1), or as .nrrd."
    raise InputError(msg)


def read_affine(header: np.void, path: Path) -> tuple[np.ndarray, tuple[Note, ...]]:
    """The 4x4 matrix from voxel indices to RAS mm, and notes about assumptions made for it.

    The sform is used if its code is positive, else the qform if its code is, as in nibabel; without either the spacing alone is used and the
    axes are those of LPS, as in ITK and Slicer. A sform that is sheared, singular or not finite is replaced by the qform if there is one, and
    one of zeros counts as none. Units other than mm are converted.

    Raises:
        InputError: if the matrix is not finite, invertible and free of shear.
    """
    scale = MM_PER_UNIT.get(int(header["xyzt_units"]) & 7, 1.0)
    notes: tuple[Note, ...] = ()
    if header["sform_code"] > 0:
        affine = _scaled(_sform(header), scale)
        fault = affine_fault(affine)
        if fault is None:
            return affine, _conflict(header, affine, scale)
        if header["qform_code"] <= 0 and affine[:3, :3].any():
            check_affine(affine, str(path))
        if header["qform_code"] > 0:
            notes = (Note(f"The sform of the header cannot be used, as it {fault[0]}, so the qform places the scan"),)
    # A 2D image has no third spacing.
    spacing = np.where(np.arange(3) < header["dim"][0], header["pixdim"][1:4], 1)
    if not np.isfinite(spacing).all() or (spacing <= 0).any():
        msg = f"{path} has a voxel spacing of {' x '.join(f'{s:g}' for s in spacing)} in its header; correct the header, or export the scan again."
        raise InputError(msg)
    if header["qform_code"] > 0:
        affine = _scaled(_qform(header), scale)
    else:
        affine, notes = _scaled(np.diag([-spacing[0], -spacing[1], spacing[2], 1.0]), scale), (NO_ORIENTATION,)
    check_affine(affine, str(path))
    return affine, notes


def make_header(shape: tuple[int, int, int], datatype: int, bits: int, affine: np.ndarray, kind: str = "") -> np.ndarray:
    """A header [1] for one volume in mm, with the affine as sform and as qform (code 1, scanner), and the kind of result."""
    header = np.zeros(1, HEADER.newbyteorder("<"))
    # Imported here because importing it takes longer than reading a scan, and most scans do not need it.
    from scipy.spatial.transform import Rotation

    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    directions = affine[:3, :3] / spacing
    handedness = 1.0 if np.linalg.det(directions) > 0 else -1.0
    quaternion = Rotation.from_matrix(directions * (1, 1, handedness)).as_quat()
    if quaternion[3] < 0:
        quaternion = -quaternion
    header["sizeof_hdr"] = HEADER.itemsize
    header["dim"] = [3, *shape, 1, 1, 1, 1]
    header["datatype"], header["bitpix"] = datatype, bits
    header["pixdim"] = [handedness, *spacing, 0, 0, 0, 0]
    header["vox_offset"] = HEADER.itemsize + 4
    header["scl_slope"] = 1
    header["xyzt_units"] = MILLIMETERS
    header["descrip"] = f"{DESCRIPTION} {kind}".strip().encode()
    header["qform_code"] = header["sform_code"] = 1
    header["quatern"], header["qoffset"], header["srow"] = quaternion[:3], affine[:3, 3], affine[:3]
    header["magic"] = MAGIC
    return header


def _sform(header: np.void) -> np.ndarray:
    return np.vstack([header["srow"].astype(np.float64), (0, 0, 0, 1)])


def _qform(header: np.void) -> np.ndarray:
    from scipy.spatial.transform import Rotation

    b, c, d = header["quatern"].astype(np.float64)
    a_squared = 1 - (b * b + c * c + d * d)
    a = np.sqrt(a_squared) if a_squared > HALF_TURN else 0.0
    if not np.isfinite([b, c, d]).all() or a_squared < -0.01:
        return np.full((4, 4), np.nan)
    handedness = -1.0 if header["pixdim"][0] < 0 else 1.0
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_quat([b, c, d, a]).as_matrix() * header["pixdim"][1:4].astype(np.float64) * (1, 1, handedness)
    affine[:3, 3] = header["qoffset"]
    return affine


def _scaled(affine: np.ndarray, scale: float) -> np.ndarray:
    return affine * np.array([[scale], [scale], [scale], [1.0]])


def _conflict(header: np.void, sform: np.ndarray, scale: float) -> tuple[Note, ...]:
    """A note if the qform differs from the sform: ITK and Slicer prefer it to an sform whose code is not 1."""
    if header["qform_code"] <= 0 or header["sform_code"] == 1:
        return ()
    far_corner = np.append(header["dim"][1:4] - 1, 1)
    apart = np.abs((_scaled(_qform(header), scale) - sform) @ np.stack([(0, 0, 0, 1), far_corner], axis=1)).max()
    if not apart > np.linalg.norm(sform[:3, :3], axis=0).min() / 2:
        return ()
    return (Note("The header has two placements; the sform is used here, the qform by ITK and Slicer", f"{apart:.1f} mm apart"),)
