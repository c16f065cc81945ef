"""Reading of the stored bytes of voxels, with checks of their number, of memory and of checksums.

ITK fills missing bytes with zeros, ignores checksums, and ends the process at some damaged files.
"""

from __future__ import annotations

import io
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError

RAW, GZIP, ZLIB = "raw", "gzip", "zlib"
# The `wbits` of zlib for the container of each encoding.
FRAMES = {GZIP: 16 + zlib.MAX_WBITS, ZLIB: zlib.MAX_WBITS}
# The deflate algorithm cannot compress by a factor of more than about 1032.
LARGEST_RATIO = 1100
CHUNK = 1 << 20


@dataclass(frozen=True)
class StoredVoxels:
    """Where the voxels of an image are.

    Attributes:
        path: the file, which may be another than that of the header.
        start: position of the first stored byte in the file; from the end of the file if negative.
        encoding: RAW, GZIP or ZLIB.
        count: of numbers in all voxels together.
        kind: data type of a number, with its byte order.
        stored: bytes in the file if the header states them, else None.
    """

    path: Path
    start: int
    encoding: str
    count: int
    kind: np.dtype
    stored: int | None = None

    @property
    def size(self) -> int:
        """Bytes of all voxels."""
        return self.count * self.kind.itemsize

    def check_there(self, header: Path) -> None:
        """Raise InputError if the file of the voxels does not exist."""
        if not self.path.is_file():
            msg = f"{header} keeps its voxels in {self.path.name}, which is not there; copy both files into one folder."
            raise InputError(msg)

    def read(self, header: Path) -> np.ndarray:
        """All numbers, [count], in the byte order of this computer.

        Args:
            header: the file that the user named, for messages.

        Raises:
            InputError: if bytes are missing, there are more than the header states, or they are damaged.
        """
        try:
            length = self.path.stat().st_size
            start = self.start if self.start >= 0 else length - self.size
            there = length - start
            if start < 0 or there * (1 if self.encoding == RAW else LARGEST_RATIO) < self.size or (self.stored or 0) > there:
                raise damaged(header, f"its header means {self.size} bytes of voxels, and {self.path.name} is too short for them")
            with open(self.path, "rb") as file:
                file.seek(start)
                voxels = _raw(file, self.size) if self.encoding == RAW else _inflated(file, self.size, self.encoding, self.stored)
        except (OSError, EOFError, zlib.error) as error:
            raise damaged(header, str(error)) from error
        return voxels.view(self.kind).astype(self.kind.newbyteorder("="), copy=False)


def _raw(file: io.BufferedReader, size: int) -> np.ndarray:
    voxels = np.empty(size, np.uint8)
    if file.readinto(voxels.data) < size:
        msg = "bytes of voxels are missing"
        raise EOFError(msg)
    return voxels


def _inflated(file: io.BufferedReader, size: int, encoding: str, stored: int | None) -> np.ndarray:
    voxels, done, taken = np.empty(size, np.uint8), 0, 0
    inflate, waiting = zlib.decompressobj(FRAMES[encoding]), b""
    while not inflate.eof:
        if not waiting:
            waiting = file.read(CHUNK if stored is None else min(CHUNK, stored - taken))
            taken += len(waiting)
            if not waiting:
                msg = f"the compressed voxels end after {done} of {size} bytes"
                raise EOFError(msg)
        # One byte more than expected shows that there are too many.
        part = inflate.decompress(waiting, min(CHUNK, size - done + 1))
        waiting = inflate.unconsumed_tail
        if done + len(part) > size:
            msg = f"there are more than the {size} bytes of voxels that the header means"
            raise EOFError(msg)
        voxels[done : done + len(part)] = np.frombuffer(part, np.uint8)
        done += len(part)
    if done < size:
        msg = f"the compressed voxels end after {done} of {size} bytes"
        raise EOFError(msg)
    return voxels


def damaged(header: Path, what: str) -> InputError:
    """The error for a damaged file; `what` states what is wrong."""
    return InputError(f"{header} is damaged or cut off ({what}); copy or export it again.")
