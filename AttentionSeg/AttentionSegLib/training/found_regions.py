"""Training on regions that another model finds: checks of that model, and crops of the cases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..datasets import CaseSet
from ..datasets.case_set import redrawn
from ..datasets.cases import ROLES, Case, named, read_labelled
from ..datasets.label_reading import LabelReading
from ..datasets.sides import left_right_pairs
from ..errors import InputError
from ..files.nifti import write_nifti
from ..inference.checks import larger_than_region
from ..inference.found_regions import left_out
from ..inference.parts import affine_from, bounds
from ..models import Card, find_model
from ..models.card import CARD_NAME
from ..models.found_by import FindingModel
from ..planning.grid import in_mm
from ..planning.plan_options import FoundRegion
from ..region import Region
from ..writing import atomic_folder
from .region_places import REGIONS, Placement, checksum, place_regions, plan_regions

if TYPE_CHECKING:
    from ..progress import Cancel, OnProgress


def check_finding(source: FindingModel, cases: CaseSet, modality: str | None, region: bool | None) -> list[str]:
    """Check the model that finds the regions of a training, and return the modalities of its inputs, which are all the same.

    Raises:
        InputError: if it is not installed or cannot find the regions of a model for these cases, the cases have no scans, the user wants a model
            for whole scans, or the labels have sides where regions of two sides are searched for.
    """
    found = Card.load(find_model(source.model) / CARD_NAME)
    channels, doing = len(cases.roles["train"][0].images), f"The model {source.model} cannot find the regions of a training"
    modalities = [channel.modality for channel in found.inputs]
    wrong = found.fault_as_finder(source, [modality] * channels if modality else modalities)
    sided = left_right_pairs(cases.label_names)
    if found.id != source.model:
        wrong = f"is a folder and not the id of an installed model; install it (attentionseg models import {source.model}), and name {found.id}"
    elif not channels:
        wrong = "needs scans, and the cases are label maps alone; give --images"
    elif wrong is None and channels != len(modalities):
        wrong = f"has other inputs ({', '.join(modalities)}), and the cases have {channels} scan(s)"
    elif wrong is None and len(set(modalities)) > 1:
        wrong = f"has inputs of several modalities ({', '.join(modalities)}), for which no training can be planned"
    elif wrong is None and region is False:
        wrong = "is for models of regions, and whole scans were asked for; leave out one of the two"
    elif wrong is None and len(source.regions) > 1 and sided:
        left, right = sided[0]
        wrong = f"finds both sides of one structure, and the labels have sides themselves; give both one value (--label-map {right}={left})"
    if wrong:
        msg = f"{doing}: it {wrong}."
        raise InputError(msg)
    return modalities


def surveyed_regions(
    cases: CaseSet,
    source: FindingModel,
    modalities: Sequence[str],
    folder: Path,
    device: str,
    on_progress: OnProgress | None,
    cancel: Cancel | None,
) -> tuple[CaseSet, CaseSet, FoundRegion]:
    """The cases, with other validation cases if those drawn cannot be used (see `redrawn`); crops of them; and the regions of the new model.

    For the arguments and errors see `place_regions`, `plan_regions` and `crop_cases`.
    """
    placed = place_regions(cases, source, modalities, folder, device, on_progress, cancel)
    cases = redrawn(cases, {case_id: set(place.labels) for case_id, place in placed.items()})
    planned = plan_regions(source, cases.roles["train"], placed)
    return cases, crop_cases(cases, source, planned.size, placed, folder)[0], planned


def regions_of(
    cases: CaseSet, source: FindingModel, card: Card, folder: Path, device: str, on_progress: OnProgress | None, cancel: Cancel | None
) -> tuple[CaseSet, CaseSet]:
    """Crops of the cases for a planned model whose regions another one finds, and the cases in which they were found.

    Cases that are regions themselves, as in the recipes of shipped models, are returned as they are. For errors see `place_regions`, `crop_cases`.
    """
    image, _, _ = read_labelled(cases.roles["train"][0])
    if not larger_than_region(image.spacing * image.shape, card.region_edges):
        return cases, cases
    placed = place_regions(cases, source, [channel.modality for channel in card.inputs], folder, device, on_progress, cancel)
    return crop_cases(cases, source, card.region_edges, placed, folder)


def crop_cases(
    cases: CaseSet, source: FindingModel, size: tuple[float, float, float], placed: dict[str, Placement], folder: Path
) -> tuple[CaseSet, CaseSet]:
    """Cut the regions out of the cases.

    Args:
        cases: whole scans.
        source: what found the regions.
        size: of a region in mm.
        placed: see `place_regions`.
        folder: of the training.

    Returns:
        The crops as cases of their own, and the cases in which regions were found.

    Raises:
        InputError: if a scan is no larger than a region, or no region was found in any case of a role.
        OutputError: if a crop cannot be written.
    """
    small = [case for case, place in placed.items() if not larger_than_region(place.extent, size)]
    if small:
        msg = (
            f"A model for regions of {in_mm(size)} takes scans up to twice that size for the region itself, such as {named(small)}; "
            "leave these out, or train without a model that finds the regions."
        )
        raise InputError(msg)
    crops: dict[str, list[Case]] = {}
    found: dict[str, list[Case]] = {}
    for role in ROLES:
        of_case = {case.id: list(_crops(case, source, size, placed[case.id], folder / REGIONS)) for case in cases.roles[role]}
        crops[role] = [crop for of in of_case.values() for crop in of]
        found[role] = [case for case in cases.roles[role] if of_case[case.id]]
        if not crops[role]:
            msg = f"{source.model} finds no region in any case of the role '{role}'; choose another model to find them."
            raise InputError(msg)
    every = [case.id for role in ROLES for case in cases.roles[role]]
    missed = sorted(set(every) - {case.id for role in ROLES for case in found[role]})
    notes = cases.notes
    if missed:
        notes += (f"{source.model} finds no region in {len(missed)} of {len(every)} cases, which are left out: {named(missed)}.",)
    return replace(cases, roles=crops, validation_seed=None, notes=notes), replace(cases, roles=found)


def _crops(case: Case, source: FindingModel, size: tuple[float, float, float], place: Placement, folder: Path) -> Iterator[Case]:
    """A case for each region of which the scan contains enough."""
    image, label, _ = read_labelled(case)
    regions, _ = left_out({name: Region(center, size) for name, center in place.centers.items()}, image)
    for name, region in regions.items():
        crop_id = case.id if len(source.regions) == 1 else f"{case.id}_{name}"
        first, last = bounds(image, region)
        crop = folder / checksum(place.key, size, name)
        scans, target = [crop / f"{crop_id}_{number:04}.nii.gz" for number in range(image.channels)], crop / f"{crop_id}.nii.gz"
        if not crop.is_dir():
            window, affine = tuple(slice(a, b) for a, b in zip(first, last)), affine_from(image.affine, first)
            with atomic_folder(crop) as temporary:
                for path, voxels in zip((*scans, target), (*image.voxels.astype(np.float32), label.voxels[0].astype(np.int32))):
                    write_nifti(temporary / path.name, voxels[window], affine)
        yield Case(crop_id, tuple(scans), target, LabelReading(ignored_label=case.reading.ignored_label))
