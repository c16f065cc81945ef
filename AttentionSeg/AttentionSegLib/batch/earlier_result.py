"""Protection of earlier results in a folder: only a run of the same scan and model may replace them."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from ..errors import InputError
from ..files import scan_stem
from ..files.names import as_text
from ..image import Image
from ..models import Card

CHECKSUM = "scan_checksum"
_CHECKSUMS: WeakKeyDictionary[Image, str] = WeakKeyDictionary()


def report_name(stem: str) -> str:
    """The file name of a case's report."""
    return f"{stem}_report.json"


def scan_checksum(image: Image) -> str:
    """A checksum of voxels and geometry, independent of the name and place of the file; computed once for an image."""
    if image not in _CHECKSUMS:
        _CHECKSUMS[image] = replace(image, name="").digest()
    return _CHECKSUMS[image]


def check_earlier_result(output: str | os.PathLike, inputs: Sequence[str | os.PathLike], card: Card, image: Image) -> None:
    """Raise InputError if a run would replace the result of another scan or model.

    Args:
        output: folder for the results; it need not exist.
        inputs: the scans, which the files are named after.
        card: of the model.
        image: read from the scans.

    Raises:
        InputError: if files of these names come from another scan or model, or their report cannot be read.
    """
    path = Path(output) / report_name(scan_stem(inputs[0]))
    if not path.is_file():
        return
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        model, scans = str(report["model"]["id"]), [str(name) for name in report["inputs"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = f"{path} is in the place of this scan's report and cannot be read as one ({error}); move it, or choose another folder for the results."
        raise InputError(msg) from error
    names = [as_text(one) for one in inputs]
    if model != card.id or not _is_same(report, scans, names, image):
        msg = (
            f"{output} already holds a result of that name, of {', '.join(scans)} by the model {model}; "
            f"choose another folder for the result of {', '.join(names)} by {card.id}."
        )
        raise InputError(msg)


def _is_same(report: dict[str, Any], scans: list[str], names: list[str], image: Image) -> bool:
    # Reports of earlier versions have no checksum, only names.
    return report[CHECKSUM] == scan_checksum(image) if CHECKSUM in report else scans == names
