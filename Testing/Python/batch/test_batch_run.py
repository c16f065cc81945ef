"""A batch from a folder of scans to a folder of results: every good scan has its files, every bad one its reason."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from AttentionSegLib.batch.cohort import find_cases
from AttentionSegLib.errors import InputError
from AttentionSegLib.files import read_image
from AttentionSegLib.inference import Predictor
from batch_runs import BAD, ENDINGS, GOOD, batch, lines
from batch_scans import write_dicom, write_scan
from tiny_models import make_card

pytestmark = pytest.mark.usefixtures("blank_pictures")


class TestResults:
    def test_every_good_case_has_its_files_and_every_bad_one_a_reason(self, unbroken):
        assert sorted(unbroken.done) == sorted(GOOD)
        assert unbroken.failed.keys() == BAD.keys()
        for name, sentence in BAD.items():
            assert sentence in unbroken.failed[name]
        assert {path.name: sorted(file.name for file in path.iterdir()) for path in (unbroken.folder / "cases").iterdir()} == {
            name: [f"{name}_{ending}" for ending in ENDINGS] for name in GOOD
        }
        assert [path.name for path in unbroken.files] == ["report.html", "measurements.csv", "manifest.jsonl"]

    def test_are_those_of_the_case_alone(self, scans, model, unbroken):
        predictor = Predictor(model, "cpu", "torch")
        for name, file in GOOD.items():
            expected = predictor(read_image(scans / file)).labels.voxels
            np.testing.assert_array_equal(read_image(unbroken.folder / "cases" / name / f"{name}_segmentation.seg.nrrd").voxels, expected)

    def test_the_manifest_has_a_line_for_each_case(self, unbroken, scans):
        found = lines(unbroken.folder)
        assert found.keys() == {*GOOD, *BAD}
        a = found["a"]
        assert (a["state"], a["inputs"], a["error"]) == ("done", ["a.nii.gz"], None)
        assert a["outputs"] == {path.name: path.stat().st_size for path in (unbroken.folder / "cases" / "a").iterdir()}
        assert next(iter(a["outputs"])) == "a_segmentation.seg.nrrd"
        assert (found["text"]["state"], found["text"]["error"]) == ("failed", unbroken.failed["text"])

    def test_the_table_has_a_line_for_each_case_and_label(self, unbroken):
        with open(unbroken.folder / "measurements.csv", encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        assert [(row["case"], row["value"]) for row in rows] == [(name, value) for name in sorted(GOOD) for value in "12"]
        for row in rows:
            voxels = read_image(unbroken.folder / "cases" / row["case"] / f"{row['case']}_segmentation.seg.nrrd").voxels
            assert int(row["voxels"]) == (voxels == int(row["value"])).sum()
            assert float(row["milliliters"]) == pytest.approx(int(row["voxels"]) / 1000)


def test_progress_rises_to_the_end(scans, model, tmp_path):
    seen = []
    batch(scans, tmp_path, model, pattern="a.*", on_progress=lambda *step: seen.append(step))
    fractions = [fraction for fraction, _, _ in seen]
    assert fractions == sorted(fractions)
    assert {stage for _, stage, _ in seen} == {"case 1 of 1", "done"}


def test_results_may_lie_among_the_scans(scans, model, tmp_path):
    write_scan(tmp_path / "x" / "a.nii.gz", 0)
    for _ in range(2):
        result = batch(tmp_path, tmp_path / "results", model, recursive=True)
        assert result.done == ["x__a"]


def test_long_names_with_accents(model, tmp_path):
    write_scan(tmp_path / "in" / ("ü é" * 46 + ".nii.gz"), 0)
    (name,) = batch(tmp_path / "in", tmp_path / "out", model).done
    assert sorted(path.name for path in (tmp_path / "out" / "cases" / name).iterdir()) == [f"{name}_{ending}" for ending in ENDINGS]


def test_dicom_series(model, tmp_path):
    voxels = write_dicom(tmp_path / "in", 0, Modality="MR", SeriesNumber=2)
    write_dicom(tmp_path / "in", 1, Modality="MR", SeriesNumber=1, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    result = batch(tmp_path / "in", tmp_path / "out", model)
    assert (result.done, [one.reason for one in result.skipped]) == (["in"], ["a localizer"])
    segmentation = read_image(tmp_path / "out" / "cases" / "in" / "in_segmentation.seg.nrrd")
    scan = read_image(find_cases(tmp_path / "in", make_card()).cases[0].inputs[0])
    assert segmentation.shape == voxels.shape
    np.testing.assert_allclose(segmentation.affine, scan.affine, atol=1e-6)
    assert batch(tmp_path / "in", tmp_path / "out", model).segmented == 0


def test_dicom_segmentation(model, tmp_path):
    pydicom, uid = pytest.importorskip("pydicom"), "1.2.826.0.1.99"
    pytest.importorskip("highdicom")
    empty = dict.fromkeys(("StudyID", "StudyDate", "StudyTime", "AccessionNumber", "PatientBirthDate", "PatientSex"), "")
    write_dicom(tmp_path / "in", 0, Modality="MR", StudyInstanceUID=uid, FrameOfReferenceUID=uid + ".1", SliceThickness=2.5, **empty)
    batch(tmp_path / "in", tmp_path / "out", model, dicom=True)
    case = tmp_path / "out" / "cases" / "in"
    labels = read_image(case / "in_segmentation.seg.nrrd")
    found = pydicom.dcmread(case / "in_segmentation.dcm")
    sources = {one.SOPInstanceUID: one for one in map(pydicom.dcmread, (tmp_path / "in").iterdir())}
    assert {one.ReferencedSOPInstanceUID for one in found.ReferencedSeriesSequence[0].ReferencedInstanceSequence} == sources.keys()
    assert (found.Modality, found.StudyInstanceUID, found.FrameOfReferenceUID) == ("SEG", uid, uid + ".1")
    numbers = {one.SegmentNumber: int(one.SegmentLabel.endswith("posterior")) + 1 for one in found.SegmentSequence}
    assert {one.SegmentedPropertyTypeCodeSequence[0].CodeValue for one in found.SegmentSequence} == {"5366008"}
    drawn = np.zeros_like(labels.voxels[0])
    for frame, place in zip(found.pixel_array, found.PerFrameFunctionalGroupsSequence):
        position = np.array(place.PlanePositionSequence[0].ImagePositionPatient, dtype=float) * (-1, -1, 1)
        k = round(float(labels.to_ijk(position)[2]))
        # With one segment, what all frames share says which.
        group = place if "SegmentIdentificationSequence" in place else found.SharedFunctionalGroupsSequence[0]
        drawn[:, :, k][frame.T > 0] = numbers[group.SegmentIdentificationSequence[0].ReferencedSegmentNumber]
        source = place.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        np.testing.assert_allclose(np.array(sources[source].ImagePositionPatient, dtype=float) * (-1, -1, 1), position, atol=1e-6)
    np.testing.assert_array_equal(drawn, labels.voxels[0])


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"attention": ["gate_9"]}, "no attention map 'gate_9'"),
        ({"file_format": "dicom"}, "no format 'dicom'"),
        ({"jobs": 0}, "The number of jobs is 0; give 1 or more."),
        ({"device": "tpu"}, "tpu"),
        ({"pattern": "*.mha"}, r"There is no case in .*, or another pattern than '\*\.mha'\."),
    ],
)
def test_bad_options_make_no_folder(scans, model, tmp_path, changes, sentence):
    with pytest.raises(InputError, match=sentence):
        batch(scans, tmp_path / "results", model, **changes)
    assert not (tmp_path / "results").exists()
