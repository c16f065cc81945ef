"""The places where another model finds the regions of a new model in the cases of a training."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..datasets import CaseSet
from ..datasets.case_files import file_stamps
from ..datasets.cases import ROLES, Case, one_sentence, read_labelled
from ..errors import InputError
from ..files import write_text
from ..models import Card
from ..models.found_by import FindingModel
from ..planning.grid import in_mm
from ..planning.plan_options import FoundRegion
from ..progress import Reporter

if TYPE_CHECKING:
    from ..inference import Predictor
    from ..progress import Cancel, OnProgress

# Folder within that of a training.
REGIONS = "regions"
# Share of the training regions, in percent, whose labels fit into the region at the place where it is found.
FITTING = 95
# Space around the labels on each side: this share of their distance from the center, and at least some mm.
MARGIN_SHARE, MARGIN_MM = 0.1, 6.0
# Labeled voxels, evenly spread, by which the extent of the labels around a center is measured.
MEASURED = 200_000


@dataclass(frozen=True)
class Placement:
    """Where regions were found in a case.

    Attributes:
        key: a checksum of all that this depends on.
        extent: edges of the scan in mm.
        labels: the values in its label map.
        centers: of the regions that were found, RAS mm, by name.
        reach: the largest distance of a labeled voxel from the center along R, A and S in mm, by region; each voxel belongs to the nearest center.
        off: distance in mm between the center and that of the labels, by region.
    """

    key: str
    extent: tuple[float, ...]
    labels: tuple[int, ...]
    centers: dict[str, tuple[float, float, float]]
    reach: dict[str, tuple[float, ...]]
    off: dict[str, float]


def place_regions(
    cases: CaseSet,
    source: FindingModel,
    modalities: Sequence[str],
    folder: Path,
    device: str,
    on_progress: OnProgress | None = None,
    cancel: Cancel | None = None,
) -> dict[str, Placement]:
    """Find the regions of all training and validation cases, by the id of the case. What was found before is read from a folder.

    Args:
        cases: whole scans.
        source: what finds the regions.
        modalities: of the inputs of the new model.
        folder: of the training.
        device: for the model that finds them (see `choose_device`).
        on_progress, cancel: see `Reporter`.

    Raises:
        InputError: one for all cases that cannot be read or used.
        Cancelled: if `cancel` returned True.
    """
    # Imported here because it loads torch.
    from ..inference import Predictor
    from ..inference.finding_by_model import loaded_finder

    finder = Predictor(loaded_finder(source, "The regions of the training", modalities), device)
    folder, reporter, placed, problems = folder / REGIONS, Reporter(on_progress, cancel), {}, []
    every = [case for role in ROLES for case in cases.roles[role]]
    for done, case in enumerate(every):
        reporter.report(done / len(every), f"regions of case {done + 1} of {len(every)}", done, len(every) - done)
        try:
            key = _key(case, source, finder.model.card)
            path = folder / f"{key}.json"
            if not path.is_file():
                folder.mkdir(parents=True, exist_ok=True)
                write_text(path, json.dumps(asdict(_place(case, key, source, finder))))
            placed[case.id] = Placement(**json.loads(path.read_text(encoding="utf-8")))
        except InputError as error:
            problems.append(f"{case.id}: {error}")
    if problems:
        raise InputError(one_sentence(problems, "The regions of the cases cannot be searched for"))
    return placed


def plan_regions(source: FindingModel, cases: Sequence[Case], placed: dict[str, Placement]) -> FoundRegion:
    """The regions of the new model, which contain the labels where they are found. Raises InputError if no training case has a label near one."""
    reach = np.array([reach for case in cases for reach in placed[case.id].reach.values()])
    labels = ", ".join(region.label for region in source.regions)
    if not len(reach):
        msg = f"{source.model} finds no {labels} in any training case with labels; choose another model to find the regions, or another label of it."
        raise InputError(msg)
    half = np.percentile(reach, FITTING, axis=0)
    size = tuple(np.ceil(2 * (half + np.maximum(MARGIN_MM, MARGIN_SHARE * half))).tolist())
    off = {case.id: max(placed[case.id].off.values()) for case in cases if placed[case.id].off}
    worst = max(off, key=off.__getitem__)
    note = (
        f"Field of view: a region of {in_mm(size)} around {labels}, where {source.model} finds it. It contains all labels in {FITTING} % "
        f"of the training regions, with {MARGIN_MM:g} mm or more around them; their center is {np.median(list(off.values())):.1f} mm from the place "
        f"found in the median case, and {off[worst]:.1f} mm in {worst}. During the training, the epoch is chosen in these regions; the accuracy in "
        "the card is that of whole scans, in which the regions are found as in every later scan."
    )
    return FoundRegion(source.document, size, note)


def _place(case: Case, key: str, source: FindingModel, finder: Predictor) -> Placement:
    # Imported here because it loads torch.
    from ..inference.finding_by_model import found_centers

    image, label, _ = read_labelled(case)
    if image.channels != len(case.images):
        msg = f"{image.name} is in colors, and regions are found in gray scans; convert it."
        raise InputError(msg)
    finder.check(image)
    centers, unlike = found_centers(source, finder, image, lambda _fraction: None)
    centers = {} if unlike else centers
    voxels = label.voxels[0]
    index = np.argwhere((voxels != 0) & (voxels != case.reading.ignored_label))
    index = index[np.linspace(0, len(index) - 1, min(len(index), MEASURED)).astype(int)]
    offsets = image.to_ras(index)[:, None] - np.array(list(centers.values())).reshape(-1, 3)
    reach, off = {}, {}
    for number, name in enumerate(centers):
        own = offsets[np.linalg.norm(offsets, axis=-1).argmin(1) == number, number]
        if len(own):
            reach[name] = tuple((np.abs(own).max(0) + image.spacing[image.nearest_axes] / 2).tolist())
            off[name] = float(np.linalg.norm((own.min(0) + own.max(0)) / 2))
    return Placement(key, tuple((image.spacing * image.shape).tolist()), tuple(np.unique(voxels[voxels != 0]).tolist()), centers, reach, off)


def _key(case: Case, source: FindingModel, finder: Card) -> str:
    """A checksum of all that the places of the regions of a case depend on."""
    files = file_stamps((*case.images, case.label))
    return checksum(files, source.document, finder.raw["weights"]["sha256"], case.reading.ignored_label, case.reading.settings, case.rescale)


def checksum(*parts: object) -> str:
    """A name for a file that depends on these JSON types."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:24]
