"""A case that cannot be finished leaves nothing: every file is there, or none."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from AttentionSegLib.batch import case as module
from AttentionSegLib.batch import segment_case
from AttentionSegLib.errors import Cancelled, InputError, InterruptedAfterwards
from AttentionSegLib.files import all_or_none, write_map
from AttentionSegLib.image import Image
from AttentionSegLib.inference import Predictor
from AttentionSegLib.region import Region
from case_files import REGION, everything_in
from tiny_models import intensity_model


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
