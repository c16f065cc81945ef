"""A batch on DICOM series that cannot have all results, or whose folder changes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from AttentionSegLib.batch import segment_folder
from AttentionSegLib.cli import main
from AttentionSegLib.errors import InputError
from batch_scans import write_dicom
from dicom_series import directions_of, positions_of, write_series

pytestmark = pytest.mark.usefixtures("blank_pictures")


def batch(folder: Path, model: Path, **options):
    return segment_folder(folder / "in", folder / "out", model, attention=False, device="cpu", backend="torch", **options)


def test_a_segmentation_that_cannot_be_dicom_stays_as_it_is(tmp_path, model):
    pytest.importorskip("highdicom")
    write_dicom(tmp_path / "in", 0, Modality="MR", SeriesInstanceUID=None)
    result = batch(tmp_path, model, dicom=True)
    assert result.done == ["in"]
    assert (tmp_path / "out" / "cases" / "in" / "in_segmentation.seg.nrrd").is_file()
    report = json.loads((tmp_path / "out" / "cases" / "in" / "in_report.json").read_text(encoding="utf-8"))
    for notes in (result.entries["in"].notes, report["notes"]):
        assert any("No DICOM segmentation of in can be made (its files have no " in note for note in notes)


def test_a_highdicom_that_is_too_old_is_refused_before_any_work(tmp_path, model, monkeypatch):
    color = pytest.importorskip("highdicom.color")
    monkeypatch.delattr(color.CIELabColor, "from_rgb")
    write_dicom(tmp_path / "in", 0, Modality="MR")
    with pytest.raises(InputError, match="too old"):
        batch(tmp_path, model, dicom=True)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("derived", [{"Modality": "SEG"}, {"Modality": "MR", "ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}])
def test_what_is_derived_from_a_scan_does_not_rename_it(tmp_path, model, derived):
    write_dicom(tmp_path / "in", 0, Modality="MR", SeriesNumber=2)
    assert batch(tmp_path, model).done == ["in"]
    write_dicom(tmp_path / "in", 1, SeriesNumber=3, **derived)
    again = batch(tmp_path, model)
    assert (again.done, again.segmented) == (["in"], 0)


def test_irregular_slices_are_resampled_when_asked(tmp_path, model):
    axial = directions_of("axial")
    voxels = np.random.default_rng(0).integers(0, 150, (6, 5, 4), np.int16)
    write_series(tmp_path / "in", voxels, positions_of(4, axial) + np.arange(4)[:, None] * axial[1], axial, Modality="MR")
    assert "gantry tilt" in batch(tmp_path, model).failed["in"]
    assert any("regular grid" in note for note in batch(tmp_path, model, regularize=True).entries["in"].notes)


class TestSegment:
    """`attentionseg segment` on a folder with several scans."""

    @pytest.fixture
    def folder(self, tmp_path) -> Path:
        for number, modality in ((2, "MR"), (3, "MR"), (4, "SEG")):
            write_dicom(tmp_path / "in", number, Modality=modality, SeriesNumber=number)
        return tmp_path / "in"

    def test_takes_the_one_that_is_named(self, folder, model, tmp_path, capfd):
        more = ["--model", str(model), "--output", str(tmp_path / "out"), "--attention", "none", "--device", "cpu"]
        assert main(["segment", str(folder), *more]) == 2
        assert "--series" in capfd.readouterr().err
        assert main(["segment", str(folder), "--series", "3", *more]) == 0
        assert (tmp_path / "out" / "in_segmentation.seg.nrrd").is_file()

    def test_one_name_for_two_folders(self, folder, model, tmp_path, capfd):
        assert main(["segment", str(folder), "--series", "2", "--series", "3", "--model", str(model), "--output", str(tmp_path / "out")]) == 2
        assert "2 time(s), for 1 DICOM folder(s)" in capfd.readouterr().err
