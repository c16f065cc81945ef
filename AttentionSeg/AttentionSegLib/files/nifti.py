"""NIfTI-1 files, read and written here and not by ITK.

ITK takes the spacing from `pixdim` where the sform says otherwise, prefers the qform at times, fills the rest of a file that was cut off
with zeros, and reports no error when the disk is full while it writes.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..image import Image
from .compression import write_compressed
from .nifti_header import HEADER, make_header, parse_header, read_affine
from .requirements import check_real, check_scalar, check_size
from .stored_voxels import LARGEST_RATIO

DATATYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8"}
COLORS = {128: 3, 2304: 4}
COMPLEX = (32, 1792, 2048)
GZIP_MAGIC = b"\x1f\x8b"
CHUNK = 1 << 24


def read_nifti(path: Path, labels: bool = False) -> Image:
    """Read a .nii or .nii.gz, [1, I, J, K] with the affine of its header and the data type of the file (floats if the header rescales).

    Args:
        path: the file.
        labels: whether it is a label map, which may be a single voxel thick.

    Raises:
        InputError: if the file is damaged or cut off, is not one real scalar 3D volume, or its geometry cannot be used.
    """
    try:
        with _opened(path) as stream:
            header = parse_header(stream.read(HEADER.itemsize), path)
            shape, kind = _check_content(header, path, 1 if labels else 2)
            start = max(header["vox_offset"], HEADER.itemsize + 4)
            _check_length(start + prod(shape) * kind.itemsize, stream, path)
            affine, notes = read_affine(header, path)
            stream.seek(int(start))
            voxels = np.empty(prod(shape), kind)
            _fill(stream, voxels.view(np.uint8).data)
    except (OSError, EOFError, zlib.error) as error:
        msg = f"{path} is damaged or cut off ({error}); copy or export it again."
        raise InputError(msg) from error
    voxels = _rescaled(voxels.astype(kind.newbyteorder("="), copy=False), header, path)
    return Image(voxels.reshape(shape, order="F")[None], affine, str(path), notes)


def write_nifti(path: Path, voxels: np.ndarray, affine: np.ndarray, kind: str = "") -> None:
    """Write voxels [I, J, K] as compressed NIfTI-1 with the affine (IJK to RAS, mm) as sform and qform, and what kind of result it is.

    The header holds float32: the sform places a voxel within 1 m of the origin within 2e-4 mm. The qform is a rotation, so it leaves out
    what little shear an Image may have.
    """
    datatype = next(code for code, kind in DATATYPES.items() if np.dtype(kind) == voxels.dtype)
    header = make_header(voxels.shape, datatype, voxels.dtype.itemsize * 8, affine, kind)
    with open(path, "wb") as file:
        write_compressed(file, voxels, before=header.tobytes() + bytes(4))


@contextmanager
def _opened(path: Path) -> Iterator[io.BufferedReader | gzip.GzipFile]:
    with open(path, "rb") as file:
        compressed = file.read(2) == GZIP_MAGIC
        file.seek(0)
        if not compressed:
            yield file
            return
        with gzip.GzipFile(fileobj=file) as stream:
            yield stream
            # The check sum is compared at the end of the stream only.
            while stream.read(CHUNK):
                pass


def _check_content(header: np.void, path: Path, least: int) -> tuple[tuple[int, int, int], np.dtype]:
    """The shape and the data type of the voxels in the file; InputError if they are no scalar 3D volume."""
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


def _check_length(size: int, stream: io.BufferedReader | gzip.GzipFile, path: Path) -> None:
    """Raise InputError, before memory is taken, if the file cannot hold so many bytes."""
    if not size <= path.stat().st_size * (LARGEST_RATIO if isinstance(stream, gzip.GzipFile) else 1):
        msg = f"{path} is damaged or cut off (its header promises {size:.0f} bytes); copy or export it again."
        raise InputError(msg)


def _fill(stream: io.BufferedReader | gzip.GzipFile, buffer: memoryview) -> None:
    done = 0
    while done < len(buffer):
        count = stream.readinto(buffer[done : done + CHUNK])
        if not count:
            msg = f"{len(buffer) - done} of {len(buffer)} bytes of voxels are missing"
            raise EOFError(msg)
        done += count


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
