"""DICOM segmentations as label maps: segments by their names, frames at their places."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from AttentionSegLib.datasets.case_files import label_maps_in
from AttentionSegLib.datasets.cases import Case, read_labelled
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


def test_anonymized_it_names_nobody_and_belongs_to_its_series(tmp_path):
    pytest.importorskip("highdicom")
    told = {"PatientName": "Surname^Given", "PatientID": "PID-77123", "PatientBirthDate": "19700102", "StudyDate": "20240506", "StudyTime": "070809"}
    told.update(AccessionNumber="A-4711", ReferringPhysicianName="Doctor^Who", StudyID="S-9", PatientAge="054Y", StudyDescription="MR of Surname")
    rest = dict.fromkeys(set(EMPTY) - set(told), "") | {"StudyInstanceUID": generate_uid(), "FrameOfReferenceUID": generate_uid(), "Modality": "CT"}
    voxels, directions = np.random.default_rng(0).integers(0, 100, SHAPE).astype(np.int16), directions_of("oblique")
    slices = write_series(tmp_path / "series", voxels, positions_of(SHAPE[2], directions), directions, SliceThickness=2.5, **rest, **told)
    labels = np.ones((1, *SHAPE), np.uint8)
    image = Image(labels, read_image(tmp_path / "series").affine)
    card = Card.from_document(make_card_document())
    paths = {name: tmp_path / f"{name}.dcm" for name in ("as it is", "anonymous")}
    write_dicom_segmentation(image, card, slices, paths["as it is"])
    write_dicom_segmentation(image, card, slices, paths["anonymous"], anonymize=True)
    assert b"PID-77123" in paths["as it is"].read_bytes()
    content = paths["anonymous"].read_bytes()
    assert [value for value in told.values() if value.encode() in content] == []
    assert rest["StudyInstanceUID"].encode() in content
    assert [segment.name for segment in read_segments(paths["anonymous"])] == ["Hippocampus anterior"]
