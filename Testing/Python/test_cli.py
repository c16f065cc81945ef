"""The command line from arguments to exit code: results on one side, one sentence on the other."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from AttentionSegLib import cli
from AttentionSegLib.cli import main
from AttentionSegLib.files import read_image, write_map
from AttentionSegLib.image import Image
from AttentionSegLib.inference import checks
from AttentionSegLib.models import card
from AttentionSegLib.reporting import measurements
from poses import OBLIQUE, affine_around
from tiny_models import save_unet

pytestmark = pytest.mark.usefixtures("blank_pictures")

CENTER = (-20.0, 30.0, -40.0)
AFFINE = affine_around(CENTER, (18, 16, 14), OBLIQUE, (1, 1, 1))
RESEARCH_ONLY = "For research only; not a medical device."


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    save_unet(folder / "tiny", id="tiny-unet", title="A tiny model")
    save_unet(folder / "mirrored", id="tiny-mirrored", training={"mirror_axes": [0], "mirror_swaps": [[1, 2]]})
    return folder


@pytest.fixture(autouse=True)
def installed(models, monkeypatch):
    monkeypatch.setenv("ATTENTIONSEG_MODELS", str(models))


@pytest.fixture(scope="module")
def scan(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("scans") / "head.nii.gz"
    write_map(Image(noise(), AFFINE), path)
    return path


@pytest.fixture
def output(tmp_path) -> Path:
    return tmp_path / "results"


def noise() -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 100, (1, 18, 16, 14))


def segment(*arguments: object) -> int:
    return main(["segment", *map(str, arguments), "--device", "cpu"])


def refused(capfd, output: Path, *arguments: object) -> str:
    """The one line of a command that must fail, without its beginning."""
    assert segment(*arguments, "--output", output) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert not output.exists()
    assert re.fullmatch(r"attentionseg: [^\n]+[;,:] [^\n]+[.?]\n", err)
    return err[len("attentionseg: ") : -1]


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


class TestBadScan:
    def refused(self, capfd, output, *scans, more=()):
        return refused(capfd, output, *scans, "--model", "tiny-unet", *more)

    def test_missing(self, capfd, output, tmp_path):
        assert self.refused(capfd, output, tmp_path / "nowhere.nii") == f"There is no file or folder {tmp_path / 'nowhere.nii'}; check the path."

    @pytest.mark.parametrize("name", ["notes.txt", "notes.nii", "notes.nii.gz", "notes.nrrd", "notes.dcm"])
    def test_text(self, capfd, output, tmp_path, name):
        (tmp_path / name).write_text("This is no scan, whatever it is called, and it goes on for some time to say so. " * 20)
        assert str(tmp_path / name) in self.refused(capfd, output, tmp_path / name)

    def test_four_dimensions(self, capfd, output, tmp_path):
        nibabel.save(nibabel.Nifti1Image(np.zeros((5, 5, 5, 3), np.float32), np.eye(4)), tmp_path / "series.nii.gz")
        assert "holds 3 volumes" in self.refused(capfd, output, tmp_path / "series.nii.gz")

    @pytest.mark.parametrize("ending", ["nrrd", "nii.gz", "mha"])
    def test_colors(self, capfd, output, tmp_path, ending):
        path = tmp_path / f"photo.{ending}"
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.zeros((5, 5, 5, 3), np.uint8), isVector=True), str(path))
        assert "3 values per voxel" in self.refused(capfd, output, path)

    def test_sheared(self, capfd, output, tmp_path):
        affine = np.eye(4)
        affine[0, 1] = 0.2
        image = nibabel.Nifti1Image(noise()[0].astype(np.float32), None)
        image.set_sform(affine, 1)
        nibabel.save(image, tmp_path / "gantry.nii")
        assert "is sheared" in self.refused(capfd, output, tmp_path / "gantry.nii")

    @pytest.mark.parametrize(("value", "sentence"), [(np.nan, "voxel(s) that are NaN"), (np.inf, "has 4032 voxel(s) that are NaN, infinite")])
    def test_no_numbers(self, capfd, output, tmp_path, value, sentence):
        voxels = np.full_like(noise(), value)
        write_map(Image(voxels, AFFINE), tmp_path / "broken.nrrd")
        assert sentence in self.refused(capfd, output, tmp_path / "broken.nrrd")

    def test_one_intensity(self, capfd, output, tmp_path):
        write_map(Image(np.full((1, 9, 9, 9), 7.0), AFFINE), tmp_path / "empty.nrrd")
        assert "has the same intensity (7) everywhere" in self.refused(capfd, output, tmp_path / "empty.nrrd")

    def test_two_for_one(self, capfd, output, scan):
        text = self.refused(capfd, output, scan, scan)
        assert text == "The model tiny-unet needs 1 scan(s) (T1 (MR)), and 2 were given; give exactly these, in this order."

    @pytest.mark.parametrize("region", ["500,0,0,10,10,10", "-20,30,400,10,10,10"])
    def test_region_outside(self, capfd, output, scan, region):
        assert "holds no voxel of" in self.refused(capfd, output, scan, more=["--region", region])

    @pytest.mark.parametrize("region", ["", "1,2,3", "1,2,3,4,5,six", "1,2,3,4,5,-6", "nan,2,3,4,5,6", "1;2;3;4;5;6"])
    def test_region_that_is_none(self, capfd, output, scan, region):
        assert self.refused(capfd, output, scan, more=["--region", region]).startswith("The region ")

    @pytest.mark.parametrize("names", ["gate_9", "gate_2,gate_9", "", "all,none"])
    def test_unknown_attention(self, capfd, output, scan, names):
        text = self.refused(capfd, output, scan, more=["--attention", names])
        assert re.fullmatch(r"The model tiny-unet has no attention map '(gate_9|all|)'; it has gate_2, gate_3\.", text)

    def test_real_scans_that_are_no_volumes(self, capfd, output, data_folder):
        for path in sorted((data_folder / "robustness" / "dicom_single_files").iterdir()):
            assert str(path) in self.refused(capfd, output, path)


class TestBadModel:
    def test_unknown_with_a_near_name(self, capfd, output, scan):
        assert "did you mean tiny-unet" in refused(capfd, output, scan, "--model", "tiny-unt")

    def test_card_that_breaks_its_schema(self, capfd, output, scan, tmp_path):
        folder = save_unet(tmp_path / "odd")
        card = json.loads((folder / "model.json").read_text())
        (folder / "model.json").write_text(json.dumps({**card, "overlap": 3}))
        assert "breaks the schema of model cards at overlap" in refused(capfd, output, scan, "--model", folder)

    def test_card_that_is_no_json(self, capfd, output, scan, tmp_path):
        folder = save_unet(tmp_path / "odd")
        (folder / "model.json").write_text("{")
        assert "cannot be read" in refused(capfd, output, scan, "--model", folder)

    def test_weights_that_were_changed(self, capfd, output, scan, tmp_path):
        folder = save_unet(tmp_path / "odd")
        content = bytearray((folder / "weights.safetensors").read_bytes())
        content[-1] ^= 1
        (folder / "weights.safetensors").write_bytes(content)
        assert "SHA-256 differs" in refused(capfd, output, scan, "--model", folder)

    def test_weights_that_are_missing(self, capfd, output, scan, tmp_path):
        folder = save_unet(tmp_path / "odd")
        (folder / "weights.safetensors").unlink()
        assert "cannot be read (No such file" in refused(capfd, output, scan, "--model", folder)

    def test_weights_of_another_network(self, capfd, output, scan, tmp_path):
        folder = save_unet(tmp_path / "odd")
        card = json.loads((folder / "model.json").read_text())
        card["network"]["arguments"]["channels"] = [2, 4, 6, 8]
        (folder / "model.json").write_text(json.dumps(card))
        assert "do not fit its network 'attention-unet'" in refused(capfd, output, scan, "--model", folder)


class TestBadPlace:
    def test_memory_limit(self, capfd, output, scan):
        assert segment(scan, "--model", "tiny-unet", "--output", output, "--attention", "none", "--memory-limit", "0.5") == 0
        capfd.readouterr()
        assert "The memory limit is -2 GB" in refused(capfd, output / "refused", scan, "--model", "tiny-unet", "--memory-limit", "-2")

    def test_device_that_is_not_there(self, capfd, output, scan):
        assert main(["segment", str(scan), "--model", "tiny-unet", "--output", str(output), "--device", "cuda:99"]) == 2
        out, err = capfd.readouterr()
        assert re.fullmatch(r"attentionseg: There is no device 'cuda:99' on this computer; choose auto, .*cpu\.\n", err)
        assert (out, output.exists()) == ("", False)

    @pytest.mark.parametrize("below", [".", "deep/down"])
    def test_a_file_in_the_place_of_the_output_folder(self, capfd, output, scan, below):
        output.write_text("mine")
        assert segment(scan, "--model", "tiny-unet", "--output", output / below) == 2
        assert re.fullmatch(
            r"attentionseg: The output folder \S+ cannot be used \(\S+ is a file\); choose another folder\.\n", capfd.readouterr().err
        )
        assert output.read_text() == "mine"

    @pytest.mark.parametrize("arguments", [[], ["segment"], ["segment", "a.nii", "--model", "x"], ["paint"], ["segment", "a.nii", "--region"]])
    def test_arguments_that_are_missing_or_unknown(self, capfd, arguments):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 2
        assert capfd.readouterr().err.startswith("usage: attentionseg")


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
