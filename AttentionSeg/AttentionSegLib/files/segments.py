"""The segments listed in the header of a `.seg.nrrd` of 3D Slicer or of a DICOM segmentation."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from ..errors import InputError
from .formats import DICOM_ENDINGS, ending_of
from .listed_segment import Segment
from .nrrd import read_keys

ID = re.compile(r"Segment(\d+)_ID")


def read_segments(path: str | os.PathLike) -> tuple[Segment, ...]:
    """The segments of a file, in the order in which the file lists them; empty for a file that is no segmentation of 3D Slicer or DICOM.

    Raises:
        InputError: if the header gives a segment a value or a layer that is no number, or a DICOM file is damaged.
    """
    if ending_of(Path(path).name) in DICOM_ENDINGS:
        # Imported here because it needs pydicom.
        from .dicom_labels import read_dicom_segments

        return read_dicom_segments(Path(path))
    keys = read_keys(path)
    numbers = sorted(int(found[1]) for found in map(ID.fullmatch, keys) if found)
    try:
        return tuple(_segment({key: keys.get(f"Segment{n}_{key}") for key in ("ID", "Name", "LabelValue", "Layer")}, n) for n in numbers)
    except ValueError as error:
        msg = f"{path} has a damaged header ({error}); save the segmentation again."
        raise InputError(msg) from error


def _segment(keys: Mapping[str, str | None], number: int) -> Segment:
    # Before 4.11, 3D Slicer wrote a layer of zeros and ones for each segment, and no values.
    return Segment(keys["Name"] or keys["ID"] or "", int(keys["LabelValue"] or 1), int(keys["Layer"] or number))
