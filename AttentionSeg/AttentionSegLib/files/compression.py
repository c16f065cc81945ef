"""Voxels as a gzip stream."""

from __future__ import annotations

import gzip
from typing import BinaryIO

import numpy as np

# Noise shrinks no further at higher levels, which take up to three times as long.
LEVEL = 1


def write_compressed(file: BinaryIO, voxels: np.ndarray, before: bytes = b"") -> None:
    """Compress `before` and then voxels [I, J, K], little endian with I fastest. The same voxels give the same bytes."""
    with gzip.GzipFile("", "wb", compresslevel=LEVEL, fileobj=file, mtime=0) as stream:
        stream.write(before)
        for k in range(voxels.shape[2]):
            stream.write(voxels[..., k].astype(voxels.dtype.newbyteorder("<"), copy=False).tobytes(order="F"))
