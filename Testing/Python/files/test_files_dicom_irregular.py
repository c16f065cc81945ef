"""DICOM series as archives and old scanners leave them: rounded, doubled, tilted, at two distances, without a preamble, among other series."""

from __future__ import annotations

import shutil
from itertools import product

import numpy as np
import pydicom
import pytest
from AttentionSegLib.errors import InputError
from AttentionSegLib.files import read_image
from AttentionSegLib.files.dicom_search import series_in
from dicom_series import SPACING, affine_of, directions_of, positions_of, write_series
from pydicom.uid import RLELossless, generate_uid

SHAPE = (9, 8, 6)
GRADIENT = np.array([7.0, -5.0, 11.0])


@pytest.fixture
def voxels() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 3000, SHAPE).astype(np.int16)


@pytest.fixture(params=["axial", "oblique"])
def directions(request) -> np.ndarray:
    return directions_of(request.param)


def ramp(positions: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Slices [columns, rows, slices] that grow evenly along a direction in the patient: of which any exact resampling is the same ramp."""
    grid = np.stack(np.meshgrid(np.arange(SHAPE[0]), np.arange(SHAPE[1]), indexing="ij"), -1) * SPACING[::-1]
    places = (grid @ directions)[:, :, None] + positions
    return np.rint(places @ GRADIENT + 5000).astype(np.int16)


def tilted(directions: np.ndarray) -> np.ndarray:
    return positions_of(SHAPE[2], directions) - np.arange(SHAPE[2])[:, None] * 2.5 * np.tan(np.radians(15)) * directions[1]


def at_two_distances(directions: np.ndarray) -> np.ndarray:
    return positions_of(1, directions) + np.array([0, 2.5, 5, 7.5, 12.5, 17.5])[:, None] * np.cross(*directions)


class TestPositions:
    def test_rounded_to_a_tenth_of_a_mm(self, tmp_path, voxels, directions):
        exact = positions_of(SHAPE[2], directions, gap=1.37)
        write_series(tmp_path, voxels, exact.round(1), directions)
        image = read_image(tmp_path)
        np.testing.assert_array_equal(image.voxels[0], voxels)
        ends = np.array(list(product(*((0, count - 1) for count in SHAPE), (1,)))).T
        assert np.abs((image.affine - affine_of(exact, directions)) @ ends).max() < 0.15
        assert "rounded" in image.notes[0].what

    @pytest.mark.parametrize("along", [0.9, -0.9])
    def test_a_slice_over_a_tenth_of_the_distance_off(self, tmp_path, voxels, directions, along):
        positions = positions_of(SHAPE[2], directions)
        positions[2] += along * np.cross(*directions)
        write_series(tmp_path, voxels, positions, directions)
        with pytest.raises(InputError, match="unequally spaced"):
            read_image(tmp_path)

    def test_two_distances(self, tmp_path, directions):
        positions = at_two_distances(directions)
        write_series(tmp_path, ramp(positions, directions), positions, directions)
        with pytest.raises(InputError, match=r"two slice distances \(2.5 mm and 5 mm\).*--regularize"):
            read_image(tmp_path)

    @pytest.mark.parametrize("places", [tilted, at_two_distances])
    def test_resampled_exactly_when_asked(self, tmp_path, directions, places):
        positions = places(directions)
        stored = ramp(positions, directions)
        write_series(tmp_path, stored, positions, directions)
        image = read_image(tmp_path, regularize=True)
        assert (image.outside is not None) == (places is tilted)
        inside = np.ones(image.shape, bool) if image.outside is None else ~image.outside[0]
        at = image.to_ras(np.argwhere(inside)) * (-1, -1, 1)
        expected = at @ GRADIENT + 5000
        # Pixels are stored as whole numbers.
        assert np.abs(image.voxels[0][inside] - expected).max() < 1.01
        assert inside.sum() >= stored.size * (0.8 if places is tilted else 1.0)
        assert "resampled to a regular grid" in image.notes[0].what
        np.testing.assert_array_equal(image.voxels[0, : SHAPE[0], -SHAPE[1] :, 0], stored[:, :, 0])

    def test_a_regular_scan_is_not_resampled(self, tmp_path, voxels, directions):
        write_series(tmp_path, voxels, positions_of(SHAPE[2], directions), directions)
        image = read_image(tmp_path, regularize=True)
        assert image.voxels.dtype == np.int16
        assert image.notes == ()


class TestDuplicates:
    def test_a_slice_that_is_there_twice(self, tmp_path, voxels, directions):
        paths = write_series(tmp_path, voxels, positions_of(SHAPE[2], directions), directions)
        shutil.copy(paths[2], tmp_path / "copy")
        image = read_image(tmp_path)
        np.testing.assert_array_equal(image.voxels[0], voxels)
        assert image.notes[0].detail == f"1 of {SHAPE[2] + 1} files"

    @pytest.mark.parametrize("changed", [0, 1])
    def test_the_second_one_is_compressed(self, tmp_path, directions, changed):
        positions = positions_of(SHAPE[2], directions)
        voxels = ramp(positions, directions)
        paths = write_series(tmp_path, voxels, positions, directions)
        dataset = pydicom.dcmread(paths[2])
        dataset.PixelData = (dataset.pixel_array + changed).tobytes()
        dataset.compress(RLELossless)
        dataset.save_as(tmp_path / "compressed")
        if changed:
            with pytest.raises(InputError, match="several slices at the same position"):
                read_image(tmp_path)
        else:
            np.testing.assert_array_equal(read_image(tmp_path).voxels[0], voxels)


def test_low_values_for_bright_are_inverted_and_told(tmp_path, voxels, directions):
    write_series(tmp_path, voxels, positions_of(SHAPE[2], directions), directions, PhotometricInterpretation="MONOCHROME1")
    image = read_image(tmp_path)
    np.testing.assert_array_equal(image.voxels[0], -1 - voxels)
    assert "MONOCHROME1" in image.notes[0].what


class TestWithoutPreamble:
    @pytest.mark.parametrize("start", [128 + 4, None])
    def test_read_as_with_one(self, tmp_path, voxels, directions, start):
        for path in write_series(tmp_path, voxels, positions_of(SHAPE[2], directions), directions):
            content = path.read_bytes()
            # From the group of the file's meta information on, or without it.
            path.write_bytes(content[start if start else content.index(b"\x08\x00\x16\x00UI") :])
        np.testing.assert_array_equal(read_image(tmp_path).voxels[0], voxels)


class TestSeveralSeries:
    @pytest.fixture
    def folder(self, tmp_path, voxels):
        directions = directions_of("axial")

        def add(name: str, count: int, **tags) -> None:
            for path in write_series(tmp_path / name, voxels[:, :, :count], positions_of(count, directions), directions, **tags):
                path.rename(tmp_path / f"{name}_{path.name}")
            (tmp_path / name).rmdir()

        add("scan", SHAPE[2], SeriesNumber=4, SeriesDescription="Thorax")
        add("dose", 3, SeriesNumber=5, Modality="RTDOSE")
        add("scout", 2, SeriesNumber=1, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
        add("seg", 2, SeriesNumber=9, Modality="SEG")
        return tmp_path, add

    def test_the_only_scan_is_taken(self, folder, voxels):
        image = read_image(folder[0])
        np.testing.assert_array_equal(image.voxels[0], voxels)
        assert "RTDOSE 5" in image.notes[0].detail

    @pytest.mark.parametrize("called", ["7", " lung ", "7 Lung"])
    def test_one_of_several(self, folder, voxels, called):
        place, add = folder
        add("lung", 4, SeriesNumber=7, SeriesDescription="Lung", SeriesInstanceUID=generate_uid())
        with pytest.raises(InputError, match=r"5 DICOM series: .*7 'Lung' \(CT, 4 files\).*--series"):
            read_image(place)
        np.testing.assert_array_equal(read_image(series_in(place, called)).voxels[0], voxels[:, :, :4])

    def test_none_called_so(self, folder):
        with pytest.raises(InputError, match="none are called 'brain'"):
            series_in(folder[0], "brain")
