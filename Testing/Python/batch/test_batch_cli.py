"""`attentionseg batch` from arguments to exit code."""

from __future__ import annotations

import json
from contextlib import nullcontext

import numpy as np
import pytest
from AttentionSegLib.cli import main
from AttentionSegLib.files import write_map
from AttentionSegLib.image import Image
from batch_scans import write_scan
from tiny_models import AS_IT_IS, save_unet

pytestmark = pytest.mark.usefixtures("blank_pictures")


def batch(*arguments: object) -> int:
    return main(["batch", *map(str, arguments), "--device", "cpu", "--backend", "torch"])


def test_segments_a_folder_and_says_what_failed(tmp_path, model, capfd):
    write_scan(tmp_path / "in" / "a.nii.gz", 0)
    (tmp_path / "in" / "b.nii").write_bytes(b"")
    options = (
        tmp_path / "in",
        "--output",
        tmp_path / "out",
        "--model",
        model,
        "--attention",
        "gate_3",
        "--format",
        "nii",
        "--region",
        "-1,5,5,9,9,9",
    )
    assert batch(*options) == 3
    out, err = capfd.readouterr()
    first, second, *files = out.splitlines()
    assert first == "failed: b: b.nii is an empty file; copy or export it again."
    assert second == "1 of 2 cases done (0 before this run), 1 failed. For research only; not a medical device."
    assert files == [str(tmp_path / "out" / name) for name in ("report.html", "measurements.csv", "manifest.jsonl")]
    assert err.splitlines()[-1] == "done: 100%"
    case = tmp_path / "out" / "cases" / "a"
    assert sorted(path.name for path in case.iterdir()) == [
        f"a_{ending}" for ending in ("gate_3.nii.gz", "overview.png", "report.json", "segmentation.nii.gz", "uncertainty.nii.gz")
    ]
    assert json.loads((case / "a_report.json").read_text())["region"]["size_mm"] == [9, 9, 9]
    (tmp_path / "in" / "b.nii").unlink()
    assert batch(*options) == 0
    assert capfd.readouterr().out.startswith("1 of 1 cases done (1 before this run), 0 failed.")


def test_a_memory_limit_reaches_the_engine(tmp_path, model, capfd, monkeypatch):
    limits = []
    monkeypatch.setattr("AttentionSegLib.inference.predictor.limited_memory", lambda _device, limit: limits.append(limit) or nullcontext())
    write_scan(tmp_path / "in" / "a.nii.gz", 0)
    options = (tmp_path / "in", "--output", tmp_path / "out", "--model", model, "--attention", "none")
    assert batch(*options, "--memory-limit", 0) == 2
    assert "The memory limit is 0 GB" in capfd.readouterr().err
    assert not (tmp_path / "out").exists()
    assert batch(*options, "--memory-limit", 2.5) == 0
    assert limits == [2.5]


def test_mirroring_and_overlap_reach_the_engine_and_decide_what_is_done_again(tmp_path, capfd):
    model = save_unet(tmp_path / "mirrored", id="tiny-mirrored", training={"mirror_axes": [0], "mirror_swaps": [[1, 2]]})
    write_scan(tmp_path / "in" / "a.nii.gz", 0)
    options = (tmp_path / "in", "--output", tmp_path / "out", "--model", model, "--attention", "none")
    assert batch(*options, "--overlap", 2) == 2
    assert "The overlap of patches is 2;" in capfd.readouterr().err
    assert not (tmp_path / "out").exists()
    dates = []
    for more in ((), ("--mirror", "--overlap", 0.75), ("--mirror", "--overlap", 0.75)):
        assert batch(*options, *more) == 0
        path = tmp_path / "out" / "cases" / "a" / "a_report.json"
        dates.append(path.stat().st_mtime_ns)
        report = json.loads(path.read_text(encoding="utf-8"))
        assert (report["mirroring"], report["overlap"]) == ((True, 0.75) if more else (False, 0.25))
    assert dates[0] != dates[1] == dates[2]


def test_channels_and_subfolders(tmp_path):
    inputs = [{"name": name, "modality": "MR", "normalization": AS_IT_IS} for name in ("T1", "FLAIR")]
    two = save_unet(tmp_path / "two", inputs=inputs)
    for seed, name in enumerate(("p1/x_0.nii.gz", "p1/x_1.nii.gz")):
        write_scan(tmp_path / "in" / name, seed)
    channels = "{case}_0.nii.gz,{case}_1.nii.gz"
    assert batch(tmp_path / "in", "--output", tmp_path / "out", "--model", two, "--channels", channels, "--recursive", "--attention", "none") == 0
    report = json.loads((tmp_path / "out" / "cases" / "p1__x" / "p1__x_report.json").read_text())
    assert report["inputs"] == [f"x_{n}.nii.gz" for n in (0, 1)]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("nowhere",), "There is no file or folder nowhere; give a folder of scans, a BIDS tree or a CSV file."),
        ((".", "--jobs", "0"), "The number of jobs is 0; give 1 or more."),
        ((".", "--region", "1,2"), "The region '1,2' is not six numbers"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(tmp_path, model, capfd, arguments, sentence):
    assert batch(*arguments, "--output", tmp_path / "out", "--model", model) == 2
    out, err = capfd.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith(f"attentionseg: {sentence}")
    assert not (tmp_path / "out").exists()


def test_resume_and_restart_exclude_each_other(tmp_path, model):
    with pytest.raises(SystemExit) as caught:
        batch(".", "--output", tmp_path / "out", "--model", model, "--resume", "--restart")
    assert caught.value.code == 2


def test_no_result_names_the_folders_above_what_the_user_gave(tmp_path, model):
    """Such a folder may be called after the patient."""
    scans = tmp_path / "Surname_Given_PID-77123"
    # Notes of a voxel without a number and of so small a scan.
    voxels = np.random.default_rng(0).uniform(0, 150, (1, 16, 14, 12))
    voxels[0, 0, 0, 0] = np.nan
    (scans / "visit").mkdir(parents=True)
    write_map(Image(voxels, np.diag([0.2, 0.2, 0.2, 1])), scans / "visit" / "a.nii.gz")
    (scans / "visit" / "b.nii").touch()
    assert batch(scans, "--recursive", "--output", tmp_path / "out", "--model", model, "--attention", "none") == 3
    options = ("--output", str(tmp_path / "one"), "--model", str(model), "--attention", "none")
    assert main(["segment", str(scans / "visit" / "a.nii.gz"), *options]) == 0
    written = [path for folder in ("out", "one") for path in (tmp_path / folder).rglob("*") if path.is_file()]
    texts = [path for path in written if path.suffix in (".json", ".jsonl", ".html", ".csv")]
    assert len(texts) >= 5
    assert [path for path in texts if "77123" in path.read_text(encoding="utf-8")] == []
    assert "a.nii.gz is only" in (tmp_path / "out" / "measurements.csv").read_text()
    assert "visit/b.nii is an empty file" in (tmp_path / "out" / "manifest.jsonl").read_text()
