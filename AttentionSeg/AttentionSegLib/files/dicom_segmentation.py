"""Writing of segmentations as DICOM Segmentation objects, which refer to the slices that were segmented."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydicom import dcmread

from .. import __version__
from ..errors import InputError
from ..image import Image
from ..writing import atomic_path
from .dicom import series_slices

if TYPE_CHECKING:
    from highdicom.seg import SegmentDescription
    from highdicom.sr import CodedConcept
    from pydicom import Dataset

    from ..models import Card, Code, Label

MAKER = "AttentionSeg"
# Attributes that identify the patient and are copied from the scan, besides UIDs (DICOM PS3.15, table E.1-1).
IDENTIFYING = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "OtherPatientIDs",
    "EthnicGroup",
    "PatientComments",
    "AccessionNumber",
    "ReferringPhysicianName",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "StudyDescription",
)


def check_highdicom() -> None:
    """Raise InputError if highdicom, which writes DICOM segmentations, is not installed or too old."""
    wrong = None if find_spec("highdicom") else "which is not installed"
    if wrong is None:
        from highdicom.color import CIELabColor

        # Before highdicom 0.27 it knew no RGB colors.
        wrong = None if hasattr(CIELabColor, "from_rgb") else f"and version {version('highdicom')} is too old"
    if wrong is not None:
        msg = f'DICOM segmentations need highdicom, {wrong}; run: pip install "highdicom>=0.27" (Python 3.10 or later).'
        raise InputError(msg)


def write_dicom_segmentation(labels: Image, card: Card, slices: Sequence[Path], path: Path | str, anonymize: bool = False) -> None:
    """Write a label map as DICOM Segmentation (binary, a segment for each label that was found), completely or not at all.

    Args:
        labels: label values [1, I, J, K] in the geometry of the series.
        card: names, colors and SNOMED CT terms of the labels; its id and version become the algorithm.
        slices: the files of the series, one slice each, in any order. Patient, study and frame of reference are taken from them.
        path: the file.
        anonymize: whether to leave out what identifies the patient, and the dates of the study. UIDs stay, which link it to the slices.

    Raises:
        InputError: if highdicom is not installed, there is no labeled voxel, the series is one multi-frame file or lacks attributes that an object
            needs.
        OutputError: if the file cannot be written.
    """
    check_highdicom()
    import highdicom

    ordered = [one.path for one in series_slices(slices, labels.name)]
    if len(set(ordered)) < len(ordered):
        msg = f"{ordered[0]} is a multi-frame file, of which no DICOM segmentation can be made here; use .seg.nrrd instead."
        raise InputError(msg)
    present = [label for label in card.labels if (labels.voxels == label.value).any()]
    if not present:
        msg = f"No label was found in {labels.name}, and a DICOM segmentation without segments is not valid; use .seg.nrrd instead."
        raise InputError(msg)
    # highdicom expects [slices, rows, columns, segments]; the image has columns, rows, slices.
    masks = np.stack([(labels.voxels[0] == label.value).transpose(2, 1, 0) for label in present], axis=-1).astype(np.uint8)
    try:
        segmentation = highdicom.seg.Segmentation(
            source_images=[dcmread(slice_path, stop_before_pixels=True) for slice_path in ordered],
            pixel_array=masks,
            segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
            segment_descriptions=[_description(number, label, card) for number, label in enumerate(present, 1)],
            series_instance_uid=highdicom.UID(),
            series_number=1000,
            sop_instance_uid=highdicom.UID(),
            instance_number=1,
            manufacturer=MAKER,
            manufacturer_model_name=card.id,
            software_versions=__version__,
            device_serial_number="0",
            series_description=f"{card.title} (research only)"[:64],
        )
    except (AttributeError, ValueError, TypeError, KeyError) as error:
        why = re.sub(r"'\w+' object has no attribute '(\w+)'", r"its files have no \1", str(error))
        msg = f"No DICOM segmentation of {ordered[0].parent} can be made ({why}); use .seg.nrrd instead."
        raise InputError(msg) from error
    if anonymize:
        _anonymize(segmentation)
    with atomic_path(path) as temporary:
        segmentation.save_as(temporary)


def _anonymize(segmentation: Dataset) -> None:
    for keyword in IDENTIFYING:
        if keyword in segmentation:
            setattr(segmentation, keyword, None)
    segmentation.PatientIdentityRemoved = "YES"
    segmentation.DeidentificationMethod = "Name, ID, dates and numbers of patient and study left out by AttentionSeg"


def _description(number: int, label: Label, card: Card) -> SegmentDescription:
    import highdicom

    algorithm = highdicom.AlgorithmIdentificationSequence(
        name=card.id, version=card.version, family=highdicom.sr.CodedConcept("123109", "DCM", "Artificial Intelligence")
    )
    description = highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=label.name[:64],
        segmented_property_category=_concept(label.category),
        segmented_property_type=_concept(label.type),
        algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm,
        display_color=highdicom.color.CIELabColor.from_rgb(*label.color),
    )
    modifiers = [_concept(code) for code in (label.laterality, label.modifier) if code is not None]
    if modifiers:
        description.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = modifiers
    return description


def _concept(code: Code) -> CodedConcept:
    import highdicom

    return highdicom.sr.CodedConcept(code.value, code.scheme, code.meaning[:64])
