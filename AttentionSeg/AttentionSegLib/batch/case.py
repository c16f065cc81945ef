"""One case: its scan files in, all its result files out, or none."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from ..files import all_or_none, output_folder, read_images, scan_stem, write_map, write_segmentation
from ..image import Image
from ..inference.checks import check_input
from ..models import Card
from ..region import Region
from ..reporting import run_report, write_overview, write_report

if TYPE_CHECKING:
    from ..inference import Prediction, Predictor
    from ..inference.progress import Cancel, OnProgress

ENDINGS = {"nrrd": (".seg.nrrd", ".nrrd"), "nii": (".nii.gz", ".nii.gz")}


@dataclass(frozen=True, eq=False)
class CaseResult:
    """What came out of one case: the prediction and the files written, the segmentation first."""

    prediction: Prediction
    files: tuple[Path, ...]


def segment_case(
    predictor: Predictor,
    inputs: Sequence[str | os.PathLike],
    output: str | os.PathLike,
    region: Region | None = None,
    attention: bool | Iterable[str] = True,
    file_format: str = "nrrd",
    on_progress: OnProgress | None = None,
    cancel: Cancel | None = None,
) -> CaseResult:
    """Segment a scan and write segmentation, attention maps, uncertainty, report and overview picture.

    Args:
        predictor: the loaded model.
        inputs: one scan per input of the model: NIfTI, NRRD, MetaImage, or a DICOM folder.
        output: folder for the results, made if it is not there. Files are named after the first input.
        region: box in RAS mm.
        attention: all maps, none, or those named.
        file_format: `nrrd` or `nii`.
        on_progress, cancel: as of `Predictor`.

    Raises:
        InputError: before any work, if a scan, the region, a name or the folder cannot be used.
        InputError, OSError: if a file cannot be written. Then, and after a cancel, files and folders are as they were before.
    """
    image = read_case(predictor.model.card, inputs, region)
    return write_case(predictor, image, inputs, output, region, attention, file_format, on_progress, cancel)


def read_case(card: Card, inputs: Sequence[str | os.PathLike], region: Region | None = None) -> Image:
    """The scans of a case as channels of one image, fit for the model (see `segment_case`)."""
    if len(inputs) != len(card.inputs):
        names = ", ".join(f"{channel.name} ({channel.modality})" for channel in card.inputs)
        msg = f"The model {card.id} needs {len(card.inputs)} scan(s) ({names}), and {len(inputs)} were given; give exactly these, in this order."
        raise InputError(msg)
    image = read_images(inputs)
    check_input(image, region, card)
    return image


def write_case(
    predictor: Predictor,
    image: Image,
    inputs: Sequence[str | os.PathLike],
    output: str | os.PathLike,
    region: Region | None = None,
    attention: bool | Iterable[str] = True,
    file_format: str = "nrrd",
    on_progress: OnProgress | None = None,
    cancel: Cancel | None = None,
) -> CaseResult:
    """Segment a case that was read, and write its results (see `segment_case`)."""
    if file_format not in ENDINGS:
        msg = f"There is no format '{file_format}'; choose one of {', '.join(ENDINGS)}."
        raise InputError(msg)
    with output_folder(output) as folder:
        prediction = predictor(image, region, attention, on_progress=on_progress, cancel=cancel)
        return CaseResult(prediction, _write(prediction, image, inputs, folder, region, file_format))


def _write(
    prediction: Prediction, image: Image, inputs: Sequence[str | os.PathLike], folder: Path, region: Region | None, file_format: str
) -> tuple[Path, ...]:
    stem = scan_stem(inputs[0])
    segmentation_ending, map_ending = ENDINGS[file_format]
    with all_or_none(folder) as stage:
        write_segmentation(prediction.labels, prediction.card, stage / f"{stem}_segmentation{segmentation_ending}")
        for name, attention in prediction.attention.items():
            write_map(attention, stage / f"{stem}_{name}{map_ending}")
        write_map(prediction.uncertainty, stage / f"{stem}_uncertainty{map_ending}")
        write_overview(image, prediction, stage / f"{stem}_overview.png", title=stem)
        first, report = f"{stem}_segmentation{segmentation_ending}", f"{stem}_report.json"
        names = [first, *sorted(path.name for path in stage.iterdir() if path.name != first), report]
        # A file name need not be valid text; a report must be.
        scans = [os.fsencode(path).decode("utf-8", "replace") for path in inputs]
        write_report(run_report(prediction, scans, region, names), stage / report)
    return tuple(folder / name for name in names)
