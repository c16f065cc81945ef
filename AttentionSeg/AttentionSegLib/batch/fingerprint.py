"""Checksums of scans on disk, to detect changes since they were segmented."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..files import DicomSeries
from ..files.formats import PAIRED
from ..files.names import extension

CHUNK = 1024 * 1024
HEADER_BYTES = 16384
# The line of a detached header that names the file of the voxels.
DATA_FILE = {".mhd": rb"^\s*ElementDataFile\s*=\s*(.+?)\s*$", ".nhdr": rb"^data ?file:\s*(.+?)\s*$"}


def stamp(inputs: Sequence[os.PathLike]) -> str:
    """A checksum of names, sizes and modification times of all files: fast, and equal until they change. Raises OSError if one is missing."""
    digest = hashlib.sha256()
    for path in _files(inputs):
        status = path.stat()
        digest.update(f"{path.name}\0{status.st_size}\0{status.st_mtime_ns}\0".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def content_hash(inputs: Sequence[os.PathLike]) -> str:
    """The SHA-256 of the concatenated contents of all files. Raises OSError if one cannot be read."""
    digest = hashlib.sha256()
    for path in _files(inputs):
        with open(path, "rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
    return digest.hexdigest()


def _files(inputs: Sequence[os.PathLike]) -> Iterator[Path]:
    for scan in inputs:
        path = Path(scan)
        if isinstance(scan, DicomSeries):
            yield from scan.files
        elif path.is_dir():
            yield from sorted(child for child in path.iterdir() if child.is_file())
        else:
            yield path
            yield from _detached(path)


def _detached(header: Path) -> Iterator[Path]:
    if header.suffix.lower() in (".hdr", PAIRED):
        from ..files.brain_formats import beside, partner_of

        yield from filter(None, (partner_of(header), beside(header, ".mat")))
        return
    expression = DATA_FILE.get(extension(header))
    if expression is None:
        return
    with open(header, "rb") as file:
        found = re.search(expression, file.read(HEADER_BYTES), re.MULTILINE | re.IGNORECASE)
    data = header.parent / os.fsdecode(found[1]) if found else header
    if data != header and data.is_file():
        yield data
