"""One case: its scan files in, all its result files out, or none."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from ..files import check_output_folder, read_images, scan_stem, write_map, write_segmentation
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
    with _output_folder(output) as folder:
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


@contextmanager
def _output_folder(path: str | os.PathLike) -> Iterator[Path]:
    """The folder for the results; if the block fails, folders that were made for it are gone again."""
    missing = [folder for folder in (Path(path), *Path(path).parents) if not os.path.exists(folder)]
    folder = check_output_folder(path)
    try:
        yield folder
    except BaseException:
        # Another run may have put its results there meanwhile: a folder that is not empty stays.
        with suppress(OSError):
            for empty in missing:
                empty.rmdir()
        raise


@contextmanager
def all_or_none(folder: Path) -> Iterator[Path]:
    """A hidden folder to write into, whose files move to `folder` once everything is written.

    Files of the same names make way for them. If the block or a move fails, `folder` is as it was before.
    """
    hidden = Path(tempfile.mkdtemp(prefix=".attentionseg-", dir=folder))
    new, old = hidden / "new", hidden / "old"
    try:
        new.mkdir()
        old.mkdir()
        yield new
        _move_all(new, folder, old)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def _move_all(new: Path, folder: Path, old: Path) -> None:
    names = sorted(path.name for path in new.iterdir())
    for name in names:
        if (folder / name).is_dir():
            msg = f"There is a folder at {folder / name}, where a result file belongs; move it, or choose another folder for the results."
            raise InputError(msg)
    try:
        for name in names:
            if (folder / name).exists():
                os.replace(folder / name, old / name)
            os.replace(new / name, folder / name)
    except BaseException:
        for name in names:
            if (old / name).exists():
                os.replace(old / name, folder / name)
            elif not (new / name).exists():
                (folder / name).unlink(missing_ok=True)
        raise
