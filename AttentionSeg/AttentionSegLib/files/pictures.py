"""Reading of photographs and other PNG, JPEG and TIFF images by Pillow, as a single slice of unknown position and spacing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image as Pillow
from PIL import ImageOps

from ..errors import InputError, memory_for
from ..image import LPS_TO_RAS, NO_SPACING, Image, Note

# Modes of Pillow whose pixels are one number.
GRAY = ("1", "L", "I", "F", "I;16", "I;16B", "I;16L", "I;16N")
OPAQUE = 255
PALETTE = Note("Palette indices of the image were taken as label values", "0 for the first color")


def read_picture(path: Path, labels: bool = False) -> Image:
    """Read a PNG, JPEG or TIFF image: [1, I, J, 1], or [3, I, J, 1] of colors (red, green, blue), I to the right and J down.

    Pixels are set to 1 mm and `spacing_known` to False: a resolution for printing is no size in the patient. The image is placed as an axial
    slice, and rotated by its EXIF orientation. A palette is read as colors in a scan, and as label values in a label map.

    Args:
        path: the file.
        labels: whether it is a label map, with one number per pixel.

    Raises:
        InputError: if the file is damaged, contains several images, is partly transparent, or is a label map in colors.
    """
    try:
        # Opened as a stream: given a path, Pillow 13 memory-maps an uncompressed TIFF and mixes up its rows if it has to be rotated.
        with memory_for(str(path)), path.open("rb") as stream, Pillow.open(stream) as opened:
            pages = getattr(opened, "n_frames", 1)
            if pages > 1:
                msg = f"{path} holds {pages} images; save one of them, or the stack as a volume (NIfTI or NRRD)."
                raise InputError(msg)
            # Loading rotates a TIFF; its size is right only afterwards.
            opened.load()
            has_palette = opened.mode == "P"
            pixels = _pixels(ImageOps.exif_transpose(opened), path, labels)
    except (OSError, SyntaxError, ValueError, EOFError, Pillow.DecompressionBombError) as error:
        if isinstance(error, InputError):
            raise
        msg = f"{path} cannot be read ({error}); copy or export it again."
        raise InputError(msg) from error
    # Rows, columns and colors to [C, I, J, K].
    voxels = np.atleast_3d(pixels).transpose(2, 1, 0)[..., np.newaxis]
    notes = (PALETTE,) if labels and has_palette else () if labels else (NO_SPACING,)
    return Image(voxels, LPS_TO_RAS, str(path), notes, spacing_known=False)


def _pixels(picture: Pillow.Image, path: Path, labels: bool) -> np.ndarray:
    """[rows, columns], or [rows, columns, 3] of colors."""
    if picture.mode in GRAY or (labels and picture.mode == "P"):
        pixels = np.array(picture)
        return pixels.astype(np.uint8) if picture.mode == "1" else pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    is_gray = picture.mode == "LA"
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        if picture.getchannel("A").getextrema() != (OPAQUE, OPAQUE):
            msg = f"{path} is partly transparent, so its colors are not those that a viewer shows; save it without transparency."
            raise InputError(msg)
    colors = np.array(picture.convert("RGB"))
    is_gray = is_gray or (labels and (colors == colors[..., :1]).all())
    if labels and not is_gray:
        msg = f"{path} is a label map in colors; save it with one number for each pixel: 0 background, 1, 2, ... labels."
        raise InputError(msg)
    return colors[..., 0] if is_gray else colors
