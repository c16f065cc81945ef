"""A batch that is run again or was interrupted: nothing lost, nothing done twice."""

from __future__ import annotations

import csv
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from AttentionSegLib.errors import Cancelled, InputError, OutputError
from AttentionSegLib.files import read_image
from AttentionSegLib.inference import Predictor
from AttentionSegLib.lock import locked
from batch_runs import BAD, ENDINGS, GOOD, batch, contents, dates, lines
from batch_scans import write_scan
from tiny_models import save_unet

pytestmark = pytest.mark.usefixtures("blank_pictures")


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
