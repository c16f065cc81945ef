"""Whatever path a user gives: it reads exactly, or one sentence says why not."""

from __future__ import annotations

import os
import re

import nibabel
import numpy as np
import pydicom
import pytest
from AttentionSegLib.errors import InputError
from AttentionSegLib.files import read_image, scan_stem
from geometries import farthest
from scan_headers import nrrd_fields, write_nrrd


class TestPaths:
    @pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz", "scan.nrrd", "scan.mha", "scan.dcm", "scan", "scan.seg.nrrd"])
    def test_missing_empty_and_junk(self, tmp_path, name):
        path = tmp_path / name
        with pytest.raises(InputError, match=r"no file or folder .*scan"):
            read_image(path)
        path.touch()
        with pytest.raises(InputError, match="is an empty file"):
            read_image(path)
        path.write_bytes(b"junk " * 200)
        with pytest.raises(InputError, match=re.escape(str(path))):
            read_image(path)

    def test_unknown_format(self, tmp_path):
        (tmp_path / "picture.xcf").write_bytes(b"gimp xcf")
        with pytest.raises(InputError, match=r"picture.xcf is not an image of a known format; give NIfTI .* or DICOM"):
            read_image(tmp_path / "picture.xcf")

    @pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may read everything")
    def test_forbidden(self, tmp_path):
        (tmp_path / "scan.nii").write_bytes(b"x")
        (tmp_path / "scan.nii").chmod(0)
        with pytest.raises(InputError, match="cannot be opened"):
            read_image(tmp_path / "scan.nii")

    def test_text_and_capitals_and_spaces(self, tmp_path, voxels):
        path = tmp_path / "Ära 1 (final).NII.GZ"
        nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), tmp_path / "scan.nii.gz")
        (tmp_path / "scan.nii.gz").rename(path)
        image = read_image(str(path))
        np.testing.assert_array_equal(image.voxels[0], voxels)
        assert image.name == str(path)

    def test_nothing_is_printed(self, tmp_path, capfd, voxels):
        for directions in ("(2,0,0) (0,0,0) (0,0,4)", "(2,0,0) (1,3,0) (0,0,4)"):
            with pytest.raises(InputError):
                read_image(write_nrrd(tmp_path / "scan.nrrd", nrrd_fields(np.eye(4), **{"space directions": directions}), voxels))
        assert capfd.readouterr() == ("", "")

    @pytest.mark.parametrize(
        ("path", "stem"),
        [
            ("a/b/patient 1.nii.gz", "patient_1"),
            ("T1.2.NRRD", "T1.2"),
            ("Köpfe/Fuß.seg.nrrd", "Fuß"),
            ("a/1.2.840.10008", "1.2.840.10008"),
            ("scan:*?.mha", "scan_"),
            ("slice.dcm", "slice"),
            (".nii.gz", "scan"),
            (".hidden.nii", "hidden"),
        ],
    )
    def test_stem(self, path, stem):
        assert scan_stem(path) == stem

    def test_stem_of_a_folder(self, tmp_path, monkeypatch):
        (tmp_path / "series 3.nii").mkdir()
        assert scan_stem(tmp_path / "series 3.nii") == "series_3.nii"
        monkeypatch.chdir(tmp_path / "series 3.nii")
        assert scan_stem(".") == "series_3.nii"


class TestRealScans:
    def test_nifti_like_nibabel(self, data_folder):
        paths = sorted((data_folder / "robustness").glob("*.nii.gz"))
        assert paths
        for path in paths:
            image, expected = read_image(path), nibabel.load(path)
            assert farthest(image.affine, expected.affine, image.shape) < 1e-4
            assert image.shape == expected.shape
            some = (slice(None), slice(None), slice(1, None, 6))
            np.testing.assert_allclose(image.voxels[0][some], expected.dataobj[some], rtol=1e-5, atol=1e-5)

    def test_nrrd_like_its_header(self, data_folder):
        image = read_image(data_folder / "robustness" / "prostate_phantom_subvolume.nrrd")
        assert image.shape == (82, 67, 13)
        np.testing.assert_allclose(image.spacing, (0.5, 0.5, 3.0), atol=1e-6)

    def test_single_dicom_files_are_slices(self, data_folder):
        paths = sorted((data_folder / "robustness" / "dicom_single_files").iterdir())
        assert paths
        for path in paths:
            image, pixels = read_image(path), pydicom.dcmread(path).pixel_array
            assert image.is_slice
            assert image.channels == (3 if "rgb" in path.name else 1)
            # Rescaled CT differs by a constant.
            np.testing.assert_allclose(np.ptp(image.voxels), np.ptp(pixels))

    def test_encodings_of_dicom(self, data_folder, tmp_path):
        pixels = pydicom.dcmread(data_folder / "robustness" / "dicom_single_files" / "MR_small.dcm").pixel_array
        for path in sorted((data_folder / "robustness" / "dicom_single_files").glob("MR_small*")):
            folder = tmp_path / path.stem
            folder.mkdir()
            for k in range(3):
                dataset = pydicom.dcmread(path)
                dataset.ImagePositionPatient[2] = 1.5 * k
                dataset.save_as(folder / f"{2 - k}.dcm")
            image = read_image(folder)
            np.testing.assert_array_equal(image.voxels[0], np.repeat(pixels.T[..., None], 3, axis=2))
            np.testing.assert_allclose(image.spacing, (0.3125, 0.3125, 1.5))
