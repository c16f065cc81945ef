"""Reading and writing of NIfTI-1 files, without ITK.

ITK takes the spacing from `pixdim` even if the sform differs, sometimes prefers the qform, fills the rest of a file that was cut off
with zeros, and reports no error when the disk is full while it writes.
"""

from __future__ import annotations

import zlib
from math import prod
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..image import Image
from .compression import opened, read_voxels, write_compressed
from .nifti_header import HEADER, MAGIC, PAIR_MAGIC, make_header, parse_header, read_affine
from .requirements import check_real, check_scalar, check_size

DATATYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8"}
COLORS = {128: 3, 2304: 4}
COMPLEX = (32, 1792, 2048)


def read_nifti(path: Path, labels: bool = False, data: Path | None = None) -> Image:
    """Read a .nii or .nii.gz, [1, I, J, K] with the affine of its header and the data type of the file (floats if the header rescales).

    Args:
        path: the file.
        labels: whether it is a label map, which may be a single voxel thick.
        data: the file of the voxels, if `path` is the header of a pair.

    Raises:
        InputError: if the file is damaged or cut off, is not one real scalar 3D volume, or its geometry cannot be used.
    """
    try:
        with opened(path) as stream:
            header = parse_header(stream.read(HEADER.itemsize), path, MAGIC if data is None else PAIR_MAGIC)
            shape, kind = _check_content(header, path, 1 if labels else 2)
            affine, notes = read_affine(header, path)
            if data is None:
                voxels = read_voxels(stream, int(max(header["vox_offset"], HEADER.itemsize + 4)), prod(shape), kind, path)
        if data is not None:
            with opened(data) as stream:
                voxels = read_voxels(stream, int(max(header["vox_offset"], 0)), prod(shape), kind, data)
    except (OSError, EOFError, zlib.error) as error:
        msg = f"{path} is damaged or cut off ({error}); copy or export it again."
        raise InputError(msg) from error
    return Image(_rescaled(voxels, header, path).reshape(shape, order="F")[None], affine, str(path), notes)


def write_nifti(path: Path, voxels: np.ndarray, affine: np.ndarray, kind: str = "") -> None:
    """Write voxels [I, J, K] as compressed NIfTI-1 with the affine (IJK to RAS, mm) as sform and qform, and the kind of result.

    The header stores float32, so the sform places a voxel within 1 m of the origin within 2e-4 mm. The qform is a rotation, so it omits the
    slight shear that an Image may have.
    """
    datatype = next(code for code, kind in DATATYPES.items() if np.dtype(kind) == voxels.dtype)
    header = make_header(voxels.shape, datatype, voxels.dtype.itemsize * 8, affine, kind)
    with open(path, "wb") as file:
        write_compressed(file, voxels, before=header.tobytes() + bytes(4))


def _check_content(header: np.void, path: Path, least: int) -> tuple[tuple[int, int, int], np.dtype]:
    """The shape and the data type of the voxels in the file; InputError if it is no scalar 3D volume."""
    code = int(header["datatype"])
    size = [int(count) for count in header["dim"][1 : header["dim"][0] + 1]]
    check_scalar(path, max(COLORS.get(code, 1), prod(size[4:])))
    check_real(path, code in COMPLEX)
    shape = check_size(path, size[:4], least)
    if code not in DATATYPES:
        msg = f"{path} has voxels of the NIfTI data type {code}, which is not supported; convert them to integers or floats."
        raise InputError(msg)
    kind = np.dtype(DATATYPES[code]).newbyteorder(header.dtype["sizeof_hdr"].byteorder)
    return shape, kind


def _rescaled(voxels: np.ndarray, header: np.void, path: Path) -> np.ndarray:
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if not np.isfinite(slope) or slope == 0 or (slope, intercept) == (1, 0):
        return voxels
    if not np.isfinite(intercept):
        msg = f"{path} has a rescale intercept (scl_inter) of {intercept}; correct the header, or export the scan again."
        raise InputError(msg)
    kind = np.result_type(voxels.dtype, np.float32)
    values = voxels.astype(kind)
    values *= kind.type(slope)
    values += kind.type(intercept)
    return values
