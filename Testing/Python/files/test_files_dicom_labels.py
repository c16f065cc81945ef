"""DICOM segmentations as label maps: segments by their names, frames at their places."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from AttentionSegLib.datasets.cases import Case, label_maps_in, read_labelled
from AttentionSegLib.datasets.label_reading import LabelReading
from AttentionSegLib.files import read_image
from AttentionSegLib.files.dicom_segmentation import write_dicom_segmentation
from AttentionSegLib.files.segments import read_segments
from AttentionSegLib.image import Image
from AttentionSegLib.models import Card
from builders import make_card_document
from dicom_series import directions_of, positions_of, write_series
from pydicom.uid import generate_uid

SHAPE = (9, 10, 11)
PATIENT = ("PatientID", "PatientName", "PatientBirthDate", "PatientSex")
EMPTY = (*PATIENT, "StudyID", "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName")


@pytest.fixture
def series(tmp_path) -> list[Path]:
    directions = directions_of("oblique")
    voxels = np.random.default_rng(0).integers(-1000, 1000, SHAPE).astype(np.int16)
    study = {"StudyInstanceUID": generate_uid(), "FrameOfReferenceUID": generate_uid(), "Modality": "CT", "SliceThickness": 2.5}
    return write_series(tmp_path / "series", voxels, positions_of(SHAPE[2], directions), directions, **study, **dict.fromkeys(EMPTY, ""))


def test_segments_are_known_by_their_names(tmp_path, series):
    pytest.importorskip("highdicom")
    # Slices at both ends and between are empty, and have no frames.
    labels = np.zeros(SHAPE, np.uint8)
    labels[2:4, 3:6, 4:8] = 1
    labels[5:7, 2:6, 3:9] = 2
    labels[:, :, 6] = 0
    scan = read_image(tmp_path / "series")
    (tmp_path / "labels").mkdir()
    path = tmp_path / "labels" / "a.dcm"
    write_dicom_segmentation(Image(labels[None], scan.affine), Card.from_document(make_card_document()), series, path)
    assert label_maps_in(tmp_path / "labels") == {"a": path}
    assert [segment.name for segment in read_segments(path)] == ["Hippocampus anterior", "Hippocampus posterior"]
    reading = LabelReading(names=[{2: "hippocampus ANTERIOR", 1: "Hippocampus posterior"}])
    found = read_labelled(Case("a", (tmp_path / "series",), path, reading))
    np.testing.assert_array_equal(found.label.voxels[0], np.choose(labels, (0, 2, 1)))
    assert found.notes == []


def test_a_slice_of_a_scan_has_no_segments(series):
    assert read_segments(series[0]) == ()
