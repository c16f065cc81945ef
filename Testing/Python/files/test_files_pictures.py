"""Single slices: pictures of cameras, radiographs and ultrasound as DICOM, slices as NIfTI and NRRD; gray and in colors."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
import SimpleITK
from AttentionSegLib.errors import InputError
from AttentionSegLib.files import read_image, read_label_layers
from dicom_series import AXIAL, write_slice
from PIL import Image as Pillow

GRAY = np.random.default_rng(1).integers(0, 255, (5, 7)).astype(np.uint8)
COLORED = np.random.default_rng(2).integers(0, 255, (5, 7, 3)).astype(np.uint8)
# I to the right, J down.
AS_SEEN = np.diag([-1.0, -1.0, 1.0, 1.0])


def saved(path, pixels, **options):
    Pillow.fromarray(pixels).save(path, **options)
    return path


class TestPictures:
    @pytest.mark.parametrize("ending", ["png", "tif", "TIFF"])
    @pytest.mark.parametrize("kind", ["u1", "u2"])
    def test_gray(self, tmp_path, ending, kind):
        image = read_image(saved(tmp_path / f"a.{ending}", GRAY.astype(kind) * (200 if kind == "u2" else 1)))
        assert image.voxels.dtype == np.dtype(kind)
        np.testing.assert_array_equal(image.voxels[0, :, :, 0].T, GRAY.astype(kind) * (200 if kind == "u2" else 1))
        np.testing.assert_array_equal(image.affine, AS_SEEN)
        assert image.is_slice
        assert not image.spacing_known

    @pytest.mark.parametrize("ending", ["png", "jpg", "jpeg"])
    def test_colors_are_three_channels(self, tmp_path, ending):
        smooth = np.repeat(np.repeat(COLORED[:2, :2], 16, 0), 16, 1)
        image = read_image(saved(tmp_path / f"a.{ending}", smooth))
        assert image.voxels.shape == (3, 32, 32, 1)
        assert np.abs(image.voxels[..., 0].transpose(2, 1, 0).astype(int) - smooth).mean() < 8

    def test_a_palette_is_colors_in_a_scan_and_numbers_in_a_label_map(self, tmp_path):
        picture = Pillow.fromarray(GRAY % 3)
        picture.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
        picture.save(tmp_path / "a.png")
        assert read_image(tmp_path / "a.png").voxels[:, 0, 0, 0].tolist() == [[0, 0, 0], [255, 0, 0], [0, 255, 0]][GRAY[0, 0] % 3]
        np.testing.assert_array_equal(read_label_layers(tmp_path / "a.png").voxels[0, :, :, 0].T, GRAY % 3)

    def test_gray_with_an_opaque_alpha_channel_is_gray(self, tmp_path):
        Pillow.fromarray(GRAY).convert("LA").save(tmp_path / "a.png")
        np.testing.assert_array_equal(read_image(tmp_path / "a.png").voxels[..., 0], GRAY.T[None])

    @pytest.mark.parametrize("ending", ["jpg", "tif"])
    def test_a_photograph_is_turned_as_the_camera_says(self, tmp_path, ending):
        turned = Pillow.Exif()
        turned[0x0112] = 6
        smooth = np.repeat(np.repeat(GRAY[:2, :3], 16, 0), 16, 1)
        image = read_image(saved(tmp_path / f"a.{ending}", smooth, exif=turned))
        assert np.abs(image.voxels[0, :, :, 0].T.astype(int) - np.rot90(smooth, -1)).mean() < 8

    @pytest.mark.parametrize(
        ("pixels", "labels", "sentence"),
        [
            (np.dstack([COLORED, GRAY]), False, "partly transparent"),
            (COLORED, True, "a label map in colors"),
        ],
    )
    def test_what_cannot_be_used(self, tmp_path, pixels, labels, sentence):
        path = saved(tmp_path / "a.png", pixels)
        with pytest.raises(InputError, match=sentence):
            (read_label_layers if labels else read_image)(path)

    def test_several_pages_and_damage(self, tmp_path):
        Pillow.fromarray(GRAY).save(tmp_path / "a.tif", save_all=True, append_images=[Pillow.fromarray(GRAY)])
        with pytest.raises(InputError, match="holds 2 images"):
            read_image(tmp_path / "a.tif")
        whole = saved(tmp_path / "b.png", COLORED).read_bytes()
        (tmp_path / "b.png").write_bytes(whole[: len(whole) // 2])
        with pytest.raises(InputError, match=r"b\.png cannot be read"):
            read_image(tmp_path / "b.png")


class TestSlices:
    def test_nifti_of_two_dimensions(self, tmp_path):
        header = nibabel.Nifti1Header()
        header.set_data_shape((7, 5))
        header.set_zooms((0.5, 0.25))
        header.set_xyzt_units("mm")
        nibabel.save(nibabel.Nifti1Image(GRAY.T, None, header), tmp_path / "a.nii.gz")
        image = read_image(tmp_path / "a.nii.gz")
        np.testing.assert_array_equal(image.voxels[0, :, :, 0], GRAY.T)
        np.testing.assert_allclose(image.spacing, [0.5, 0.25, 1])
        assert image.pixel_area == pytest.approx(0.125)

    @pytest.mark.parametrize("pixels", [GRAY[None], COLORED[None]], ids=["gray", "colors"])
    def test_nrrd(self, tmp_path, pixels):
        stored = SimpleITK.GetImageFromArray(pixels, isVector=pixels.ndim == 4)
        stored.SetSpacing((0.5, 0.5, 3))
        SimpleITK.WriteImage(stored, str(tmp_path / "a.nrrd"))
        image = read_image(tmp_path / "a.nrrd")
        np.testing.assert_array_equal(image.voxels[..., 0].transpose(2, 1, 0).squeeze(), pixels[0])
        np.testing.assert_allclose(image.spacing, [0.5, 0.5, 3])


class TestDicom:
    @pytest.fixture
    def path(self, tmp_path):
        return tmp_path / "a.dcm"

    def test_a_single_slice_of_a_scan_has_its_place(self, path):
        write_slice(path, GRAY, np.array([1.0, 2, 3]), np.array(AXIAL), SliceThickness=4)
        image = read_image(path)
        np.testing.assert_array_equal(image.voxels[0, :, :, 0].T, GRAY)
        np.testing.assert_allclose(image.affine[:3, 3], [-1, -2, 3])
        np.testing.assert_allclose(image.spacing, [1.7, 0.8, 4])

    @pytest.mark.parametrize(("spacing", "known"), [([0.2, 0.1], True), (None, False)])
    def test_a_radiograph_has_none(self, path, spacing, known):
        without = {"ImagePositionPatient": None, "ImageOrientationPatient": None, "PixelSpacing": None}
        write_slice(path, GRAY, np.zeros(3), np.array(AXIAL), Modality="DX", **without, **({"ImagerPixelSpacing": spacing} if known else {}))
        image = read_image(path)
        np.testing.assert_allclose(image.affine, AS_SEEN @ np.diag([*((0.1, 0.2) if known else (1, 1)), 1, 1]))
        assert image.spacing_known == known

    @pytest.mark.parametrize("kind", ["RGB", "YBR_FULL"])
    def test_ultrasound_in_colors(self, path, kind):
        flat = np.broadcast_to(np.array([200, 30, 90], np.uint8), (5, 7, 3))
        stored = flat if kind == "RGB" else np.array(Pillow.fromarray(flat).convert("YCbCr"))
        without = {"ImagePositionPatient": None, "ImageOrientationPatient": None, "PixelSpacing": None}
        colors = {"SamplesPerPixel": 3, "PhotometricInterpretation": kind, "PlanarConfiguration": 0, "PixelData": stored.tobytes()}
        write_slice(path, GRAY, np.zeros(3), np.array(AXIAL), Modality="US", **without, **colors)
        image = read_image(path)
        assert image.voxels.shape == (3, 7, 5, 1)
        np.testing.assert_allclose(image.voxels[:, 3, 2, 0], [200, 30, 90], atol=3)

    def test_a_slice_of_ct_without_a_place_is_damaged(self, path):
        write_slice(path, GRAY, np.zeros(3), np.array(AXIAL), ImageOrientationPatient=None)
        with pytest.raises(InputError, match="no usable ImageOrientationPatient"):
            read_image(path)
