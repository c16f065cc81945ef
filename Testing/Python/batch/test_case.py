"""One case from files to files: everything that was promised is there and readable, or nothing is."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from unittest.mock import Mock

import nibabel
import numpy as np
import pytest
import slicerio
from AttentionSegLib.batch import CaseResult, read_case, segment_case, write_case
from AttentionSegLib.batch import case as module
from AttentionSegLib.batch.earlier_result import scan_checksum
from AttentionSegLib.errors import Cancelled, InputError, InterruptedAfterwards
from AttentionSegLib.files import all_or_none, read_image, write_map
from AttentionSegLib.image import Image
from AttentionSegLib.inference import Predictor
from AttentionSegLib.region import Region
from poses import OBLIQUE, PERMUTED, affine_around
from tiny_models import intensity_model, make_card

REGION = Region((20, -30, 40), (9, 8, 7))
ENDINGS = {"nrrd": ("segmentation.seg.nrrd", "gate_2.nrrd", "gate_3.nrrd", "overview.png", "uncertainty.nrrd", "report.json")}
ENDINGS["nii"] = tuple(name.replace(".seg.nrrd", ".nii.gz").replace(".nrrd", ".nii.gz") for name in ENDINGS["nrrd"])


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(intensity_model(), "cpu")


@pytest.fixture(scope="module")
def scan(tmp_path_factory) -> Path:
    voxels = np.random.default_rng(0).uniform(0, 150, (1, 16, 14, 12))
    path = tmp_path_factory.mktemp("scans") / "Kopf ä 1.nii.gz"
    write_map(Image(voxels, affine_around((20, -30, 40), (16, 14, 12), OBLIQUE @ PERMUTED, (1, 1.2, 0.9))), path)
    return path


@pytest.fixture(scope="module")
def results(predictor, scan, tmp_path_factory) -> dict[str, CaseResult]:
    """By format. Both lie in a folder that was not there before."""
    folder = tmp_path_factory.mktemp("results")
    return {name: segment_case(predictor, [scan], folder / "new" / name, REGION, file_format=name) for name in ENDINGS}


def everything_in(folder: Path) -> dict[str, bytes | None]:
    """What lies in a folder, hidden things included."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


class TestFiles:
    @pytest.mark.parametrize("file_format", ENDINGS)
    def test_are_all_there_under_the_name_of_the_scan(self, results, file_format):
        files = results[file_format].files
        assert [path.name for path in files] == [f"Kopf_ä_1_{ending}" for ending in ENDINGS[file_format]]
        assert sorted(everything_in(files[0].parent)) == sorted(path.name for path in files)

    @pytest.mark.parametrize("file_format", ENDINGS)
    def test_hold_what_was_predicted_where_it_lies(self, predictor, scan, results, file_format):
        files, image = results[file_format].files, read_image(scan)
        prediction = predictor(image, REGION)
        expected = [prediction.labels, prediction.attention["gate_2"], prediction.attention["gate_3"], prediction.uncertainty]
        for path, wanted in zip([*files[:3], files[4]], expected):
            found = read_image(path)
            np.testing.assert_array_equal(found.voxels, wanted.voxels)
            np.testing.assert_allclose(found.affine, wanted.affine, atol=1e-4)
        np.testing.assert_allclose(read_image(files[0]).affine, image.affine, atol=1e-4)
        assert files[3].read_bytes().startswith(b"\x89PNG")

    def test_are_read_by_other_programs(self, scan, results):
        segments = slicerio.read_segmentation(str(results["nrrd"].files[0]))["segments"]
        assert [segment["name"] for segment in segments] == ["Hippocampus anterior", "Hippocampus posterior"]
        labels = nibabel.load(results["nii"].files[0])
        np.testing.assert_allclose(labels.affine, nibabel.load(scan).affine, atol=1e-4)
        assert set(np.unique(np.asarray(labels.dataobj))) == {0, 1, 2}

    def test_of_an_earlier_run_are_replaced_and_others_left_alone(self, predictor, scan, tmp_path):
        (tmp_path / "notes.txt").write_text("mine")
        (tmp_path / "Kopf_ä_1_segmentation.seg.nrrd").write_text("old")
        files = segment_case(predictor, [scan], tmp_path, attention=["gate_3"]).files
        assert [path.name for path in files if "gate" in path.name] == ["Kopf_ä_1_gate_3.nrrd"]
        assert everything_in(tmp_path).keys() == {"notes.txt", *(path.name for path in files)}
        assert (tmp_path / "notes.txt").read_text() == "mine"
        assert read_image(files[0]).shape == (16, 14, 12)

    def test_the_checksum_of_the_scan_is_computed_once(self, predictor, scan, tmp_path, monkeypatch):
        segment_case(predictor, [scan], tmp_path, REGION)
        computed = Mock(side_effect=Image.digest)
        monkeypatch.setattr(Image, "digest", lambda image: computed(image))
        segment_case(predictor, [scan], tmp_path, REGION)
        assert computed.call_count == 1

    def test_of_another_scan_are_not_replaced(self, predictor, scan, tmp_path):
        """Two patients whose scans have one name."""
        other = tmp_path / "other" / scan.name
        other.parent.mkdir()
        image = read_image(scan)
        write_map(Image(image.voxels[:, ::-1].copy(), image.affine), other)
        segment_case(predictor, [scan], tmp_path, REGION)
        before = everything_in(tmp_path)
        with pytest.raises(InputError, match="already holds a result of that name") as refused:
            segment_case(predictor, [other], tmp_path, REGION)
        assert str(other) in str(refused.value)
        assert everything_in(tmp_path) == before
        # The same scan may have moved.
        shutil.copy(scan, other)
        segment_case(predictor, [other], tmp_path, REGION)

    def test_of_another_scan_that_ends_meanwhile_are_not_replaced(self, predictor, scan, tmp_path):
        other, out = tmp_path / scan.name, tmp_path / "out"
        voxels = nibabel.load(scan).get_fdata() + 1
        nibabel.save(nibabel.Nifti1Image(voxels, nibabel.load(scan).affine), other)
        found = []

        def run_the_other(fraction: float, stage: str, left: float | None) -> None:
            if not found:
                found.append(segment_case(Predictor(predictor.model, "cpu"), [other], out, REGION))

        with pytest.raises(InputError, match="already holds a result of that name"):
            segment_case(predictor, [scan], out, REGION, on_progress=run_the_other)
        assert sorted(everything_in(out)) == sorted(path.name for path in found[0].files)
        assert json.loads(found[0].files[-1].read_text())["scan_checksum"] == scan_checksum(read_image(other))

    def test_of_another_model_are_not_replaced(self, predictor, scan, tmp_path):
        segment_case(predictor, [scan], tmp_path, REGION)
        model = intensity_model()
        other = Predictor(replace(model, card=replace(model.card, id="another-model")), "cpu")
        with pytest.raises(InputError, match="another-model"):
            segment_case(other, [scan], tmp_path, REGION)

    @pytest.mark.parametrize("content", ["", "[]", "{}", '{"model": 1, "inputs": []}'])
    def test_are_not_replaced_where_their_report_says_nothing(self, predictor, scan, tmp_path, content):
        report = tmp_path / "Kopf_ä_1_report.json"
        report.write_text(content)
        with pytest.raises(InputError, match="cannot be read as one"):
            segment_case(predictor, [scan], tmp_path, REGION)
        assert report.read_text() == content

    def test_can_be_read_by_everyone_who_may_read_a_new_file(self, results, tmp_path):
        ordinary = tmp_path / "ordinary.txt"
        ordinary.write_text("")
        assert {path.stat().st_mode for path in results["nrrd"].files} == {ordinary.stat().st_mode}


class TestReport:
    def test_says_what_was_done_and_found(self, scan, results):
        result = results["nrrd"]
        report = json.loads(result.files[-1].read_text(encoding="utf-8"))
        assert report["inputs"] == [scan.name]
        assert report["outputs"] == [path.name for path in result.files]
        assert report["model"]["id"] == "hippocampus-t1"
        assert report["region"]["center_ras_mm"] == [20, -30, 40]
        assert report["region"]["size_mm"] == [9, 8, 7]
        assert report["geometry"] == {"shape": [16, 14, 12], "spacing_mm": pytest.approx([1, 1.2, 0.9])}
        voxels = result.prediction.labels.voxels
        assert [label["voxels"] for label in report["labels"]] == [(voxels == 1).sum(), (voxels == 2).sum()]
        assert [entry["name"] for entry in report["attention"]] == ["gate_2", "gate_3"]
        assert (report["device"], report["notes"]) == ("cpu", [])
        assert list(report["seconds"]) == ["prepare", "network", "restore", "finish"]
        assert report["statement"] == "For research only; not a medical device."

    @pytest.mark.skipif(os.name != "posix", reason="names that are no text exist on posix systems only")
    def test_of_a_scan_whose_name_is_no_text(self, predictor, scan, tmp_path):
        odd = tmp_path / os.fsdecode(b"kopf\xff.nii.gz")
        try:
            shutil.copy(scan, odd)
        except OSError:
            pytest.skip("this file system refuses names that are no text")
        files = segment_case(predictor, [odd], tmp_path / "results", attention=False).files
        assert files[0].name == "kopf__segmentation.seg.nrrd"
        assert json.loads(files[-1].read_text(encoding="utf-8"))["inputs"][0].endswith("kopf\ufffd.nii.gz")


class TestFailure:
    """Half a result is worse than none: after a failure everything is as it was."""

    @pytest.mark.parametrize(
        ("step", "error"),
        [
            ("write_segmentation", OSError(28, "disk full")),
            ("write_map", OSError(28, "disk full")),
            ("write_overview", OSError(28, "disk full")),
            ("write_overview", KeyboardInterrupt()),
        ],
    )
    def test_while_writing(self, predictor, scan, tmp_path, monkeypatch, step, error):
        def fail(*_arguments, **_more):
            raise error

        segment_case(predictor, [scan], tmp_path, REGION)
        monkeypatch.setattr(module, step, fail)
        before = everything_in(tmp_path)
        for folder in (tmp_path, tmp_path / "new" / "results"):
            with pytest.raises(type(error)):
                segment_case(predictor, [scan], folder)
            assert everything_in(tmp_path) == before

    def test_while_writing_the_last_file(self, predictor, scan, tmp_path, monkeypatch):
        def fail(_report, path):
            assert len(list(path.parent.iterdir())) == 3
            raise OSError(28, "disk full")

        monkeypatch.setattr(module, "write_report", fail)
        with pytest.raises(OSError, match="disk full"):
            segment_case(predictor, [scan], tmp_path / "new" / "results", attention=False)
        assert everything_in(tmp_path) == {}

    def test_cancel(self, predictor, scan, tmp_path):
        before = everything_in(tmp_path)
        for moments in (0, 3):
            answers = iter([False] * moments + [True])
            with pytest.raises(Cancelled):
                segment_case(predictor, [scan], tmp_path / "new" / "results", cancel=lambda answers=answers: next(answers))
        assert everything_in(tmp_path) == before

    def test_when_the_region_holds_one_intensity_only(self, tmp_path):
        voxels = np.zeros((1, 16, 16, 16))
        voxels[0, 12:] = np.arange(4)[:, None, None]
        write_map(Image(voxels, np.eye(4)), tmp_path / "scan.nrrd")
        before = everything_in(tmp_path)
        z_score = [{"name": "T1", "modality": "MR", "normalization": {"kind": "z-score", "percentiles": [0, 100]}}]
        with pytest.raises(InputError, match="same intensity everywhere in the region"):
            segment_case(Predictor(intensity_model(inputs=z_score), "cpu"), [tmp_path / "scan.nrrd"], tmp_path / "new", Region((5, 5, 5), (4, 4, 4)))
        assert everything_in(tmp_path) == before


class TestBadInput:
    @pytest.mark.parametrize(
        ("inputs", "changes", "sentence"),
        [
            ([], {}, "needs 1 scan"),
            (["scan", "scan"], {}, r"needs 1 scan\(s\) \(T1 \(MR\)\), and 2 were given"),
            (["nowhere.nii"], {}, "There is no file"),
            (["scan"], {"region": Region((500, 0, 0), (5, 5, 5))}, "holds no voxel"),
            (["scan"], {"attention": ["gate_7"]}, "no attention map 'gate_7'"),
            (["scan"], {"file_format": "dicom"}, "no format 'dicom'; choose one of nrrd, nii"),
        ],
    )
    def test_makes_no_folder(self, predictor, scan, tmp_path, inputs, changes, sentence):
        paths = [scan if name == "scan" else tmp_path / name for name in inputs]
        with pytest.raises(InputError, match=sentence):
            segment_case(predictor, paths, tmp_path / "results", **changes)
        assert not (tmp_path / "results").exists()

    def test_a_file_in_the_place_of_the_folder(self, predictor, scan, tmp_path):
        (tmp_path / "results").write_text("mine")
        with pytest.raises(InputError, match=r"The output folder .*results cannot be used"):
            segment_case(predictor, [scan], tmp_path / "results")
        assert (tmp_path / "results").read_text() == "mine"


class TestAllOrNone:
    NAMES = ("a.nrrd", "b.nrrd", "c.nrrd", "d.nrrd")

    def write(self, folder: Path) -> None:
        with all_or_none(folder) as stage:
            for name in self.NAMES:
                (stage / name).write_text("new")

    @pytest.fixture
    def folder(self, tmp_path) -> Path:
        """With two files of the same names as new ones."""
        for name in ("b.nrrd", "d.nrrd", "mine.txt"):
            (tmp_path / name).write_text("old")
        return tmp_path

    def test_all(self, folder):
        self.write(folder)
        assert everything_in(folder) == {**dict.fromkeys(self.NAMES, b"new"), "mine.txt": b"old"}

    def test_an_interruption_after_the_move_says_so(self, folder, monkeypatch):
        monkeypatch.setattr(shutil, "rmtree", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(InterruptedAfterwards):
            self.write(folder)
        assert (folder / "d.nrrd").read_text() == "new"

    @pytest.mark.parametrize("moves", range(6))
    @pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
    def test_none_when_a_file_cannot_move_to_its_place(self, folder, monkeypatch, moves, error):
        replace, left = os.replace, [moves]

        def fail_once(source, target):
            left[0] -= 1
            if left[0] == -1:
                raise error
            replace(source, target)

        monkeypatch.setattr(module.os, "replace", fail_once)
        before = everything_in(folder)
        with pytest.raises(error):
            self.write(folder)
        assert left[0] < 0
        assert everything_in(folder) == before

    def test_none_when_a_folder_stands_in_the_place_of_a_file(self, folder):
        (folder / "c.nrrd").mkdir()
        (folder / "c.nrrd" / "deep.txt").write_text("mine")
        before = everything_in(folder)
        with pytest.raises(InputError, match=r"There is a folder at .*c\.nrrd, where a result file belongs; .*\."):
            self.write(folder)
        assert everything_in(folder) == before


def test_two_scans_make_two_channels(tmp_path, scan):
    other = tmp_path / "other.nii.gz"
    image = read_image(scan)
    write_map(Image(150 - image.voxels, image.affine), other)
    inputs = [{**entry, "name": name} for name, entry in zip(("T1", "FLAIR"), make_card().raw["inputs"] * 2)]
    predictor = Predictor(intensity_model(inputs=inputs), "cpu")
    both = read_case(predictor.model.card, [scan, other])
    np.testing.assert_allclose(both.voxels.sum(0), 150, atol=1e-4)
    report = write_case(partial(predictor.run, attention=False), predictor.model.card, both, [scan, other], tmp_path / "results").files[-1]
    assert json.loads(report.read_text(encoding="utf-8"))["inputs"] == [scan.name, other.name]
