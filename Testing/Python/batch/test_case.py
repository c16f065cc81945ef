"""One case from files to files: everything that was promised is there and readable."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from functools import partial
from unittest.mock import Mock

import nibabel
import numpy as np
import pytest
import slicerio
from AttentionSegLib.batch import read_case, segment_case, write_case
from AttentionSegLib.batch.earlier_result import scan_checksum
from AttentionSegLib.errors import InputError
from AttentionSegLib.files import read_image, write_map
from AttentionSegLib.image import Image
from AttentionSegLib.inference import Predictor
from case_files import ENDINGS, REGION, everything_in
from tiny_models import intensity_model, make_card


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

    def test_names_that_differ_in_signs_alone_have_files_of_their_own(self, predictor, scan, tmp_path):
        """Labels may have any name, such as T+ and T*."""
        image = read_image(scan)
        found = predictor(image, REGION, attention=False)
        flat = [replace(found.uncertainty, voxels=np.full_like(found.uncertainty.voxels, value)) for value in range(3)]
        maps = dict(zip(["why T+", "why t*", "why T"], flat))
        files = write_case(lambda *_: replace(found, attention=maps), predictor.model.card, image, [scan], tmp_path).files
        shown = {path.name.partition("_why_")[2]: path for path in files if "_why_" in path.name}
        assert sorted(shown) == ["T.nrrd", "T_.nrrd", "t_-2.nrrd"]
        assert [read_image(shown[name]).voxels.max() for name in ("T_.nrrd", "t_-2.nrrd", "T.nrrd")] == [0, 1, 2]

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
