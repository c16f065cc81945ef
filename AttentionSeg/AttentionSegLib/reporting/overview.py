"""The overview picture of a result: outlines, attention maps and uncertainty."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError

if TYPE_CHECKING:
    from ..image import Image
    from ..inference.prediction import Prediction


def write_overview(image: Image, prediction: Prediction, path: Path | str, title: str | None = None) -> None:
    """Write one PNG, 1584 pixels wide: axial, coronal and sagittal planes through the segmentation, or the one of a single slice.

    The first row shows the outlines of the labels with their volumes, the next rows the attention maps over the image, each
    with its color bar, and the last row the uncertainty. Of several channels the first is shown. Radiological convention:
    the patient's right is on the left of the picture.

    Args:
        image: the segmented image.
        prediction: its result.
        path: the PNG to write.
        title: headline; the image's name when left out.

    Raises:
        InputError: if matplotlib is not installed.
        OutputError: if the file cannot be written; no partial file is left then.
    """
    check_drawing("A picture of the result")
    from .overview_page import draw_overview

    draw_overview(image, prediction, title).save(path)


def check_drawing(what: str) -> None:
    """Raise InputError if matplotlib is not installed; `what` is the subject of the sentence: `The report of an evaluation`."""
    try:
        from . import sheet  # noqa: F401
    except ModuleNotFoundError as error:
        msg = f"{what} needs {error.name}, which is not installed; run: pip install matplotlib."
        raise InputError(msg) from error
