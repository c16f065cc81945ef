"""Thumbnails of overview pictures, small enough for hundreds of them on a page."""

from __future__ import annotations

import io
from pathlib import Path

from ..reporting.overview_layout import lay_out
from ..reporting.pages import data_uri

SIZE = (306, 100)
QUALITY = 80


def thumbnail(overview: Path) -> str | None:
    """The three planes with outlines of an overview picture, as the source of an HTML image; None if there is no such picture."""
    # Imported here because it is installed with matplotlib.
    from PIL import Image, UnidentifiedImageError

    planes = lay_out(1).anatomy
    try:
        with Image.open(overview) as picture:
            part = picture.crop((planes.left, planes.top, planes.places[-1] + planes.size, planes.top + planes.size))
            small = part.convert("RGB").resize(SIZE, Image.Resampling.LANCZOS)
    except (OSError, UnidentifiedImageError):
        return None
    file = io.BytesIO()
    small.save(file, "JPEG", quality=QUALITY)
    return data_uri(file.getvalue(), "jpeg")
