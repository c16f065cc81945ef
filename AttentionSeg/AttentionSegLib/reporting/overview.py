"""One picture of a result: the outlines, what the network attended to and where it was unsure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError

if TYPE_CHECKING:
    from ..image import Image
    from ..inference.prediction import Prediction


def write_overview(image: Image, prediction: Prediction, path: Path | str, title: str | None = None) -> None:
    """Write one PNG, 1584 pixels wide: axial, coronal and sagittal planes through the segmentation.

    The first line shows the outlines of the labels with their volumes; then come the attention maps over the image, each
    with its color bar, and at last the uncertainty. Of several channels the first is shown. Radiological convention: the
    patient's right is on the left of the picture.

    Args:
        image: what was segmented.
        prediction: what came out.
        path: the PNG to write.
        title: headline; the image's name when left out.

    Raises:
        InputError: if matplotlib is not installed.
        OutputError: if the file cannot be written; nothing is left behind then.
    """
    try:
        from .overview_page import draw_overview
    except ModuleNotFoundError as error:
        msg = f"A picture of the result needs {error.name}, which is not installed; run: pip install matplotlib."
        raise InputError(msg) from error
    draw_overview(image, prediction, title).save(path)
