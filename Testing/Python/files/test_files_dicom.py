"""Folders and files of DICOM images, from the clean series to what comes off a CD."""

from __future__ import annotations

import shutil

import numpy as np
import pydicom
import pytest
from AttentionSegLib.errors import InputError
from AttentionSegLib.files import read_image
from dicom_series import affine_of, directions_of, positions_of, write_enhanced, write_series, write_slice
from pydicom.uid import BasicTextSRStorage, MRImageStorage, RLELossless

SHAPE = (9, 7, 6)


@pytest.fixture
def voxels() -> np.ndarray:
    return np.random.default_rng(1).integers(-1000, 3000, SHAPE).astype(np.int16)


@pytest.fixture(params=["axial", "oblique"])
def directions(request) -> np.ndarray:
    return directions_of(request.param)


class TestSeries:
    def test_voxels_and_place(self, tmp_path, voxels, directions):
        positions = positions_of(SHAPE[2], directions)
        write_series(tmp_path, voxels, positions, directions)
        image = read_image(tmp_path)
        np.testing.assert_array_equal(image.voxels[0], voxels)
        np.testing.assert_allclose(image.affine, affine_of(positions, directions), atol=1e-8)
        assert image.modalities == ("CT",)

    def test_order_of_acquisition_does_not_matter(self, tmp_path, voxels, directions):
        positions = positions_of(SHAPE[2], directions)
        write_series(tmp_path, voxels[:, :, ::-1], positions[::-1], directions)
        image = read_image(tmp_path)
        np.testing.assert_array_equal(image.voxels[0], voxels)
        np.testing.assert_allclose(image.affine, affine_of(positions, directions), atol=1e-8)

    def test_folder_with_other_files_and_a_foreign_name(self, tmp_path, voxels, directions):
        folder = tmp_path / "Köpfe und Füße 頭"
        write_series(folder, voxels, positions_of(SHAPE[2], directions), directions)
        (folder / "readme.txt").write_text("not DICOM")
        (folder / "empty").touch()
        (folder / "subfolder").mkdir()
        report = {"SOPClassUID": BasicTextSRStorage, "Rows": None, "Columns": None, "PixelData": None}
        write_slice(folder / "report.dcm", voxels[:, :, 0].T, np.zeros(3), directions, **report)
        np.testing.assert_array_equal(read_image(folder).voxels[0], voxels)

    def test_rescaled_to_hounsfield_units(self, tmp_path, voxels, directions):
        write_series(tmp_path, voxels, positions_of(SHAPE[2], directions), directions, RescaleSlope=2, RescaleIntercept=-1024)
        np.testing.assert_array_equal(read_image(tmp_path).voxels[0], 2 * voxels.astype(np.int32) - 1024)

    @pytest.mark.parametrize("sop_class", [None, MRImageStorage])
    def test_every_slice_by_its_own_slope(self, tmp_path, directions, sop_class):
        stored = np.random.default_rng(2).integers(0, 4000, SHAPE).astype(np.uint16)
        slopes, intercepts = [1, 1, 2, 0.5, 3.25, 1], [0, -1024, 7, 0, -0.125, 60000]
        positions = positions_of(SHAPE[2], directions)
        more = {} if sop_class is None else {"SOPClassUID": sop_class}
        for k in range(SHAPE[2]):
            rescale = {"RescaleSlope": slopes[k], "RescaleIntercept": intercepts[k], "SeriesInstanceUID": "1.2.3", **more}
            write_slice(tmp_path / f"{k}.dcm", stored[:, :, k].T, positions[k], directions, **rescale)
        np.testing.assert_allclose(read_image(tmp_path).voxels[0], stored * np.array(slopes) + intercepts, rtol=1e-6)

    def test_slices_of_different_type(self, tmp_path, directions):
        positions = positions_of(2, directions)
        write_slice(tmp_path / "a", np.full((4, 5), 200, np.uint8), positions[0], directions, SeriesInstanceUID="1.2.3")
        write_slice(tmp_path / "b", np.full((4, 5), -3000, np.int16), positions[1], directions, SeriesInstanceUID="1.2.3")
        image = read_image(tmp_path)
        assert (image.voxels[0, ..., 0] == 200).all()
        assert (image.voxels[0, ..., 1] == -3000).all()

    def test_compressed(self, tmp_path, directions):
        voxels = (np.arange(np.prod(SHAPE), dtype=np.int16) // 7 - 20).reshape(SHAPE)
        for path in write_series(tmp_path, voxels, positions_of(SHAPE[2], directions), directions):
            dataset = pydicom.dcmread(path)
            dataset.compress(RLELossless)
            dataset.save_as(path)
        np.testing.assert_array_equal(read_image(tmp_path).voxels[0], voxels)

    def test_positions_rounded_as_some_scanners_do(self, tmp_path, voxels):
        directions = directions_of("axial")
        positions = positions_of(SHAPE[2], directions, gap=0.625).round(2)
        write_series(tmp_path, voxels, positions, directions)
        np.testing.assert_allclose(read_image(tmp_path).affine, affine_of(positions, directions), atol=1e-8)


class TestSeriesThatIsNoVolume:
    def test_missing_slice(self, tmp_path, voxels, directions):
        paths = write_series(tmp_path, voxels, positions_of(SHAPE[2], directions), directions)
        paths[3].unlink()
        with pytest.raises(InputError, match=f"slices are missing between {paths[2].name} at .* and {paths[4].name} at"):
            read_image(tmp_path)

    def test_unequal_distances(self, tmp_path, voxels, directions):
        positions = positions_of(SHAPE[2], directions)
        positions[3:] += 0.8 * np.cross(*directions)
        paths = write_series(tmp_path, voxels, positions, directions)
        with pytest.raises(InputError, match=f"unequally spaced between {paths[2].name} at .* and {paths[3].name}"):
            read_image(tmp_path)

    def test_two_phases(self, tmp_path, voxels, directions):
        positions = positions_of(SHAPE[2], directions)
        write_series(tmp_path, voxels, np.concatenate([positions[:3], positions[:3]]), directions)
        with pytest.raises(InputError, match=r"several slices at the same position .* give a folder with one"):
            read_image(tmp_path)

    def test_tilted_gantry(self, tmp_path, voxels, directions):
        positions = positions_of(SHAPE[2], directions) + np.arange(SHAPE[2])[:, None] * 0.5 * directions[1]
        write_series(tmp_path, voxels, positions, directions)
        with pytest.raises(InputError, match=r"gantry tilt of 11\.3 degrees.*--regularize"):
            read_image(tmp_path)

    def test_slice_shifted_sideways(self, tmp_path, voxels, directions):
        positions = positions_of(SHAPE[2], directions)
        positions[2] += 3 * directions[0]
        paths = write_series(tmp_path, voxels, positions, directions)
        with pytest.raises(InputError, match=f"do not lie on a line .{paths[2].name} is"):
            read_image(tmp_path)

    @pytest.mark.parametrize(
        ("change", "word"),
        [
            ({"PixelSpacing": [0.8, 1.8]}, "pixel spacing"),
            ({"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]}, "orientation"),
            ({"Rows": 9, "Columns": 7}, "size"),
        ],
    )
    def test_mixed_slices(self, tmp_path, voxels, change, word):
        directions = directions_of("axial")
        paths = write_series(tmp_path, voxels, positions_of(SHAPE[2], directions), directions)
        dataset = pydicom.dcmread(paths[4])
        for keyword, value in change.items():
            setattr(dataset, keyword, value)
        dataset.save_as(paths[4])
        with pytest.raises(InputError, match=f"mixes slices of different {word}.*{paths[4].name}"):
            read_image(tmp_path)

    def test_two_series_are_listed_without_the_patient(self, tmp_path, voxels, directions):
        positions = positions_of(SHAPE[2], directions)
        write_series(tmp_path, voxels, positions, directions, SeriesNumber=3, SeriesDescription="Abdomen venös")
        for path in write_series(tmp_path / "more", voxels[:, :, :2], positions, directions, SeriesNumber=7, Modality="MR"):
            shutil.move(path, tmp_path / f"second_{path.name}")
        with pytest.raises(InputError, match=r"2 DICOM series: 3 'Abdomen venös' \(CT, 6 files\), 7 \(MR, 2 files\); give") as caught:
            read_image(tmp_path)
        assert "Secret" not in str(caught.value)

    @pytest.mark.parametrize("keyword", ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"])
    def test_slices_without_a_place(self, tmp_path, voxels, keyword):
        directions = directions_of("axial")
        write_series(tmp_path, voxels, positions_of(SHAPE[2], directions), directions, **{keyword: None})
        with pytest.raises(InputError, match=f"no usable {keyword}"):
            read_image(tmp_path)

    @pytest.mark.parametrize(
        ("change", "word"),
        [
            ({"PixelSpacing": [0, 1]}, "pixel spacing of 0 x 1 mm"),
            ({"ImageOrientationPatient": [0, 0, 0, 0, 0, 0]}, "ImageOrientationPatient that is not two unit directions"),
            ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, "IM"),
            ({"PhotometricInterpretation": "PALETTE COLOR"}, "PALETTE COLOR, not gray"),
        ],
    )
    def test_senseless_headers(self, tmp_path, voxels, change, word):
        directions = directions_of("axial")
        write_series(tmp_path, voxels, positions_of(SHAPE[2], directions), directions, **change)
        with pytest.raises(InputError, match=word):
            read_image(tmp_path)

    def test_colors(self, tmp_path, directions):
        pixels = np.zeros((3, 4, 4), np.uint8)
        write_slice(tmp_path / "a.dcm", pixels, np.zeros(3), directions, SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=1)
        with pytest.raises(InputError, match="3 values per voxel"):
            read_image(tmp_path)

    @pytest.mark.parametrize("kept", [0.2, 0.9])
    def test_slice_that_was_cut_off(self, tmp_path, voxels, directions, kept):
        paths = write_series(tmp_path, voxels, positions_of(SHAPE[2], directions), directions)
        content = paths[2].read_bytes()
        paths[2].write_bytes(content[: int(kept * len(content))])
        with pytest.raises(InputError):
            read_image(tmp_path)

    def test_last_slice_that_was_cut_off_before_its_size_is_not_passed_over(self, tmp_path, voxels, directions):
        paths = write_series(tmp_path, voxels, positions_of(SHAPE[2], directions), directions)
        content = paths[-1].read_bytes()
        # The element Rows, (0028,0010), and all behind it.
        paths[-1].write_bytes(content[: content.index(b"\x28\x00\x10\x00")])
        with pytest.raises(InputError, match=rf"{paths[-1].name} is a CT Image without Rows and Columns, so it was cut off"):
            read_image(tmp_path)

    def test_folder_without_images(self, tmp_path):
        (tmp_path / "notes.txt").write_text("nothing here")
        with pytest.raises(InputError, match="holds no DICOM images"):
            read_image(tmp_path)

    def test_single_slice(self, tmp_path, voxels, directions):
        paths = write_series(tmp_path, voxels, positions_of(SHAPE[2], directions), directions)
        image = read_image(paths[0])
        np.testing.assert_array_equal(image.voxels[0, :, :, 0], voxels[:, :, 0])
        np.testing.assert_allclose(image.affine[:3, [0, 1, 3]], affine_of(positions_of(SHAPE[2], directions), directions)[:3, [0, 1, 3]], atol=1e-6)


class TestEnhanced:
    @pytest.mark.parametrize("order", [[0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0], [3, 0, 5, 1, 4, 2]])
    def test_frames_in_any_order(self, tmp_path, voxels, directions, order):
        positions = positions_of(SHAPE[2], directions)
        write_enhanced(tmp_path / "enhanced", voxels[:, :, order], positions[order], directions)
        for path in (tmp_path, tmp_path / "enhanced"):
            image = read_image(path)
            np.testing.assert_array_equal(image.voxels[0], voxels)
            np.testing.assert_allclose(image.affine, affine_of(positions, directions), atol=1e-8)

    def test_rescaled(self, tmp_path, voxels, directions):
        write_enhanced(tmp_path / "a.dcm", voxels, positions_of(SHAPE[2], directions), directions, slopes=[0.5] * SHAPE[2])
        np.testing.assert_array_equal(read_image(tmp_path / "a.dcm").voxels[0], 0.5 * voxels)

    def test_every_frame_by_its_own_slope(self, tmp_path, voxels, directions):
        slopes, order = [1, 2, 3.5, 4, 5, 6], [3, 0, 5, 1, 4, 2]
        positions = positions_of(SHAPE[2], directions)
        write_enhanced(tmp_path / "a.dcm", voxels[:, :, order], positions[order], directions, slopes=[slopes[k] for k in order])
        np.testing.assert_allclose(read_image(tmp_path / "a.dcm").voxels[0], voxels * slopes)

    def test_missing_frame(self, tmp_path, voxels, directions):
        keep = [0, 1, 3, 4, 5]
        write_enhanced(tmp_path / "a.dcm", voxels[:, :, keep], positions_of(SHAPE[2], directions)[keep], directions)
        with pytest.raises(InputError, match=r"slices are missing between a.dcm frame 2 at .* and a.dcm frame 3"):
            read_image(tmp_path / "a.dcm")

    def test_two_phases(self, tmp_path, voxels, directions):
        positions = positions_of(3, directions)
        write_enhanced(tmp_path / "a.dcm", voxels, np.concatenate([positions, positions]), directions)
        with pytest.raises(InputError, match="several slices at the same position"):
            read_image(tmp_path / "a.dcm")

    def test_frames_without_positions(self, tmp_path, voxels, directions):
        write_slice(tmp_path / "a.dcm", voxels.T, np.zeros(3), directions, NumberOfFrames=SHAPE[2])
        with pytest.raises(InputError, match="6 frames and positions for 1"):
            read_image(tmp_path / "a.dcm")
