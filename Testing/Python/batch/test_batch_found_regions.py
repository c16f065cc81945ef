"""Scans whose regions the model finds, from files to files: segmented one by one, and in a batch beside crops."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import heads
import numpy as np
import pytest
from AttentionSegLib.batch import BatchResult, segment_folder
from AttentionSegLib.cli import main
from AttentionSegLib.files import read_image, write_map
from AttentionSegLib.files.dicom_segmentation import write_dicom_segmentation
from AttentionSegLib.image import Image
from AttentionSegLib.models import Card, card_of_sides
from batch_scans import write_dicom
from builders import make_card_document
from PIL import Image as Picture

SIDES = ("right", "left")
NAMES = [f"Hippocampus {part}, {side}" for side in SIDES for part in ("anterior", "posterior")]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return heads.save_finder(tmp_path_factory.mktemp("models") / "finder", id="finder")


@pytest.fixture(scope="module")
def scans(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("scans")
    image, _ = heads.head((0, 4, -8))
    write_map(image, folder / "head.nrrd")
    write_map(Image(image.voxels[:, 20:32, 20:32, 20:32], image.affine), folder / "crop.nrrd")
    write_map(Image(np.random.default_rng(0).random((1, 50, 50, 50)), np.diag([3.0, 3.0, 3.0, 1.0])), folder / "noise.nrrd")
    return folder


@pytest.fixture(scope="module")
def results(scans, model, tmp_path_factory) -> BatchResult:
    return segment_folder(scans, tmp_path_factory.mktemp("results"), model, device="cpu")


class TestSegment:
    @pytest.fixture(scope="class")
    def printed(self, scans, model, tmp_path_factory) -> tuple[Path, str]:
        folder = tmp_path_factory.mktemp("segment")
        with pytest.MonkeyPatch.context() as patch:
            lines: list[str] = []
            patch.setattr("builtins.print", lambda *words, **_: lines.append(" ".join(map(str, words))))
            assert main(["segment", str(scans / "head.nrrd"), "--model", str(model), "--output", str(folder), "--device", "cpu"]) == 0
        return folder, "\n".join(lines)

    def test_both_sides_without_a_region(self, printed):
        folder, _ = printed
        found = read_image(folder / "head_segmentation.seg.nrrd").voxels
        assert set(np.unique(found)) <= {0, 1, 2, 3, 4}
        assert (found > 2).any()
        assert ((found > 0) & (found < 3)).any()

    def test_the_report_tells_where_the_regions_were_and_how_they_were_found(self, printed):
        folder, _ = printed
        report = json.loads((folder / "head_report.json").read_text(encoding="utf-8"))
        centers = heads.head((0, 4, -8))[1]
        assert report["region"] is None
        assert report["found"]["by"] == "registration of a head of formulas"
        assert 0.9 < report["found"]["similarity"] <= 1
        assert [region["name"] for region in report["found"]["regions"]] == list(SIDES)
        for region in report["found"]["regions"]:
            assert np.linalg.norm(np.subtract(region["center_ras_mm"], centers[region["name"]])) < 2
            assert region["size_mm"] == list(heads.REGION_MM)
        assert [label["name"] for label in report["labels"]] == NAMES
        assert "find" in report["seconds"]

    def test_so_does_the_terminal(self, printed):
        assert "Regions around right 3" in printed[1]
        assert "(RAS mm), by registration of a head of formulas, correlation 0.9" in printed[1]
        assert all(name in printed[1] for name in NAMES)

    def test_the_picture_is_there(self, printed):
        with Picture.open(printed[0] / "head_overview.png") as picture:
            assert picture.width == 1584


class TestBatch:
    def test_heads_need_no_region(self, results):
        assert sorted(results.done) == ["crop", "head"]
        assert "does not look like a head of formulas" in results.failed["noise"]

    def test_the_table_has_a_line_for_each_side(self, results):
        with (results.folder / "measurements.csv").open(newline="", encoding="utf-8") as stream:
            rows = [(row["case"], row["label"], row["value"]) for row in csv.DictReader(stream)]
        assert [row[1:] for row in rows if row[0] == "head"] == [(name, str(value)) for value, name in enumerate(NAMES, 1)]
        assert [row[1:] for row in rows if row[0] == "crop"] == [("Hippocampus anterior", "1"), ("Hippocampus posterior", "2")]

    def test_so_has_the_page(self, results):
        page = (results.folder / "report.html").read_text(encoding="utf-8")
        assert all(f"{name}, mL" in page for name in [*NAMES, "Hippocampus anterior", "Hippocampus posterior"])

    def test_what_is_done_is_not_done_again(self, results, scans, model):
        again = segment_folder(scans, results.folder, model, device="cpu")
        assert again.segmented == 1
        assert sorted(again.done) == ["crop", "head"]


def test_dicom_tells_the_side_beside_the_part(tmp_path):
    pydicom = pytest.importorskip("pydicom")
    pytest.importorskip("highdicom")
    empty = dict.fromkeys(("StudyID", "StudyDate", "StudyTime", "AccessionNumber", "PatientID", "PatientName", "PatientBirthDate", "PatientSex"), "")
    uid = "1.2.826.0.1.99"
    shape = write_dicom(tmp_path / "in", 0, Modality="MR", StudyInstanceUID=uid, FrameOfReferenceUID=uid + ".1", SliceThickness=2.5, **empty).shape
    document = make_card_document(**heads.entries(tmp_path / "model"))
    document["labels"][0]["terminology"]["modifier"] = {"scheme": "SCT", "value": "255549009", "meaning": "Anterior"}
    labels = np.zeros((1, *shape), np.uint8)
    labels[0, 1] = 3
    image = read_image(tmp_path / "in")
    slices = sorted((tmp_path / "in").iterdir())
    write_dicom_segmentation(
        Image(labels.reshape(1, *image.shape), image.affine), card_of_sides(Card.from_document(document)), slices, tmp_path / "s.dcm"
    )
    (segment,) = pydicom.dcmread(tmp_path / "s.dcm").SegmentSequence
    assert segment.SegmentLabel == "Hippocampus anterior, left"
    modifiers = segment.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence
    assert [code.CodeMeaning for code in modifiers] == ["Left", "Anterior"]
