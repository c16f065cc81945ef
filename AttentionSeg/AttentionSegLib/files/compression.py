"""Reading and writing of voxels as a stream that may be compressed by gzip."""

from __future__ import annotations

import gzip
import io
import os
import struct
import zlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Union

import numpy as np

from ..errors import InputError
from .stored_voxels import LARGEST_RATIO

GZIP_MAGIC = b"\x1f\x8b"
CHUNK = 1 << 24
Stream = Union[io.BufferedReader, gzip.GzipFile]

# Runs of equal bytes and their frequencies: a search for longer patterns makes maps a twentieth smaller and label maps no smaller, in twice the time.
LEVEL, STRATEGY = 1, zlib.Z_RLE
# One gzip member (RFC 1952) whose deflate blocks (RFC 1951) are compressed in threads: header, blocks, an empty last block, checksum and length.
HEADER = GZIP_MAGIC + bytes((8, 0, 0, 0, 0, 0, 0, 255))
LAST_BLOCK = b"\x03\x00"
# Bytes per block, fixed because the bytes of a file must not depend on the number of threads.
PIECE = 1 << 20


def write_compressed(file: BinaryIO, voxels: np.ndarray, before: bytes = b"") -> None:
    """Compress `before` and then voxels [I, J, K], little endian with I fastest. The same voxels give the same bytes."""
    threads = os.cpu_count() or 1
    checksum = size = 0
    waiting: deque[Future[bytes]] = deque()
    file.write(HEADER)
    with ThreadPoolExecutor(threads) as pool:
        for piece in _pieces(voxels, before):
            checksum, size = zlib.crc32(piece, checksum), size + len(piece)
            waiting.append(pool.submit(_deflated, piece))
            if len(waiting) > 2 * threads:
                file.write(waiting.popleft().result())
        for block in waiting:
            file.write(block.result())
    file.write(LAST_BLOCK + struct.pack("<II", checksum, size & 0xFFFFFFFF))


def _pieces(voxels: np.ndarray, before: bytes) -> Iterator[bytes]:
    if before:
        yield before
    little = voxels.dtype.newbyteorder("<")
    step = max(1, PIECE // max(1, voxels[..., :1].nbytes))
    for k in range(0, voxels.shape[2], step):
        yield voxels[..., k : k + step].astype(little, copy=False).tobytes(order="F")


def _deflated(piece: bytes) -> bytes:
    # Raw deflate, flushed to a whole byte, so that blocks can be concatenated.
    packer = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL, STRATEGY)
    return packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH)


@contextmanager
def opened(path: Path) -> Iterator[Stream]:
    """A file as a decompressed stream, whether it is compressed or not. EOFError, OSError or zlib.error if it is cut off or damaged."""
    with open(path, "rb") as file:
        compressed = file.read(2) == GZIP_MAGIC
        file.seek(0)
        if not compressed:
            yield file
            return
        with gzip.GzipFile(fileobj=file) as stream:
            yield stream
            # The checksum is compared at the end of the stream only.
            while stream.read(CHUNK):
                pass


def read_voxels(stream: Stream, start: int, count: int, kind: np.dtype, path: Path) -> np.ndarray:
    """Read `count` numbers from the byte `start` of a stream, in the byte order of this computer.

    Raises:
        InputError: if the file is too small for them, before memory is allocated.
        EOFError: if some are missing.
    """
    size = start + int(count) * kind.itemsize
    if not size <= path.stat().st_size * (LARGEST_RATIO if isinstance(stream, gzip.GzipFile) else 1):
        msg = f"{path} is damaged or cut off (its header promises {size:.0f} bytes); copy or export it again."
        raise InputError(msg)
    stream.seek(start)
    voxels = np.empty(count, kind)
    buffer, done = voxels.view(np.uint8).data, 0
    while done < len(buffer):
        taken = stream.readinto(buffer[done : done + CHUNK])
        if not taken:
            msg = f"{len(buffer) - done} of {len(buffer)} bytes of voxels are missing"
            raise EOFError(msg)
        done += taken
    return voxels.astype(kind.newbyteorder("="), copy=False)
