"""DICOM images that are not slices of a scan, such as radiographs and ultrasound: position, pixel spacing and colors."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset

from ..errors import InputError

# Modalities whose slices have a position in the patient; images of any other may be without one.
PLACED = ("CT", "MR", "PT", "NM")
PALETTE = "PALETTE COLOR"
# The decoders of JPEG 2000 convert the last two to RGB.
COLORS = ("RGB", "YBR_FULL", "YBR_FULL_422", PALETTE, "YBR_ICT", "YBR_RCT")
# The unit of a distance in an ultrasound region.
CENTIMETERS, MM_PER_CM = 3, 10.0


def is_picture(header: Dataset) -> bool:
    """Whether an image is a single one without a position in the patient, of a modality that may have none."""
    single = int(header.get("NumberOfFrames") or 1) == 1
    return single and (header.get("Modality") or PLACED[0]) not in PLACED and header.get("ImageOrientationPatient") is None


def is_colored(header: Dataset) -> bool:
    """Whether the pixels are colors."""
    return header.get("PhotometricInterpretation") in COLORS


def picture_spacing(header: Dataset) -> list[float] | None:
    """Distance of rows and of columns in mm: on the detector of a radiograph, or in the tissue of ultrasound; None if the header has none."""
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        if header.get(keyword) is not None:
            return list(header.get(keyword))
    for region in header.get("SequenceOfUltrasoundRegions") or ():
        if region.get("PhysicalUnitsXDirection") == region.get("PhysicalUnitsYDirection") == CENTIMETERS:
            return [MM_PER_CM * abs(float(region.PhysicalDeltaY)), MM_PER_CM * abs(float(region.PhysicalDeltaX))]
    return None


def picture_place(header: Dataset) -> Dataset:
    """The attributes of a slice that such an image lacks: it is placed as an axial slice, with pixels of 1 mm if their spacing is unknown."""
    place = Dataset()
    place.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    place.ImagePositionPatient = [0, 0, 0]
    place.PixelSpacing = picture_spacing(header) or [1, 1]
    return place


def read_colors(path: Path) -> np.ndarray:
    """The pixels [3, I, J, 1] of an image in colors. InputError if they cannot be decoded."""
    # pydicom 3 converts YBR to RGB itself.
    is_new = find_spec("pydicom.pixels") is not None
    pixels = import_module("pydicom.pixels" if is_new else "pydicom.pixel_data_handlers.util")
    try:
        dataset = pydicom.dcmread(path)
        colors, kind = dataset.pixel_array, dataset.PhotometricInterpretation
        if kind == PALETTE:
            colors = pixels.apply_color_lut(colors, dataset)
        elif not is_new and kind.startswith("YBR_FULL"):
            colors = pixels.convert_color_space(colors, kind, "RGB")
    # pydicom's decoders pass on any exception of their libraries.
    except Exception as error:
        msg = f"The pixels of {path} cannot be decoded ({error}); export it as PNG or as uncompressed DICOM."
        raise InputError(msg) from error
    return colors.transpose(2, 1, 0)[..., np.newaxis]
