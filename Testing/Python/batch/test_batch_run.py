"""A batch from a folder of scans to a folder of results: nothing lost, nothing done twice, nobody's bad scan ends the night."""

from __future__ import annotations

import csv
import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import nibabel
import numpy as np
import pytest
from AttentionSegLib.batch import BatchResult, segment_folder
from AttentionSegLib.batch.cohort import find_cases
from AttentionSegLib.errors import Cancelled, InputError, OutputError
from AttentionSegLib.files import read_image
from AttentionSegLib.inference import Predictor
from AttentionSegLib.lock import locked
from batch_scans import write_dicom, write_scan
from tiny_models import make_card, save_unet

pytestmark = pytest.mark.usefixtures("blank_pictures")

GOOD = {"a": "a.nii.gz", "b_ä": "b ä.nii.gz", "c": "c.nrrd"}
BAD = {"empty": "is an empty file", "four": "holds 3 volumes", "text": "text.nii.gz"}
ENDINGS = ("overview.png", "report.json", "segmentation.seg.nrrd", "uncertainty.nrrd")


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return save_unet(tmp_path_factory.mktemp("models") / "tiny", id="tiny-unet")


@pytest.fixture(scope="module")
def scans(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("scans")
    for seed, name in enumerate(GOOD.values()):
        write_scan(folder / name, seed)
    (folder / "empty.nii").write_bytes(b"")
    (folder / "text.nii.gz").write_text("This is no scan. " * 40)
    nibabel.save(nibabel.Nifti1Image(np.zeros((5, 5, 5, 3), np.float32), np.eye(4)), folder / "four.nii.gz")
    return folder


@pytest.fixture(scope="module")
def unbroken(scans, model, tmp_path_factory) -> BatchResult:
    return batch(scans, tmp_path_factory.mktemp("unbroken"), model)


@pytest.fixture
def finished(scans, unbroken, tmp_path) -> tuple[Path, Path]:
    """Scans and results of a finished run, to be changed."""
    for folder, name in ((scans, "scans"), (unbroken.folder, "results")):
        shutil.copytree(folder, tmp_path / name)
    return tmp_path / "scans", tmp_path / "results"


def batch(source: Path, output: Path, model: Path, **changes) -> BatchResult:
    return segment_folder(source, output, model, **{"attention": False, "device": "cpu", "backend": "torch", **changes})


def contents(output: Path) -> dict[str, bytes]:
    """The result files of all cases but their reports, which hold the time."""
    return {path.relative_to(output).as_posix(): path.read_bytes() for path in (output / "cases").rglob("*.*") if path.suffix != ".json"}


def lines(output: Path) -> dict[str, dict]:
    return {entry["case"]: entry for entry in map(json.loads, (output / "manifest.jsonl").read_text(encoding="utf-8").splitlines())}


def dates(output: Path) -> dict[str, int]:
    """When each case's segmentation was written."""
    return {path.parent.name: path.stat().st_mtime_ns for path in (output / "cases").rglob("*_segmentation.*")}


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


class TestResume:
    def test_does_nothing_again(self, finished, unbroken, model):
        scans, results = finished
        before = dates(results)
        result = batch(scans, results, model)
        assert dates(results) == before
        assert (sorted(result.done), result.failed.keys(), result.segmented) == (sorted(GOOD), BAD.keys(), len(BAD))

    def test_does_what_is_missing_or_changed(self, finished, model):
        scans, results = finished
        (results / "cases" / "a" / "a_uncertainty.nrrd").unlink()
        write_scan(scans / "c.nrrd", 9)
        write_scan(scans / "text.nii.gz", 8)
        os.utime(scans / GOOD["b_ä"])
        before = dates(results)
        result = batch(scans, results, model)
        after = dates(results)
        assert sorted(result.done) == sorted([*GOOD, "text"])
        assert after.pop("text")
        assert {name for name in after if after[name] != before[name]} == {"a", "c"}
        expected = Predictor(model, "cpu", "torch")(read_image(scans / "c.nrrd")).labels.voxels
        np.testing.assert_array_equal(read_image(results / "cases" / "c" / "c_segmentation.seg.nrrd").voxels, expected)

    @pytest.mark.parametrize("change", ["weights", "options", "restart"])
    def test_does_all_when_model_or_options_changed(self, finished, model, tmp_path, change):
        scans, results = finished
        for name in ("b ä.nii.gz", "c.nrrd", "four.nii.gz", "empty.nii"):
            (scans / name).unlink()
        before = dates(results)
        other = save_unet(tmp_path / "other", id="tiny-unet", version="1.0.1") if change == "weights" else model
        batch(scans, results, other, **{"options": {"attention": ["gate_3"]}, "restart": {"restart": True}}.get(change, {}))
        after = dates(results)
        assert {name for name in after if after[name] != before[name]} == {"a"}
        if change == "options":
            assert (results / "cases" / "a" / "a_gate_3.nrrd").is_file()

    def test_goes_on_from_the_manifest_of_an_older_version(self, finished, model):
        scans, results = finished
        before = dates(results)
        older = [entry for entry in lines(results).values() if entry["state"] == "done"]
        for entry in older:
            del entry["schema"], entry["options"]["overlap"]
            entry["labels"] = [{key: value for key, value in label.items() if key != "components"} for label in entry["labels"]]
        (results / "manifest.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in older), encoding="utf-8")
        batch(scans, results, model)
        assert dates(results) == before
        with open(results / "measurements.csv", encoding="utf-8", newline="") as file:
            assert {(row["components"], bool(row["milliliters"])) for row in csv.DictReader(file)} == {("", True)}

    def test_a_newer_manifest_is_refused_before_any_work(self, finished, model):
        scans, results = finished
        write_scan(scans / "d.nii.gz", 3)
        (results / "manifest.jsonl").write_text('{"schema": 99}\n')
        with pytest.raises(InputError, match="of a newer version"):
            batch(scans, results, model, restart=True)
        assert not (results / "cases" / "d").exists()
        assert (results / "manifest.jsonl").read_text() == '{"schema": 99}\n'

    def test_keeps_the_results_of_other_scans(self, finished, model, tmp_path):
        _, results = finished
        write_scan(tmp_path / "more" / "d.nii.gz", 4)
        result = batch(tmp_path / "more", results, model)
        assert result.done == ["d"]
        assert sorted(name for name, entry in lines(results).items() if entry["state"] == "done") == sorted([*GOOD, "d"])
        assert set(lines(results)) & set(BAD) == set()
        with open(results / "measurements.csv", encoding="utf-8", newline="") as file:
            flags = {row["case"]: ("did not find its scan" in row["flags"], row["model"]) for row in csv.DictReader(file)}
        assert flags == {name: (name != "d", "tiny-unet 1.0.0") for name in [*GOOD, "d"]}

    def test_results_of_another_model_are_not_replaced_unless_asked(self, finished, model, tmp_path):
        scans, results = finished
        other = save_unet(tmp_path / "other", id="other-unet")
        before = dates(results)
        with pytest.raises(InputError, match=r"holds results of tiny-unet 1\.0\.0; .*--restart"):
            batch(scans, results, other)
        assert dates(results) == before
        batch(scans / "c.nrrd", results, other, restart=True)
        assert lines(results)["c"]["model"].startswith("other-unet")


class TestInterruption:
    def kill_and_resume(self, scans, model, unbroken, output, kills) -> None:
        command = [sys.executable, str(Path(__file__).with_name("killed_batch.py")), str(scans), str(output), str(model)]
        for _ in range(kills):
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            manifest, ended = output / "manifest.jsonl", time.monotonic() + 120
            while process.poll() is None and time.monotonic() < ended and not (manifest.is_file() and self.wait_over(output)):
                time.sleep(0.02)
            process.kill()
            process.wait()
            assert all(sorted(path.name for path in folder.iterdir()) == self.expected(folder) for folder in (output / "cases").glob("[!.]*"))
        result = batch(scans, output, model)
        assert contents(output) == contents(unbroken.folder)
        assert result.failed.keys() == BAD.keys()
        assert not list((output / "cases").glob(".*"))

    def wait_over(self, output: Path) -> bool:
        return (output / "cases").is_dir() and random.random() < 0.02

    def expected(self, folder: Path) -> list[str]:
        return [f"{folder.name}_{ending}" for ending in ENDINGS]

    def test_by_a_kill(self, scans, model, unbroken, tmp_path):
        self.kill_and_resume(scans, model, unbroken, tmp_path / "results", 1)

    @pytest.mark.slow
    def test_by_many_kills(self, scans, model, unbroken, tmp_path):
        self.kill_and_resume(scans, model, unbroken, tmp_path / "results", 10)

    def test_by_cancel_keeps_what_is_done(self, scans, model, unbroken, tmp_path):
        seen = []
        with pytest.raises(Cancelled):
            batch(scans, tmp_path, model, jobs=1, on_progress=lambda *step: seen.append(step), cancel=lambda: bool(list(tmp_path.glob("cases/a/*"))))
        done = [name for name, entry in lines(tmp_path).items() if entry["state"] == "done"]
        assert done in (["a"], ["a", "b_ä"])
        assert (tmp_path / "report.html").is_file()
        before = dates(tmp_path)
        batch(scans, tmp_path, model, on_progress=lambda *step: seen.append(step))
        assert {name: date for name, date in dates(tmp_path).items() if name in done} == before
        assert contents(tmp_path) == contents(unbroken.folder)
        assert seen[-1] == (1.0, "done", 0.0)

    @pytest.mark.skipif(sys.platform == "win32", reason="the size of files can be limited on posix systems only")
    def test_by_a_full_disk(self, scans, model, unbroken, tmp_path):
        import resource

        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, limits[1]))
        try:
            with pytest.raises(OutputError, match=r"cases/a/\S+ cannot be written \(File too large\).* 0 of 1 cases are"):
                batch(scans, tmp_path, model, pattern="a.*")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert list((tmp_path / "cases").iterdir()) == []
        assert lines(tmp_path) == {}
        batch(scans, tmp_path, model, pattern="a.*")
        assert contents(tmp_path).items() <= contents(unbroken.folder).items()

    def test_by_another_run(self, scans, model, tmp_path):
        with locked(tmp_path), pytest.raises(InputError, match=r"Another run .* is working in"):
            batch(scans, tmp_path, model)


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
        ({"pattern": "*.mha"}, "There is no case in"),
    ],
)
def test_bad_options_make_no_folder(scans, model, tmp_path, changes, sentence):
    with pytest.raises(InputError, match=sentence):
        batch(scans, tmp_path / "results", model, **changes)
    assert not (tmp_path / "results").exists()
