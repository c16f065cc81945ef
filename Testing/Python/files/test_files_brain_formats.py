"""FreeSurfer's files and pairs of .hdr and .img, judged by nibabel."""

from __future__ import annotations

import shutil

import nibabel
import numpy as np
import pytest
from AttentionSegLib.batch.fingerprint import content_hash
from AttentionSegLib.datasets.cases import pair_scans, read_labelled
from AttentionSegLib.errors import InputError
from AttentionSegLib.files import read_image, scan_stem
from geometries import ROTATIONS, affine_of, farthest
from poses import axes_of
from scipy.io import loadmat, savemat

SHAPE = (6, 5, 4)
AFFINES = [affine_of(ROTATIONS[name] @ axes_of(letters)) for name, letters in (("straight", "LIA"), ("oblique", "RAS"))]


@pytest.fixture
def voxels() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 200, SHAPE).astype(np.int16)


class TestFreeSurfer:
    @pytest.mark.parametrize("affine", AFFINES, ids=["straight", "oblique"])
    @pytest.mark.parametrize("ending", [".mgz", ".mgh", ".MGZ"])
    @pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int32, np.float32])
    def test_voxels_and_place(self, tmp_path, voxels, affine, ending, kind):
        nibabel.save(nibabel.MGHImage(voxels.astype(kind), affine), tmp_path / f"a{ending.lower()}")
        path = (tmp_path / f"a{ending.lower()}").rename(tmp_path / f"brain{ending}")
        image = read_image(path)
        np.testing.assert_array_equal(image.voxels[0], voxels)
        assert image.voxels.dtype == np.dtype(kind)
        assert farthest(image.affine, affine, SHAPE) < 1e-4
        assert (image.notes, scan_stem(path)) == ((), "brain")

    def test_several_frames(self, tmp_path):
        nibabel.save(nibabel.MGHImage(np.zeros((*SHAPE, 3), np.int16), np.eye(4)), tmp_path / "a.mgz")
        with pytest.raises(InputError, match="holds 3 volumes"):
            read_image(tmp_path / "a.mgz")

    @pytest.mark.parametrize("ending", [".mgz", ".mgh"])
    @pytest.mark.parametrize("kept", [0.002, 0.6])
    def test_cut_off(self, tmp_path, ending, kept):
        path = tmp_path / f"a{ending}"
        nibabel.save(nibabel.MGHImage(np.random.default_rng(0).random((20, 20, 20)).astype(np.float32), np.eye(4)), path)
        path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
        with pytest.raises(InputError, match="is damaged or cut off"):
            read_image(path)

    def test_more_voxels_than_the_file_can_hold(self, tmp_path, voxels):
        nibabel.save(nibabel.MGHImage(voxels, np.eye(4)), tmp_path / "a.mgh")
        content = bytearray((tmp_path / "a.mgh").read_bytes())
        content[4:16] = np.array([30000, 30000, 30000], ">i4").tobytes()
        (tmp_path / "a.mgh").write_bytes(content)
        with pytest.raises(InputError, match="promises"):
            read_image(tmp_path / "a.mgh")


class TestPair:
    @pytest.fixture(params=[".hdr", ".img", ".HDR"])
    def path(self, tmp_path, voxels, request):
        nibabel.save(nibabel.Nifti1Pair(voxels, AFFINES[1]), tmp_path / "a.img")
        if request.param.isupper():
            for ending in (".hdr", ".img"):
                (tmp_path / f"a{ending}").rename(tmp_path / f"a{ending.upper()}")
        return tmp_path / f"a{request.param}"

    def test_nifti(self, path, voxels):
        image = read_image(path)
        np.testing.assert_array_equal(image.voxels[0], voxels)
        assert farthest(image.affine, AFFINES[1], SHAPE) < 1e-4
        before = content_hash([path])
        with open(path.with_suffix(".IMG" if path.suffix.isupper() else ".img"), "ab") as file:
            file.write(b"more")
        assert content_hash([path]) != before

    def test_analyze(self, tmp_path, voxels):
        nibabel.save(nibabel.AnalyzeImage(voxels, np.diag([-2.0, 2.0, 3.0, 1.0])), tmp_path / "a.img")
        image = read_image(tmp_path / "a.hdr")
        np.testing.assert_array_equal(image.voxels[0], voxels)
        assert farthest(image.affine, nibabel.load(tmp_path / "a.img").affine, SHAPE) < 1e-4
        assert "has no orientation" in image.notes[0].what

    @pytest.mark.parametrize("name", ["mat", "M"])
    def test_the_orientation_that_spm_stores_beside_it(self, tmp_path, voxels, name):
        nibabel.save(nibabel.Spm99AnalyzeImage(voxels, AFFINES[1]), tmp_path / "a.img")
        savemat(tmp_path / "a.mat", {name: loadmat(tmp_path / "a.mat")[name]}, format="4")
        image = read_image(tmp_path / "a.hdr")
        assert farthest(image.affine, AFFINES[1], SHAPE) < 1e-4
        assert "SPM" in image.notes[0].what
        before = content_hash([tmp_path / "a.hdr"])
        (tmp_path / "a.mat").write_text("1 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1\n")
        assert content_hash([tmp_path / "a.hdr"]) != before
        with pytest.raises(InputError, match=r"a\.mat is not the orientation that SPM writes"):
            read_image(tmp_path / "a.hdr")

    def test_analyze_without_a_voxel_size(self, tmp_path, voxels, capfd):
        nibabel.save(nibabel.AnalyzeImage(voxels, np.diag([-2.0, 2.0, 3.0, 1.0])), tmp_path / "a.img")
        header = bytearray((tmp_path / "a.hdr").read_bytes())
        header[80:84] = bytes(4)
        (tmp_path / "a.hdr").write_bytes(header)
        with pytest.raises(InputError, match="its voxel spacing is 0 2 3"):
            read_image(tmp_path / "a.hdr")
        assert capfd.readouterr().err == ""

    @pytest.mark.parametrize("lost", [".hdr", ".img"])
    def test_half_of_it(self, tmp_path, path, lost):
        for one in tmp_path.iterdir():
            if one.suffix.lower() == lost:
                one.unlink()
        with pytest.raises(InputError, match=r"no .img beside it|not an image of a known format"):
            read_image(path if path.exists() else next(tmp_path.iterdir()))

    @pytest.mark.parametrize("text", ["ENVI description = {a text} " * 30, "short"])
    def test_that_is_no_image(self, tmp_path, text):
        (tmp_path / "a.hdr").write_text(text)
        (tmp_path / "a.img").write_bytes(bytes(1000))
        with pytest.raises(InputError, match="damaged"):
            read_image(tmp_path / "a.hdr")


def test_wherever_scans_and_labels_are(tmp_path, voxels):
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    nibabel.save(nibabel.MGHImage(voxels, AFFINES[0]), tmp_path / "images" / "a.mgz")
    nibabel.save(nibabel.Nifti1Pair((voxels > 100).astype(np.uint8), AFFINES[0]), tmp_path / "labels" / "a.img")
    shutil.copy(tmp_path / "images" / "a.mgz", tmp_path / "images" / ".hidden.mgz")
    (case,) = pair_scans(tmp_path / "images", tmp_path / "labels")
    image, label, _ = read_labelled(case)
    np.testing.assert_array_equal(label.voxels[0], image.voxels[0] > 100)
