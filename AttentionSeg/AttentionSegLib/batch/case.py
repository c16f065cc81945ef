"""Segmentation of one case, from its scan files to its result files, which are written completely or not at all."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError, memory_for
from ..files import DicomSeries, read_images, scan_stem, write_map, write_segmentation
from ..files.names import as_text, without_folders, without_parents
from ..image import Image
from ..inference.checks import check_input
from ..inference.fit import rescaled
from ..models import Card
from ..options import RunOptions
from ..region import Region
from ..reporting import run_report, write_overview, write_report
from ..writing import all_or_none, output_folder
from .earlier_result import CHECKSUM, check_earlier_result, report_name, scan_checksum

if TYPE_CHECKING:
    from ..inference import Prediction, Predictor
    from ..progress import Cancel, OnProgress

AS_IT_IS = RunOptions()
# By the names of FORMATS.
ENDINGS = {"nrrd": (".seg.nrrd", ".nrrd"), "nii": (".nii.gz", ".nii.gz")}


@dataclass(frozen=True, eq=False)
class CaseResult:
    """Result of one case: the prediction and the files written, the segmentation first."""

    prediction: Prediction
    files: tuple[Path, ...]


def segment_case(
    predictor: Predictor,
    inputs: Sequence[str | os.PathLike],
    output: str | os.PathLike,
    region: Region | None = None,
    *,
    on_progress: OnProgress | None = None,
    cancel: Cancel | None = None,
    **changes: Any,
) -> CaseResult:
    """Segment a scan and write segmentation, attention maps, uncertainty, report and overview picture.

    Args:
        predictor: the loaded model, with the options of the run.
        inputs: one scan per input of the model: NIfTI, NRRD, MetaImage, a picture, or a DICOM folder.
        output: folder for the results, made if it is not there. Files are named after the first input; an earlier result of the same scan and model
            is replaced.
        region: box in RAS mm.
        on_progress, cancel: see `Predictor`.
        changes: options that differ from those of the predictor for this case, such as `attention` and `file_format`.

    Raises:
        InputError: before any work, if a scan, the region, a name or the folder cannot be used, or the folder holds a result of the same name from
            another scan or model.
        OutOfMemory: if memory runs out.
        OutputError: if a file cannot be written. Then, and after a cancel, files and folders are unchanged.
    """
    image = read_case(predictor.model.card, inputs, region, predictor.options)
    check_earlier_result(output, inputs, predictor.model.card, image)
    predict = partial(predictor.run, on_progress=on_progress, cancel=cancel, **changes)
    return write_case(predict, predictor.model.card, image, inputs, output, region)


def read_case(card: Card, inputs: Sequence[str | os.PathLike], region: Region | None = None, options: RunOptions = AS_IT_IS) -> Image:
    """Read the scans of a case as channels of one image, and check that the model can be used on it (see `segment_case`)."""
    if len(inputs) != len(card.scans):
        names = ", ".join(f"{channel.name} ({channel.modality})" for channel in card.scans)
        msg = f"The model {card.id} needs {len(card.scans)} scan(s) ({names}), and {len(inputs)} were given; give exactly these, in this order."
        raise InputError(msg)
    with memory_for(as_text(inputs[0])):
        image = read_images(inputs, options.regularize)
        check_input(image, region, card)
        # Here, because pictures are drawn of what is read.
        return rescaled(image, card) if options.rescale else image


def write_case(
    predict: Callable[[Image, Region | None], Prediction],
    card: Card,
    image: Image,
    inputs: Sequence[str | os.PathLike],
    output: str | os.PathLike,
    region: Region | None = None,
) -> CaseResult:
    """Segment a case that was read by `predict`, with the model of the card, and write its results (see `segment_case`)."""
    with memory_for(image.name), output_folder(output) as folder:
        prediction = predict(image, region)
        # Once more, because another run may have written its result since.
        with all_or_none(folder, lambda: check_earlier_result(folder, inputs, card, image)) as stage:
            names, prediction = write_files(prediction, image, inputs, stage, scan_stem(inputs[0]), region)
        return CaseResult(prediction, tuple(folder / name for name in names))


def write_files(
    prediction: Prediction,
    image: Image,
    inputs: Sequence[str | os.PathLike],
    folder: Path,
    stem: str,
    region: Region | None = None,
) -> tuple[list[str], Prediction]:
    """Write the result files of a case, named after `stem`, into a folder.

    If the options ask for it, a DICOM segmentation too, where the first scan is a `DicomSeries` and a label was found.

    Returns:
        Their names, the segmentation first and the report last; and the prediction, with a note where no DICOM segmentation could be made, and
        with notes that name the scans without their folders.
    """
    # Before the picture: a prediction is measured once for it and the report.
    notes, misfits = (tuple(without_folders(note, inputs) for note in found) for found in (prediction.notes, prediction.misfits))
    prediction = replace(prediction, notes=notes, misfits=misfits)
    segmentation_ending, map_ending = ENDINGS[prediction.options.file_format]
    first, report = f"{stem}_segmentation{segmentation_ending}", report_name(stem)
    write_segmentation(prediction.labels, prediction.card, folder / first)
    for name, shown in _for_files(prediction.attention).items():
        write_map(prediction.attention[name], folder / f"{stem}_{shown}{map_ending}", name, prediction.card)
    # The picture is drawn by one processor, while the others compress.
    with ThreadPoolExecutor(1) as beside:
        uncertainty = folder / f"{stem}_uncertainty{map_ending}"
        written = beside.submit(write_map, prediction.uncertainty, uncertainty, "uncertainty", prediction.card)
        checksum = beside.submit(scan_checksum, image)
        write_overview(image, prediction, folder / f"{stem}_overview.png", title=stem)
        written.result()
    if prediction.options.dicom and isinstance(inputs[0], DicomSeries) and prediction.labels.voxels.any():
        # Imported here because it needs pydicom.
        from ..files.dicom_segmentation import write_dicom_segmentation

        try:
            write_dicom_segmentation(
                prediction.labels, prediction.card, inputs[0].files, folder / f"{stem}_segmentation.dcm", prediction.options.anonymize
            )
        except InputError as error:
            prediction = replace(prediction, notes=(*prediction.notes, without_folders(str(error), inputs)))
    names = [first, *sorted(path.name for path in folder.iterdir() if path.name != first), report]
    document = run_report(prediction, [without_parents(path) for path in inputs], region, names)
    write_report({**document, CHECKSUM: checksum.result()}, folder / report)
    return names, prediction


def _for_files(names: Iterable[str]) -> dict[str, str]:
    """By name of a map, the name without spaces and signs, which names of labels have; with a number where it would be that of another map."""
    shown: dict[str, str] = {}
    taken: Counter[str] = Counter()
    for name in names:
        plain = re.sub(r"[^\w-]+", "_", name)
        taken[plain.casefold()] += 1
        count = taken[plain.casefold()]
        shown[name] = plain if count == 1 else f"{plain}-{count}"
    return shown
