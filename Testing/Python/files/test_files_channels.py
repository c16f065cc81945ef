"""Several scans of one patient as one image."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
from AttentionSegLib.errors import InputError
from AttentionSegLib.files import read_image, read_images, write_map
from AttentionSegLib.image import Image
from geometries import ROTATIONS, affine_of
from poses import axes_of
from segmentation_files import write_segments
from tiny_models import make_card

SHAPE = (20, 16, 12)
GRID = affine_of(ROTATIONS["oblique"] @ axes_of("LIP"))
SLOPE = np.array([0.5, -0.25, 0.75])


def save(path, voxels, affine):
    nibabel.save(nibabel.Nifti1Image(voxels, affine), path)
    return path


def ramp(shape, affine) -> np.ndarray:
    """A field that is linear in RAS, so that linear interpolation is exact."""
    ijk = np.stack(np.meshgrid(*(np.arange(count) for count in shape), indexing="ij"), axis=-1)
    return ((ijk @ affine[:3, :3].T + affine[:3, 3]) @ SLOPE).astype(np.float32)


def around(shape, spacing, margin) -> tuple[tuple[int, int, int], np.ndarray]:
    """A straight grid of another spacing that reaches `margin` mm beyond the oblique one on every side."""
    corners = affine_ends(shape)
    low, high = corners.min(axis=0) - margin, corners.max(axis=0) + margin
    counts = tuple(int(count) for count in np.ceil((high - low) / spacing)) + np.ones(3, dtype=int)
    return tuple(counts), affine_of(np.eye(3), np.array(spacing), low)


def affine_ends(shape) -> np.ndarray:
    ends = np.array([[i, j, k] for i in (0, shape[0] - 1) for j in (0, shape[1] - 1) for k in (0, shape[2] - 1)])
    return ends @ GRID[:3, :3].T + GRID[:3, 3]


def test_same_grid_is_copied(tmp_path):
    first = np.random.default_rng(0).integers(0, 255, SHAPE).astype(np.uint8)
    second = np.random.default_rng(1).integers(-900, 900, SHAPE).astype(np.int16)
    nudged = GRID.copy()
    nudged[:3, 3] += 5e-5
    image = read_images([save(tmp_path / "a.nii.gz", first, GRID), save(tmp_path / "b.nii.gz", second, nudged)])
    np.testing.assert_array_equal(image.voxels, np.stack([first, second]))
    assert image.voxels.dtype == np.int16
    np.testing.assert_array_equal(image.affine, read_image(tmp_path / "a.nii.gz").affine)
    assert image.name == str(tmp_path / "a.nii.gz")


def test_another_grid_is_resampled_by_place(tmp_path):
    shape, affine = around(SHAPE, (1.9, 1.1, 1.6), margin=3)
    first = save(tmp_path / "a.nii.gz", np.zeros(SHAPE, np.int16), GRID)
    second = save(tmp_path / "b.nii.gz", ramp(shape, affine), affine)
    image = read_images([first, second])
    np.testing.assert_allclose(image.voxels[1], ramp(SHAPE, GRID), atol=1e-3)


def test_same_shape_elsewhere_is_not_copied(tmp_path):
    shifted = GRID.copy()
    shifted[:3, 3] += GRID[:3, 0] * 0.5
    first = save(tmp_path / "a.nii.gz", np.zeros(SHAPE, np.int16), GRID)
    second = save(tmp_path / "b.nii.gz", ramp(SHAPE, shifted), shifted)
    image = read_images([first, second])
    np.testing.assert_allclose(image.voxels[1, 1:], ramp(SHAPE, GRID)[1:], atol=1e-3)


def test_smallest_value_where_a_scan_does_not_reach(tmp_path):
    shifted = GRID.copy()
    shifted[:3, 3] += GRID[:3, 0]
    first = save(tmp_path / "a.nii.gz", np.zeros(SHAPE, np.int16), GRID)
    second = save(tmp_path / "b.nii.gz", np.random.default_rng(0).integers(-1000, 3000, SHAPE).astype(np.int16), shifted)
    image = read_images([first, second])
    assert (image.voxels[1, 0] == read_image(second).voxels.min()).all()


def test_too_little_in_common(tmp_path):
    shifted = GRID.copy()
    shifted[:3, 3] += GRID[:3, 0] * 5
    first = save(tmp_path / "t1.nii.gz", np.zeros(SHAPE, np.int16), GRID)
    second = save(tmp_path / "flair.nii.gz", np.zeros(SHAPE, np.int16), shifted)
    with pytest.raises(InputError, match=r"flair.nii.gz covers only 75 % of the voxels of .*t1.nii.gz .at least 90 %.*register"):
        read_images([first, second])


def test_one_and_none(tmp_path):
    voxels = np.random.default_rng(0).integers(0, 255, SHAPE).astype(np.uint8)
    np.testing.assert_array_equal(read_images([save(tmp_path / "a.nii.gz", voxels, GRID)]).voxels[0], voxels)
    with pytest.raises(InputError, match="No scan was given"):
        read_images([])


def test_which_one_is_broken(tmp_path):
    first = save(tmp_path / "a.nii.gz", np.zeros(SHAPE, np.int16), GRID)
    with pytest.raises(InputError, match=r"no file or folder .*b.nii.gz"):
        read_images([first, tmp_path / "b.nii.gz"])


def test_a_segmentation_is_no_scan(tmp_path):
    path = write_segments(tmp_path / "a.seg.nrrd", np.ones((1, 4, 5, 6)), GRID, [("Liver", 1, 0)])
    with pytest.raises(InputError, match=r"a.seg.nrrd is a segmentation \(Liver\) and no scan"):
        read_images([path])


@pytest.mark.parametrize("name", ["map.nrrd", "map.nii.gz"])
def test_a_map_is_no_scan(tmp_path, name):
    write_map(Image(np.random.default_rng(0).random((1, *SHAPE)), GRID), tmp_path / name, "gate_2", make_card())
    with pytest.raises(InputError, match=r"is the map gate_2 of AttentionSeg and no scan"):
        read_images([tmp_path / name])


@pytest.mark.parametrize("order", [(1, 0, 2), (2, 1, 0)])
def test_other_orders_of_axes_are_copied(tmp_path, order):
    voxels = np.random.default_rng(0).integers(0, 255, SHAPE).astype(np.uint8)
    first, second = save(tmp_path / "a.nii.gz", voxels, GRID), save(tmp_path / "b.nii.gz", voxels.transpose(order), GRID[:, [*order, 3]])
    image = read_images([first, second])
    np.testing.assert_array_equal(image.voxels, np.stack([voxels, voxels]))
    assert image.voxels.dtype == np.uint8


class TestWithoutNumbers:
    """NaN around a masked scan, as several programs write."""

    @pytest.fixture
    def masked(self) -> np.ndarray:
        voxels = np.random.default_rng(0).uniform(10, 100, (1, 8, 7, 6)).astype(np.float32)
        voxels[0, :2] = np.nan
        return voxels

    def test_is_outside_and_told(self, tmp_path, masked):
        write_map(Image(masked, np.eye(4)), tmp_path / "a.nrrd")
        image = read_images([tmp_path / "a.nrrd"])
        np.testing.assert_array_equal(image.outside, np.isnan(masked))
        assert (image.voxels[image.outside] == np.nanmin(masked)).all()
        np.testing.assert_array_equal(image.voxels[~image.outside], masked[~np.isnan(masked)])
        assert image.notes[0].detail == "84 voxels, 25 %"

    def test_of_one_channel_alone(self, tmp_path, masked):
        write_map(Image(np.nan_to_num(masked), np.eye(4)), tmp_path / "a.nrrd")
        write_map(Image(masked[:, ::-1], np.array([[-1.0, 0, 0, 7], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])), tmp_path / "b.nrrd")
        image = read_images([tmp_path / "a.nrrd", tmp_path / "b.nrrd"])
        np.testing.assert_array_equal(image.outside, [np.zeros((8, 7, 6), bool), np.isnan(masked[0])])
        assert image.notes[0].detail.startswith("b.nrrd, 84 voxels")

    def test_alone_is_left_for_the_check(self, tmp_path):
        write_map(Image(np.full((1, 4, 4, 4), np.nan), np.eye(4)), tmp_path / "a.nrrd")
        assert np.isnan(read_images([tmp_path / "a.nrrd"]).voxels).all()
