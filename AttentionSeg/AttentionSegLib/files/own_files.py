"""Recognition of files that this extension wrote, by their headers and not by their names."""

from __future__ import annotations

import gzip
import os
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .compression import GZIP_MAGIC
from .meta_image import read_fields
from .names import extension
from .nifti_header import DESCRIPTION, HEADER
from .nrrd import read_keys

# Keys in a `.nrrd`: the id of the map, and the id and version of the model.
MAP_KEY = "AttentionSeg_Map"
MODEL_KEY = "AttentionSeg_Model"
SEGMENTATION, PICTURE = "segmentation", "picture"
META_IMAGE = (".mha", ".mhd")
# Key of the program in a PNG.
SOFTWARE = "Software"


class OwnFile(NamedTuple):
    """The kind of a file: `segmentation`, `picture` or the id of a map; and the id and version of the model, if the format can store it."""

    kind: str
    model: str = ""

    @property
    def title(self) -> str:
        """The kind in words."""
        return f"the map {self.kind} of AttentionSeg" if self.is_map else f"a {self.kind} by AttentionSeg"

    @property
    def is_map(self) -> bool:
        return self.kind not in (SEGMENTATION, PICTURE)


def own_file(path: str | os.PathLike) -> OwnFile | None:
    """The kind and the model that AttentionSeg stored in the header of a file; None for any other file, and for one that cannot be read."""
    path = Path(path)
    ending = extension(path)
    if ending in (".nii", ".nii.gz"):
        description = _description(path)
        return OwnFile(description[len(DESCRIPTION) :].strip()) if description.startswith(f"{DESCRIPTION} ") else None
    if ending == ".png":
        return OwnFile(PICTURE) if _software(path) == DESCRIPTION else None
    # Programs that convert a file keep what they do not know.
    keys = read_fields(path) if ending in META_IMAGE else read_keys(path)
    if MAP_KEY not in keys and MODEL_KEY not in keys:
        return None
    return OwnFile(keys.get(MAP_KEY, SEGMENTATION), keys.get(MODEL_KEY, ""))


def _software(path: Path) -> str | None:
    try:
        from PIL import Image as Pillow
    except ModuleNotFoundError:
        # Slicer may lack Pillow before packages are installed; then a loaded PNG is just an image.
        return None
    try:
        with Pillow.open(path) as picture:
            return picture.info.get(SOFTWARE)
    except (OSError, SyntaxError, ValueError, Pillow.DecompressionBombError):
        return None


def _description(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            compressed = file.read(2) == GZIP_MAGIC
        with gzip.open(path, "rb") if compressed else open(path, "rb") as stream:
            header = stream.read(HEADER.itemsize)
    except (OSError, EOFError, zlib.error):
        return ""
    if len(header) < HEADER.itemsize:
        return ""
    return bytes(np.frombuffer(header, HEADER)["descrip"][0]).decode("latin-1")
