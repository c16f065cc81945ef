"""The command line from arguments to exit code: what it segments, the models that it lists, and what it says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from AttentionSegLib import cli
from AttentionSegLib.cli import main
from AttentionSegLib.files import read_image
from AttentionSegLib.inference import checks
from AttentionSegLib.models import card
from AttentionSegLib.reporting import measurements
from command_line import refused, segment
from tiny_models import save_unet

pytestmark = pytest.mark.usefixtures("blank_pictures")
RESEARCH_ONLY = "For research only; not a medical device."


class TestSegment:
    def test_writes_everything_and_says_so(self, scan, output, capfd):
        assert segment(scan, "--model", "tiny-unet", "--output", output) == 0
        out, err = capfd.readouterr()
        lines = out.splitlines()
        endings = ("segmentation.seg.nrrd", "gate_2.nrrd", "gate_3.nrrd", "overview.png", "uncertainty.nrrd", "report.json")
        assert lines[-6:] == [str(output / f"head_{ending}") for ending in endings]
        assert sorted(output.iterdir()) == sorted(map(Path, lines[-6:]))
        labels = json.loads((output / "head_report.json").read_text())["labels"]
        for line, label in zip(lines, labels):
            found = re.fullmatch(r"(.+?) +([0-9.]+) mL +([0-9]+) voxels", line)
            assert (found[1], float(found[2]), int(found[3])) == (label["name"], pytest.approx(label["milliliters"], abs=0.006), label["voxels"])
        assert re.fullmatch(rf"A tiny model 1\.0\.0 on cpu, [0-9.]+ s\. {RESEARCH_ONLY}", lines[2])
        steps = [re.fullmatch(r"(prepare|network|restore|finish|done): ([0-9]+)%(, [0-9]+ s left)?", line) for line in err.splitlines()]
        assert all(steps)
        assert [step[1] for step in steps] == sorted((step[1] for step in steps), key=["prepare", "network", "restore", "finish", "done"].index)
        percents = [int(step[2]) for step in steps]
        assert percents == sorted(percents)
        assert percents[-1] == 100

    @pytest.mark.parametrize(
        ("region", "attention", "maps"),
        [(["--region", "-20,30,-40,6,5,4"], "none", []), (["--region=-20,30,-40,6,5,4"], "gate_3, gate_2", ["gate_2.nii.gz", "gate_3.nii.gz"])],
    )
    def test_a_region_may_begin_with_a_minus_and_maps_be_chosen(self, scan, output, models, region, attention, maps):
        assert segment(*region, scan, "--model", models / "tiny", "--output", output, "--attention", attention, "--format", "nii") == 0
        report = json.loads((output / "head_report.json").read_text())
        assert (report["region"]["center_ras_mm"], report["region"]["size_mm"]) == ([-20, 30, -40], [6, 5, 4])
        names = ["segmentation.nii.gz", *maps, "overview.png", "uncertainty.nii.gz", "report.json"]
        assert report["outputs"] == [f"head_{name}" for name in names]
        assert sorted(path.name for path in output.iterdir()) == sorted(report["outputs"])

    def test_mirroring_and_overlap(self, scan, output, models, capfd):
        """Mirroring gives other numbers than without; refused where the model was not trained so."""
        uncertainty = {}
        for options in ((), ("--mirror",)):
            folder = output / str(len(options))
            assert segment(scan, "--model", "tiny-mirrored", "--output", folder, "--attention", "none", *options) == 0
            uncertainty[options] = read_image(folder / "head_uncertainty.nrrd").voxels
            assert json.loads(next(folder.glob("*_report.json")).read_text(encoding="utf-8"))["mirroring"] == bool(options)
        assert np.abs(uncertainty[()] - uncertainty["--mirror",]).max() > 1e-3
        assert segment(scan, "--model", "tiny-unet", "--output", output / "overlap", "--attention", "none", "--overlap", "0.75") == 0
        assert json.loads((output / "overlap" / "head_report.json").read_text(encoding="utf-8"))["overlap"] == 0.75
        capfd.readouterr()
        assert "tiny-unet was not trained on scans mirrored" in refused(capfd, output / "refused", scan, "--model", "tiny-unet", "--mirror")

    def test_a_run_reads_the_card_checks_the_scan_and_measures_the_labels_once(self, scan, output, tmp_path, monkeypatch):
        calls = []

        def counted(owner, name):
            original = getattr(owner, name)
            monkeypatch.setattr(owner, name, lambda *arguments: calls.append(name) or original(*arguments))

        counted(card, "check_schema")
        counted(checks, "check_voxels")
        counted(measurements, "_sums_by_value")
        assert segment(scan, "--model", save_unet(tmp_path / "fresh"), "--output", output, "--attention", "none") == 0
        # The first is that of `save_unet`.
        assert calls == ["check_schema", "check_schema", "check_voxels", "_sums_by_value"]


class TestModels:
    def test_lists_what_a_model_needs_and_gives(self, capfd, models):
        assert main(["models"]) == 0
        entry = capfd.readouterr().out.split("tiny-unet 1.0.0\n")[1].splitlines()[:5]
        assert [line.strip() for line in entry] == [
            "A tiny model",
            "needs T1 (MR)",
            "labels: Hippocampus anterior; Hippocampus posterior",
            "weights: CC-BY-SA-4.0",
            str(models / "tiny"),
        ]

    def test_says_what_is_wrong_with_a_broken_one(self, capfd, tmp_path, monkeypatch):
        monkeypatch.setenv("ATTENTIONSEG_MODELS", str(tmp_path))
        (tmp_path / "odd").mkdir()
        (tmp_path / "odd" / "model.json").write_text("[]")
        assert main(["models"]) == 0
        assert re.search(r"^odd\n    cannot be used: .*breaks the schema.*\.$", capfd.readouterr().out, re.MULTILINE)

    @pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="the user's folder is moved by XDG_DATA_HOME on Linux only")
    def test_a_model_goes_out_as_one_file_and_comes_in_again(self, capfd, tmp_path, monkeypatch):
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
        assert main(["models", "--export", "tiny-unet", str(tmp_path / "tiny.zip")]) == 0
        assert capfd.readouterr().out == f"{tmp_path / 'tiny.zip'}\n"
        assert main(["models", "--import", str(tmp_path / "tiny.zip")]) == 2
        assert "There is already a model 'tiny-unet'" in capfd.readouterr().err
        monkeypatch.setenv("ATTENTIONSEG_MODELS", "")
        assert main(["models", "--import", str(tmp_path / "tiny.zip")]) == 0
        folder = tmp_path / "AttentionSeg" / "Models" / "tiny-unet"
        assert capfd.readouterr().out == f"{folder}\n"
        assert main(["models"]) == 0
        assert str(folder) in capfd.readouterr().out
        (tmp_path / "tiny.zip").write_bytes(b"")
        assert main(["models", "--import", str(tmp_path / "tiny.zip")]) == 2
        assert re.fullmatch(r"attentionseg: \S+tiny\.zip is not a \.zip that can be read [^\n]+\.\n", capfd.readouterr().err)

    @pytest.mark.skipif(sys.platform == "win32", reason="the console's encoding cannot be set this way there")
    def test_in_letters_that_the_terminal_lacks(self, tmp_path):
        save_unet(tmp_path / "greek", id="greek", title="Ἱππόκαμπος")
        environment = {**os.environ, "ATTENTIONSEG_MODELS": str(tmp_path), "PYTHONIOENCODING": "ascii", "PYTHONPATH": package_parent()}
        found = subprocess.run([sys.executable, "-m", "AttentionSegLib", "models"], env=environment, capture_output=True, text=True, check=False)
        assert (found.returncode, found.stderr) == (0, "")
        assert "\\u03c0\\u03c0\\u03cc\\u03ba\\u03b1\\u03bc\\u03c0\\u03bf\\u03c2" in found.stdout


def package_parent() -> str:
    return str(Path(cli.__file__).parents[2])


def test_a_bad_scan_is_told_before_torch_is_imported(tmp_path, models):
    code = f"""
import sys
from AttentionSegLib.cli import main
code = main(["segment", {str(tmp_path / "nowhere.nii")!r}, "--model", "tiny-unet", "--output", {str(tmp_path / "results")!r}])
print(code, sorted(set(sys.modules) & {{"torch", "monai", "matplotlib", "slicer"}}))
"""
    environment = {**os.environ, "ATTENTIONSEG_MODELS": str(models), "PYTHONPATH": package_parent()}
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert found.stdout == "2 []\n"
    assert found.stderr.count("\n") == 1
