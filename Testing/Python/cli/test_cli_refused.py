"""What the command line refuses: one sentence, and nothing is written."""

from __future__ import annotations

import json
import re

import nibabel
import numpy as np
import pytest
import SimpleITK
from AttentionSegLib.cli import main
from AttentionSegLib.files import write_map
from AttentionSegLib.image import Image
from command_line import AFFINE, noise, refused, segment
from tiny_models import save_unet

pytestmark = pytest.mark.usefixtures("blank_pictures")


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

    @pytest.mark.parametrize("how", [["--explain-method", "seg-grad-cam"], ["--explain-layer", "bottleneck"]])
    def test_how_to_explain_no_label(self, capfd, output, scan, how):
        assert "name the label with --explain" in self.refused(capfd, output, scan, more=how)

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
