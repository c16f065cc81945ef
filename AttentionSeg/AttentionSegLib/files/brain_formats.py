"""Readers of FreeSurfer's .mgz and .mgh, and of pairs of .hdr and .img (NIfTI or Analyze 7.5). Headers other than NIfTI's are read by nibabel."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from types import ModuleType

import numpy as np

from ..errors import InputError
from ..image import Image, Note, check_affine
from .compression import opened, read_voxels
from .nifti import read_nifti
from .nifti_header import HEADER, PAIR_MAGIC
from .requirements import check_numbers, check_real, check_scalar, check_size

MGH_START = 284
NO_MGH_ORIENTATION = Note("The header has no orientation, so the axes are taken to point to the left, inferior and anterior, as FreeSurfer does")
NO_ANALYZE_ORIENTATION = Note("The format Analyze has no orientation, so the axes are taken as nibabel takes them")
SPM_ORIENTATION = Note("The orientation is that of the .mat beside the file, which SPM wrote")


def read_mgh(path: Path, labels: bool = False) -> Image:
    """Read a .mgz or .mgh, [1, I, J, K] with the affine of its header and the data type of the file.

    Args:
        path: the file.
        labels: whether it is a label map, which may be a single voxel thick.

    Raises:
        InputError: if nibabel is not installed, or the file is damaged or is not one real 3D volume.
    """
    nibabel = _nibabel(path)
    with _reading(path, nibabel), opened(path) as stream:
        header = nibabel.freesurfer.mghformat.MGHHeader(stream.read(MGH_START))
        shape = check_size(path, header.get_data_shape(), 1 if labels else 2)
        affine = header.get_affine()
        check_affine(affine, str(path))
        voxels = read_voxels(stream, MGH_START, prod(shape), header.get_data_dtype(), path)
    notes = () if header["goodRASFlag"] else (NO_MGH_ORIENTATION,)
    return Image(voxels.reshape(shape, order="F")[None], affine, str(path), notes)


def read_pair(path: Path, labels: bool = False) -> Image:
    """Read a pair of .hdr and .img, given the path of the .hdr; see `read_mgh`."""
    data = partner_of(path)
    if data is None:
        msg = f"{path} has no .img beside it, which holds the voxels; copy both files into one folder."
        raise InputError(msg)
    with open(path, "rb") as file:
        magic = file.read(HEADER.itemsize)[-4:-1]
    if magic == PAIR_MAGIC:
        return read_nifti(path, labels, data)
    nibabel = _nibabel(path)
    with _reading(path, nibabel):
        with open(path, "rb") as file:
            header = nibabel.spm99analyze.Spm99AnalyzeHeader.from_fileobj(file, check=False)
        check_numbers(path, "voxel spacing", [f"{abs(size):g}" for size in header["pixdim"][1:4]], 3, positive=True)
        # What nibabel corrects, it logs.
        with nibabel.imageglobals.LoggingOutputSuppressor():
            header.check_fix()
        shape, kind = header.get_data_shape(), header.get_data_dtype()
        check_scalar(path, len(kind.names or "1"))
        check_real(path, kind.kind == "c")
        shape, (slope, intercept) = check_size(path, shape, 1 if labels else 2), header.get_slope_inter()
        matrix = beside(path, ".mat")
        affine = header.get_best_affine() if matrix is None else _spm_affine(matrix, header.default_x_flip)
        check_affine(affine, str(path))
        with opened(data) as stream:
            voxels = read_voxels(stream, int(header.get_data_offset()), prod(shape), kind, data)
    if slope not in (None, 1) or intercept not in (None, 0):
        voxels = voxels.astype(np.float32) * np.float32(slope or 1) + np.float32(intercept or 0)
    return Image(voxels.reshape(shape, order="F")[None], affine, str(path), (NO_ANALYZE_ORIENTATION if matrix is None else SPM_ORIENTATION,))


def partner_of(header: Path) -> Path | None:
    """The .img beside a .hdr, or the .hdr beside an .img; None if it is missing."""
    return beside(header, {".hdr": ".img", ".img": ".hdr"}[header.suffix.lower()])


def beside(path: Path, ending: str) -> Path | None:
    """The file of the same name with another ending, in upper or lower case; None if it is missing."""
    return next((other for other in (path.with_suffix(one) for one in (ending, ending.upper())) if other.is_file()), None)


def _spm_affine(path: Path, flips: bool) -> np.ndarray:
    """The affine in SPM's .mat: from `mat`, or from `M`, to which the flip of Analyze is added. MATLAB counts voxels from 1."""
    from scipy.io import loadmat

    try:
        stored = loadmat(path, variable_names=["mat", "M"])
        affine = stored["mat"] if "mat" in stored else np.diag([-1 if flips else 1, 1, 1, 1]) @ stored["M"]
        shift = np.eye(4)
        shift[:3, 3] = 1
        return np.asarray(affine, float).reshape(4, 4, -1)[..., 0] @ shift
    # scipy raises almost anything for files that are not MATLAB's.
    except Exception as error:
        msg = f"{path} is not the orientation that SPM writes beside an Analyze file ({error}); remove or rename it, or save the scan as .nii."
        raise InputError(msg) from error


def _nibabel(path: Path) -> ModuleType:
    try:
        import nibabel
    except ModuleNotFoundError as error:
        msg = f"{path} needs nibabel, which is not installed; run: pip install nibabel, or save the scan as .nii.gz or .nrrd."
        raise InputError(msg) from error
    return nibabel


@contextmanager
def _reading(path: Path, nibabel: ModuleType) -> Iterator[None]:
    """Turn the errors of damaged files into InputError."""
    headers = (nibabel.spatialimages.HeaderDataError, nibabel.wrapstruct.WrapStructError, nibabel.freesurfer.mghformat.MGHError)
    damage = (OSError, EOFError, zlib.error, KeyError, ValueError, *headers)
    try:
        yield
    except InputError:
        raise
    except damage as error:
        msg = f"{path} is damaged or cut off ({error}); copy or export it again."
        raise InputError(msg) from error
